"""Profiles for tests: shipped shapes with patience in fractions of a second."""

from pathlib import Path

IMPATIENT = """
[supervision]
retry_seconds_max = 0.5
healthy_seconds = 0.5
health_interval_seconds = 0.2
silence_seconds_max = 2
drain_seconds = 1
"""


def write_profile(
    folder: Path,
    *,
    brokers: int = 1,
    slaves: int = 0,
    nameservers: int = 1,
    supervision: str = IMPATIENT,
    more: str = "",
    name: str = "test.toml",
) -> str:
    """Write a profile; returns its path.

    Args:
        folder: Where.
        brokers: Broker names, called as in the shipped profiles.
        slaves: Of each.
        nameservers: How many.
        supervision: The section.
        more: Further sections.
        name: Of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"broker-{letter}" for letter in "abcdefgh"[:brokers]]
    blocks = [f'[[brokers]]\nname = "{each}"\nslaves = {slaves}\n' for each in names]
    path = folder / name
    path.write_text("\n".join([f"[nameservers]\ncount = {nameservers}\n", *blocks, supervision, more]))
    return str(path)
