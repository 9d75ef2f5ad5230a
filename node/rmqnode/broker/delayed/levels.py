"""Delay levels: how long a message of each level waits, and the signal that one has begun to wait.

Source: `ScheduleMessageService#parseDelayLevel` (RocketMQ 4.5.2).
"""

import trio

from rmqnode.config import delays_ms


class DelayLevels:
    """The levels of a broker, counted from 1.

    Args:
        text: `messageDelayLevel`: numbers with a unit s, m, h or d, separated by blanks; the config has
            checked it.
    """

    def __init__(self, text: str) -> None:
        self.delays_ms = delays_ms(text)
        self._awaited_ms = 0
        self._scheduled = trio.Event()

    @property
    def level_max(self) -> int:
        """The longest level there is; higher ones mean this one."""
        return len(self.delays_ms)

    def message_scheduled(self, due_ms: int) -> None:
        """Tell the delivery that a message waits, if it would sleep past the time when that is due."""
        if due_ms < self._awaited_ms:
            self._scheduled.set()

    async def wait_scheduled_before(self, due_ms: int) -> None:
        """Wait until a message is scheduled that is due before a time, in milliseconds since the epoch."""
        self._awaited_ms = due_ms
        self._scheduled = trio.Event()
        await self._scheduled.wait()
