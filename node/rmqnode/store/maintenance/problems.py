"""What a verification says: what is wrong, and exactly where."""

from pathlib import Path
from typing import NamedTuple


class Problem(NamedTuple):
    """Something wrong, and exactly where."""

    path: Path
    position: int
    """Byte in the file."""
    what: str
