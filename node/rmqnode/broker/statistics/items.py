"""Counted values that tools ask for over the last minute, hour and day: VIEW_BROKER_STATS_DATA.

Source: `StatsItem`, `StatsItemSet` (RocketMQ 4.5.2). Differs: the values of now end each span, where Apache's are up to
10 s old; an item that stood still for a day is forgotten.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from rmqnode.protocol.bodies import BrokerStatsData, BrokerStatsItem

ITEMS_MAX: Final = 10_000
"""Names come from clients: with more items than this, new ones are not counted. One takes up to 5 KiB."""

_MINUTE: Final = 6
_HOUR: Final = 6
_DAY: Final = 24
"""Samples that a span reaches back: of 10 s, of 10 minutes, of an hour."""

_TICKS_OF_HOUR: Final = 60
_TICKS_OF_DAY: Final = 360
"""Every how many ticks of 10 s those of the longer spans are taken."""

Sample = tuple[int, int, int]
"""When (ms since the epoch), value, times."""


class StatsItem(msgspec.Struct):
    """One counted value: how much it grew, and in how many steps."""

    minute: list[Sample]
    hour: list[Sample]
    day: list[Sample]
    value: int = 0
    times: int = 0

    def add(self, value: int, times: int) -> None:
        """Let the value grow."""
        self.value += value
        self.times += times

    def data(self, now_ms: int) -> BrokerStatsData:
        """Sum, rate and average step over the three spans, up to now."""
        return BrokerStatsData(
            stats_minute=self._over(self.minute[0], now_ms),
            stats_hour=self._over(self.hour[0], now_ms),
            stats_day=self._over(self.day[0], now_ms),
        )

    def _over(self, first: Sample, now_ms: int) -> BrokerStatsItem:
        began_ms, value, times = first
        total, steps = self.value - value, self.times - times
        # A first message a moment ago is no rate of thousands.
        seconds = max(1.0, (now_ms - began_ms) / 1000)
        return BrokerStatsItem(sum=total, tps=total / seconds, avgpt=total / steps if steps else 0.0)


class StatsTable:
    """Items by name and key; `sample` is to be called every 10 s.

    Args:
        clock_ms: Milliseconds since the epoch.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._items: dict[tuple[str, str], StatsItem] = {}
        self._ticks = 0

    def add(self, name: str, key: str, value: int, times: int, since_ms: int) -> None:
        """Let an item grow, made with its first growth, which began at `since_ms`."""
        item = self._items.get((name, key))
        if item is None:
            if len(self._items) >= ITEMS_MAX:
                return
            first = (since_ms, 0, 0)
            item = self._items[name, key] = StatsItem([first], [first], [first])
        item.add(value, times)

    def data(self, name: str, key: str) -> BrokerStatsData | None:
        """An item's spans; None when it never grew, or not for a day."""
        item = self._items.get((name, key))
        return None if item is None else item.data(self._clock_ms())

    def sample(self) -> None:
        """Note where every item is."""
        self._ticks += 1
        now_ms = self._clock_ms()
        for key, item in list(self._items.items()):
            sample = (now_ms, item.value, item.times)
            _keep(item.minute, sample, _MINUTE)
            if self._ticks % _TICKS_OF_HOUR == 0:
                _keep(item.hour, sample, _HOUR)
            if self._ticks % _TICKS_OF_DAY == 0:
                _keep(item.day, sample, _DAY)
                if len(item.day) > _DAY and item.day[0][1] == item.value:
                    del self._items[key]


def _keep(samples: list[Sample], sample: Sample, reach: int) -> None:
    samples.append(sample)
    if len(samples) > reach + 1:
        del samples[0]
