"""Options that are numbers: refused at once when they make no sense, instead of waiting for ever later."""

from rmqctl.client.errors import InvalidArgument

SECONDS_MIN = 0.001
"""Shorter than this nobody waits for anything on a network."""


def check_at_least(least: float, **options: float | None) -> None:
    """Check options by name; None stands for a default.

    Raises:
        InvalidArgument: One of them is smaller.
    """
    for name, value in options.items():
        if value is not None and not value >= least:
            raise InvalidArgument(f"{name}={value} makes no sense", f"it is at least {least:g}", f"{name}={least:g}")
