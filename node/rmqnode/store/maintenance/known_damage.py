"""What `damaged/extents.json` of a store says, held against what a walk over the log found; part of `verify`."""

from collections.abc import Sequence
from pathlib import Path

from rmqnode.store.damage import Damage, Extent
from rmqnode.store.maintenance.problems import Problem


class KnownDamage:
    """The marks of one store.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._damage = Damage(root)
        self.path = self._damage.folder / "extents.json"
        self.problems: list[Problem] = []

    def load(self) -> None:
        """Read them; a file that cannot be read is a problem, and counts as none as for the broker."""
        if not self.path.exists():
            return
        self._damage.load()
        if not self._damage.extents and not self._damage.more:
            self.problems.append(
                Problem(self.path, 0, "the marks of damage cannot be read: the broker takes them as none")
            )

    def covers(self, extent: Extent) -> bool:
        """Whether the broker steps over a stretch already."""
        return any(known.begin < extent.end and extent.begin < known.end for known in self._damage.extents)

    def whole_again(self, found: Sequence[Extent], end: int) -> list[Extent]:
        """Marked stretches below the end of the log in which nothing is damaged any more."""
        return [
            known
            for known in self._damage.extents
            if known.begin < end and not any(known.begin < each.end and each.begin < known.end for each in found)
        ]
