"""How transactions ended: what is remembered of decisions, so that a second one is told what the first was.

A note in the op topic says which half message is decided. Ours also says how, when and by whom, in fields of the record
that Apache's brokers write and never read: `flag` (8 commit, 12 rollback), born timestamp, born host (the client that
decided). A note of Apache's has flag 0 there: that a transaction is decided is known then, and not how.
"""

from struct import Struct
from typing import Final

import msgspec

from rmqnode.protocol.message import SysFlag
from rmqnode.store.copying import StoredMessage

DECISIONS_MAX: Final = 8192
"""So many decided half messages are remembered, the latest ones: some 2 MB. Of an older one the broker knows that it is
decided, and not how; a second decision about it is refused.
"""

_BORN: Final = Struct(">q8s")

COMMIT: Final = int(SysFlag.TRANSACTION_COMMIT)
ROLLBACK: Final = int(SysFlag.TRANSACTION_ROLLBACK)


class Decision(msgspec.Struct, gc=False):
    """One decision, or that there was one."""

    kind: int
    """`COMMIT`, `ROLLBACK`; 0 when only Apache's note, or only the place of the half message, says that it is done."""
    at_ms: int = 0
    """Milliseconds since the epoch."""
    by: bytes = bytes(8)
    """Address of the client: 4 bytes IP, 4 bytes port."""
    is_reported: bool = False
    """Whether the log says that somebody wanted the opposite."""

    @property
    def by_text(self) -> str:
        """The client that decided, as IP:port; unknown when only its broker, or nobody, is."""
        if not self.kind:
            return "unknown"
        return f"{'.'.join(map(str, self.by[:4]))}:{int.from_bytes(self.by[4:], 'big')}"


def decision_of_note(note: StoredMessage) -> Decision:
    """Read what a message of the op topic, ours or Apache's, says of the decision."""
    kind = int.from_bytes(note.flag, "big")
    at_ms, by = _BORN.unpack(note.born)
    return Decision(kind if kind in (COMMIT, ROLLBACK) else 0, at_ms, by)
