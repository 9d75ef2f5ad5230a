"""The words about configuration that tools changed in running nodes."""

from rmqctl.cli.output import narrate
from rmqctl.profile.drift import Drift


def narrate_drift(drift: list[Drift]) -> None:
    """Say which nodes keep a configuration that is not the profile's."""
    if drift:
        narrate(
            "changed over the network while nodes ran (updateBrokerConfig), and kept in overlays beside broker.conf:"
        )
    for each in drift:
        narrate(f"  {each}")
