"""Which group filters which topic by which expression: kept in memory, written to `config/consumerFilter.json`.

Heartbeats register; a group that leaves keeps its entries for `filterDataCleanTimeSpan`, dead.

Source: `ConsumerFilterManager`, `ConsumerFilterData`, `ExpressionForRetryMessageFilter` (RocketMQ 4.5.2). Differs:
while `enablePropertyFilter` is off nothing is registered, where 4.5.2 registers and then refuses each pull; an entry
of the file that does not compile counts as missing, where 4.5.2 lets every message through; the bits of the bloom
filter are written for Apache's nodes, nothing here is filtered by them.
"""

import logging
from collections.abc import Callable, Generator, Iterable
from typing import Final

import msgspec

from rmqnode.broker.filters.compiled import CompiledFilters
from rmqnode.broker.saved_table import SavedTable
from rmqnode.broker.subscriptions import is_tag_type
from rmqnode.config import BrokerConfig
from rmqnode.filter import LENGTH_MAX, BloomFilter, FilterError, MessageFilter
from rmqnode.net.budgets import Budget
from rmqnode.protocol.bodies import (
    BloomFilterData,
    ConsumerFilterData,
    ConsumerFilterWrapper,
    FilterDataMapByTopic,
    SubscriptionData,
)
from rmqnode.protocol.properties import PropertyName, decode_properties
from rmqnode.store.config_file import ConfigFile

logger = logging.getLogger(__name__)

PERSIST_INTERVAL_MS: Final = 10_000
"""Java's timer for this file; no key sets it."""

_DEAD_SINCE_MS: Final = 30_000
"""At a start every group counts as gone for so long."""

_NEW_LENGTH_MAX: Final = 4 * LENGTH_MAX
"""Characters of new expressions that one heartbeat has compiled; what is beyond waits for the next heartbeat."""

Accepts = Callable[[bytes], bool]
"""Whether a message with these properties, in wire form, is wanted."""


class ConsumerFilter(msgspec.Struct):
    """One group's subscription of one topic by an expression. Times in ms since the epoch."""

    group: str
    topic: str
    expression: str
    expression_type: str
    born_time: int
    client_version: int
    dead_time: int = 0

    @property
    def is_dead(self) -> bool:
        """Whether the group has left, or no longer subscribes the topic."""
        return self.dead_time >= self.born_time


class ConsumerFilters(SavedTable):
    """The filters of one broker.

    Args:
        file: `config/consumerFilter.json`.
        config: For the keys about filters.
        clock_ms: Milliseconds since the epoch.
        budget: How many there may be, of groups that are online or left.
    """

    def __init__(self, file: ConfigFile, config: BrokerConfig, clock_ms: Callable[[], int], budget: Budget) -> None:
        super().__init__(file)
        self._budget = budget
        self._clock_ms = clock_ms
        self._clean_time_span_ms = config.filter_data_clean_time_span_ms
        self._bloom = BloomFilter(config.max_error_rate_of_bloom_filter, config.expect_consumer_num_use_filter)
        self.compiled = CompiledFilters()
        self._by_topic: dict[str, dict[str, ConsumerFilter]] = {}
        wrapper = file.load(ConsumerFilterWrapper.decode)
        for data in _entries(wrapper):
            dead_time = data.dead_time or max(clock_ms() - _DEAD_SINCE_MS, data.born_time)
            self._by_topic.setdefault(data.topic, {})[data.consumer_group] = ConsumerFilter(
                group=data.consumer_group,
                topic=data.topic,
                expression=data.expression,
                expression_type=data.expression_type,
                born_time=data.born_time,
                client_version=data.client_version,
                dead_time=dead_time,
            )

        self._recount()

    def _recount(self) -> None:
        self._budget.used = sum(map(len, self._by_topic.values()))

    def find(self, topic: str, group: str) -> ConsumerFilter | None:
        """Return what a group filters a topic by."""
        return self._by_topic.get(topic, {}).get(group)

    def filter_of(self, known: ConsumerFilter) -> MessageFilter | None:
        """Return an entry's filter; None when it does not compile, which only one of the file can be."""
        try:
            return self.compiled.get(known.expression_type, known.expression)
        except FilterError:
            return None

    def register(self, group: str, subscriptions: Iterable[SubscriptionData]) -> Generator[None, None, None]:
        """Take over a heartbeat's view of a group; what it does not subscribe any more is dead.

        Compiling an expression takes up to 20 ms: there is a yield before each.
        """
        topics = set()
        new_length = 0
        for subscription in subscriptions:
            topics.add(subscription.topic)
            expression = subscription.sub_string
            if is_tag_type(subscription.expression_type) or not expression:
                continue
            if len(expression) <= LENGTH_MAX and (subscription.expression_type, expression) not in self.compiled:
                new_length += len(expression)
                if new_length > _NEW_LENGTH_MAX:
                    continue
            yield
            self._register(group, subscription, expression)
        self._mark_dead(group, topics)

    def unregister(self, group: str) -> None:
        """Note that the last member of a group has left."""
        self._mark_dead(group, set())

    def accepts_retried(self, group: str) -> Accepts:
        """Judge messages of the group's retry topic as in the topic that each was sent to first."""

        def accepts(encoded: bytes) -> bool:
            properties = decode_properties(encoded.decode("utf-8", "replace"))
            found = self.find(properties.get(PropertyName.RETRY_TOPIC, ""), group)
            wants = None if found is None else self.filter_of(found)
            return wants is None or wants(properties)

        return accepts

    def _register(self, group: str, subscription: SubscriptionData, expression: str) -> None:
        known = self.find(subscription.topic, group)
        version, kind = subscription.sub_version, subscription.expression_type
        if known is not None and version <= known.client_version:
            if version == known.client_version and known.is_dead:
                self._change(known, version)
        elif known is not None and (known.expression, known.expression_type) == (expression, kind):
            self._change(known, version)
        elif known is None and self._budget.free <= 0:
            self._budget.refuse()
        elif self._compiles(group, subscription.topic, kind, expression):
            added = ConsumerFilter(group, subscription.topic, expression, kind, self._clock_ms(), version)
            self._by_topic.setdefault(subscription.topic, {})[group] = added
            self._budget.used += known is None
            self._is_dirty = True
        elif known is not None:
            # Its pulls are told that there is no filter, not given messages by the former one.
            del self._by_topic[subscription.topic][group]
            self._budget.used -= 1
            self._is_dirty = True

    def _change(self, known: ConsumerFilter, version: int) -> None:
        known.client_version = version
        if known.is_dead:
            known.dead_time = 0
        self._is_dirty = True

    def _compiles(self, group: str, topic: str, expression_type: str, expression: str) -> bool:
        is_new = (expression_type, expression) not in self.compiled
        try:
            self.compiled.get(expression_type, expression)
        except FilterError as error:
            if is_new:  # heartbeats bring it again and again
                logger.warning("filter not registered group=%s topic=%s reason=%s", group, topic, error)
            return False
        return True

    def _mark_dead(self, group: str, subscribed: set[str]) -> None:
        for topic, by_group in self._by_topic.items():
            known = by_group.get(group)
            if known is not None and topic not in subscribed and not known.is_dead:
                known.dead_time = self._clock_ms()
                self._is_dirty = True

    def take_changes_steps(self) -> Generator[None, None, Callable[[], None] | None]:
        """As any table, with entries dropped before that have been dead for too long."""
        latest = self._clock_ms() - self._clean_time_span_ms
        for topic, by_group in list(self._by_topic.items()):
            for group, known in list(by_group.items()):
                if known.is_dead and known.dead_time <= latest:
                    del by_group[group]
                    self._is_dirty = True
            if not by_group:
                del self._by_topic[topic]
        self._recount()
        return (yield from super().take_changes_steps())

    def _body(self) -> ConsumerFilterWrapper:
        table = {
            topic: FilterDataMapByTopic(
                topic=topic, group_filter_data={group: self.describe(known) for group, known in by_group.items()}
            )
            for topic, by_group in self._by_topic.items()
        }
        return ConsumerFilterWrapper(filter_data_by_topic=table)

    def describe(self, known: ConsumerFilter) -> ConsumerFilterData:
        """Return an entry as the file has it, and as tools are shown it."""
        positions = self._bloom.bit_positions(f"{known.group}#{known.topic}")
        return ConsumerFilterData(
            consumer_group=known.group,
            topic=known.topic,
            expression=known.expression,
            expression_type=known.expression_type,
            born_time=known.born_time,
            dead_time=known.dead_time,
            dead=known.is_dead,
            client_version=known.client_version,
            bloom_filter_data=BloomFilterData(bit_num=self._bloom.bit_count, bit_pos=positions),
        )


def _entries(wrapper: ConsumerFilterWrapper | None) -> Iterable[ConsumerFilterData]:
    if wrapper is not None:
        for by_group in wrapper.filter_data_by_topic.values():
            yield from by_group.group_filter_data.values()
