"""The words about configuration that tools changed in running brokers."""

from rmqctl.cli.output import narrate
from rmqctl.profile.drift import Drift


def narrate_drift(drift: list[Drift]) -> None:
    """Say which brokers keep a configuration that is not the profile's."""
    if drift:
        narrate("changed while brokers ran (updateBrokerConfig), and kept in broker.overlay.conf beside broker.conf:")
    for each in drift:
        narrate(f"  {each}")
