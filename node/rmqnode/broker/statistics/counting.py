"""What a broker counts: rates for GET_BROKER_RUNTIME_INFO, totals of a day, items for VIEW_BROKER_STATS_DATA.

Sends are not counted one by one: every 10 s, and when somebody asks, the ends of the queues say how many there were.
A pull that finds messages costs one look-up.
Source: `StoreStatsService`, `BrokerStats`, `BrokerStatsManager` (RocketMQ 4.5.2).
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from rmqnode.broker.statistics.items import StatsTable
from rmqnode.broker.statistics.topic_puts import TopicPuts
from rmqnode.protocol.bodies import BrokerStatsData
from rmqnode.store import MessageStore

TOPIC_PUT_NUMS: Final = "TOPIC_PUT_NUMS"
TOPIC_PUT_SIZE: Final = "TOPIC_PUT_SIZE"
GROUP_GET_NUMS: Final = "GROUP_GET_NUMS"
GROUP_GET_SIZE: Final = "GROUP_GET_SIZE"
SNDBCK_PUT_NUMS: Final = "SNDBCK_PUT_NUMS"
BROKER_PUT_NUMS: Final = "BROKER_PUT_NUMS"
BROKER_GET_NUMS: Final = "BROKER_GET_NUMS"

_TICK_SECONDS: Final = 10.0
_RATE_SPANS_SECONDS: Final = (10, 60, 600)
_SNAPSHOTS_MAX: Final = 62
_PUT_TIMES_SPAN_MS: Final = 60_000
"""Put times are those of the running minute."""


class Totals(msgspec.Struct, frozen=True):
    """What was counted since the start."""

    puts: int = 0
    """Messages stored."""
    gets_found: int = 0
    """Reads for pulls that found messages."""
    gets_missed: int = 0
    gets: int = 0
    """Messages that pulls were answered with."""


class BrokerStatistics:
    """The counters of one broker.

    Args:
        store: Its queues say what was stored.
        cluster: The key of the items that count for the whole broker.
        clock_ms: Milliseconds since the epoch.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, store: MessageStore, cluster: str, clock_ms: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._clock_ms = clock_ms
        self._clock = clock
        self._puts = TopicPuts(store)
        self._first_byte = store.wrote_offset
        self._items = StatsTable(clock_ms)
        self._taken_ms = clock_ms()
        """When what was counted elsewhere was last brought into the items."""
        self._pulled: dict[tuple[str, str], list[int]] = {}
        """For each topic and group: messages, bytes and pulls since they were last brought into the items."""
        self._gets_found = self._gets = 0
        self.gets_missed = 0
        """Reads for pulls that found nothing; counted by who reads."""
        self._snapshots = deque([(clock(), Totals())], _SNAPSHOTS_MAX)
        self._next_morning_ms = next_morning_ms(clock_ms())
        self.today_morning = Totals()
        """As it was at the last midnight of this machine; all 0 if the broker was not running then."""
        self.yesterday_morning = Totals()
        self._put_times_since_ms = clock_ms()
        self._put_times_since_puts = 0

    def pulled(self, group: str, topic: str, count: int, size_bytes: int) -> None:
        """Count one read for a pull that found messages. Called for every such pull: a list, and no clock."""
        counted = self._pulled.get((topic, group))
        if counted is None:
            counted = self._pulled[topic, group] = [0, 0, 0]
        counted[0] += count
        counted[1] += size_bytes
        counted[2] += 1

    def sent_back(self, group: str, topic: str) -> None:
        """Count one message that a consumer wants again later."""
        self._items.add(SNDBCK_PUT_NUMS, f"{topic}@{group}", 1, 1, self._taken_ms)

    def totals(self) -> Totals:
        """Return what was counted up to now."""
        self._take()
        return Totals(self._puts.total, self._gets_found, self.gets_missed, self._gets)

    @property
    def put_bytes(self) -> int:
        """Bytes of the log since the start."""
        return self._store.wrote_offset - self._first_byte

    def rates(self, totals: Totals, count: Callable[[Totals], int]) -> str:
        """Rates per second over the last 10 s, minute and 10 minutes as Apache writes them: `1.5 1.2 0.4`.

        A span that began before the broker did counts from the start; Apache leaves it empty then.
        """
        now = self._clock()
        value = count(totals)
        rates = []
        for span in _RATE_SPANS_SECONDS:
            began, before = next(
                (each for each in reversed(self._snapshots) if now - each[0] >= span), self._snapshots[0]
            )
            rates.append((value - count(before)) / max(1.0, now - began))
        return " ".join(map(repr, rates))

    def put_time_counts(self, totals: Totals) -> list[int]:
        """Return how many puts of this minute took how long, by `put_times.SPANS`."""
        counts = list(self._store.put_times.counts)
        untimed = totals.puts - self._put_times_since_puts - sum(counts)
        counts[0] += max(0, untimed)
        return counts

    def data(self, name: str, key: str) -> BrokerStatsData | None:
        """Return an item of VIEW_BROKER_STATS_DATA; None when nothing was counted for it."""
        self._take()
        return self._items.data(name, key)

    def consume_tps(self, group: str, topic: str) -> float:
        """Return messages per second that a group got of a topic over the last minute."""
        data = self.data(GROUP_GET_NUMS, f"{topic}@{group}")
        return 0.0 if data is None else data.stats_minute.tps

    async def run(self) -> None:
        """Service: take samples."""
        while True:
            await trio.sleep(_TICK_SECONDS)
            self.sample()

    def sample(self) -> None:
        """Take one sample of everything."""
        now_ms = self._clock_ms()
        totals = self.totals()
        self._snapshots.append((self._clock(), totals))
        self._items.sample()
        if now_ms >= self._next_morning_ms:
            self._next_morning_ms = next_morning_ms(now_ms)
            self.yesterday_morning, self.today_morning = self.today_morning, totals
        if now_ms >= self._put_times_since_ms + _PUT_TIMES_SPAN_MS:
            self._put_times_since_ms = now_ms
            self._put_times_since_puts = totals.puts
            self._store.put_times.restart()

    def _take(self) -> None:
        """Bring what was counted elsewhere into the items."""
        since_ms, self._taken_ms = self._taken_ms, self._clock_ms()
        counts, sizes = self._puts.take()
        for topic, count in counts.items():
            self._items.add(TOPIC_PUT_NUMS, topic, count, count, since_ms)
            self._items.add(TOPIC_PUT_SIZE, topic, sizes[topic], count, since_ms)
            self._items.add(BROKER_PUT_NUMS, self._cluster, count, count, since_ms)
        pulled, self._pulled = self._pulled, {}
        for (topic, group), (count, size_bytes, times) in pulled.items():
            self._gets += count
            self._gets_found += times
            key = f"{topic}@{group}"
            self._items.add(GROUP_GET_NUMS, key, count, times, since_ms)
            self._items.add(GROUP_GET_SIZE, key, size_bytes, times, since_ms)
            self._items.add(BROKER_GET_NUMS, self._cluster, count, times, since_ms)


def next_morning_ms(now_ms: int) -> int:
    """Milliseconds since the epoch of the next midnight on this machine's clock."""
    today = time.localtime(now_ms / 1000)
    return int(time.mktime((today.tm_year, today.tm_mon, today.tm_mday + 1, 0, 0, 0, 0, 0, -1)) * 1000)
