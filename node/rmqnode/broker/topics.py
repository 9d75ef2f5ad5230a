"""The topics of a broker: built-in ones, created ones, and those that come into being by a send.

Source: `TopicConfigManager` (RocketMQ 4.5.2). Every change is written to `config/topics.json` before who asked for
it, or sent to it, gets the answer (`rmqnode.net.written_table`).
"""

from collections.abc import Callable, Generator, Iterable, Mapping

from msgspec.structs import replace

from rmqnode.broker import system_topics
from rmqnode.broker.names import TOPIC_LENGTH_MAX
from rmqnode.config import BrokerConfig
from rmqnode.net.budgets import Budget
from rmqnode.net.refusals import refuse_beyond
from rmqnode.net.written_table import WrittenTable, changed_names
from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import DataVersion, Permission, TopicConfig, TopicConfigSerializeWrapper
from rmqnode.store.config_file import ConfigFile

_READ_WRITE = int(Permission.READ | Permission.WRITE)
_TEMPLATE = int(Permission.READ | Permission.WRITE | Permission.INHERIT)


class TopicTable(WrittenTable[TopicConfig]):
    """Topic name to `TopicConfig`, with the version that nameservers compare.

    Args:
        config: Which built-in topics there are, and of which kind.
        file: `config/topics.json`.
        clock_ms: Time of changes.
        on_change: Called after changes were written, for the nameservers.
        budget: How many there may be; retry and dead-letter topics follow the number of groups and don't count.
    """

    def __init__(
        self,
        config: BrokerConfig,
        file: ConfigFile,
        clock_ms: Callable[[], int],
        on_change: Callable[[], None],
        budget: Budget,
    ) -> None:
        super().__init__(file, {topic.topic_name: topic for topic in _built_in_topics(config)})
        self._budget = budget
        self._clock_ms = clock_ms
        self._on_change = on_change
        self._is_news = False
        """Whether something changed that nameservers have to hear of; what a slave takes over is none."""
        self._template = _topic(
            system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC, config.default_topic_queue_nums, perm=_TEMPLATE
        )
        self._may_auto_create = config.auto_create_topic_enable
        self.system_topic_names = frozenset(self._entries)
        self.data_version = DataVersion(timestamp=clock_ms())
        wrapper = file.load(TopicConfigSerializeWrapper.decode)
        if wrapper is not None:
            self._entries.update(wrapper.topic_config_table)
            self.data_version = wrapper.data_version

    @property
    def all(self) -> Mapping[str, TopicConfig]:
        """All topics by name."""
        return self._entries

    def is_system(self, topic: str) -> bool:
        """Whether brokers need the topic for themselves, so that nobody else may change or delete it.

        Source: TopicValidator#isSystemTopic (RocketMQ 4.9.7); 4.5.2 deletes and changes them all.
        """
        is_template = topic == system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC
        return is_template or topic in self.system_topic_names or topic in system_topics.CLOSED_TO_PRODUCERS

    @property
    def counted(self) -> int:
        """How many topics count against the limit."""
        return sum(not _belongs_to_group(name) for name in self._entries)

    def get(self, topic: str) -> TopicConfig | None:
        """Return the configuration of a topic, None when there is no such topic."""
        return self._entries.get(topic)

    def put(self, topic: TopicConfig) -> None:
        """Create or replace a topic."""
        self.put_all([topic])

    def put_all(self, topics: Iterable[TopicConfig]) -> None:
        """Create or replace topics, with one change of the version.

        Raises:
            RequestError: With those that are new there would be too many.
        """
        changed = {topic.topic_name: topic for topic in topics if self._entries.get(topic.topic_name) != topic}
        added = sum(name not in self._entries and not _belongs_to_group(name) for name in changed)
        if added:
            refuse_beyond(self._budget, self.counted, added, f"topic {min(changed)}")
        if changed:
            self._change({**self._entries, **changed}, changed)

    def delete(self, topic: str) -> bool:
        """Remove a topic; False when there was none."""
        if topic not in self._entries:
            return False
        self._change({name: each for name, each in self._entries.items() if name != topic}, [topic])
        return True

    def create_by_send(
        self, topic: str, default_topic: str, default_topic_queue_nums: int, *, unit_mode: bool = False
    ) -> TopicConfig | None:
        """Create a topic as a first send asks for it.

        The template (normally `TBW102`) gives permission and the upper limit of queues; one without the inherit
        bit allows nothing, and None is returned. A retry topic needs no template.
        """
        template = self._template_named(default_topic)
        if template is not None and template.perm & Permission.INHERIT:
            queue_nums = max(0, min(default_topic_queue_nums, template.write_queue_nums))
            created = TopicConfig(
                topic_name=topic,
                read_queue_nums=queue_nums,
                write_queue_nums=queue_nums,
                perm=int(template.perm & ~Permission.INHERIT),
                topic_filter_type=template.topic_filter_type,
                topic_sys_flag=_unit_flag(topic, unit_mode),
            )
        elif topic.startswith(system_topics.RETRY_GROUP_TOPIC_PREFIX):
            created = TopicConfig(
                topic_name=topic,
                read_queue_nums=1,
                write_queue_nums=1,
                perm=_READ_WRITE,
                topic_sys_flag=_unit_flag(topic, unit_mode),
            )
        else:
            return None
        self.put(created)
        return created

    def _template_named(self, name: str) -> TopicConfig | None:
        if name != system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC:
            return self._entries.get(name)
        return self._entries.get(name) if self._may_auto_create else None

    def allow_auto_creation(self, is_allowed: bool) -> None:
        """Let sends create topics by the template `TBW102` from now on, or not."""
        self._may_auto_create = is_allowed
        if is_allowed and self._template.topic_name not in self._entries:
            self.put(self._template)

    def touch(self) -> None:
        """Let the nameservers be told everything again, under a new version."""
        self._change(self._entries, ())

    def create_if_absent(self, topic: str, queue_nums: int, *, unit_mode: bool = False) -> TopicConfig:
        """Return a topic that the broker itself needs (retry, dead letters), created when it is missing.

        One with a name that no queue can have, for its group's is too long, is not kept: puts refuse it.
        """
        found = self._entries.get(topic)
        if found is None:
            found = TopicConfig(
                topic_name=topic,
                read_queue_nums=queue_nums,
                write_queue_nums=queue_nums,
                perm=_READ_WRITE,
                topic_sys_flag=_unit_flag(topic, unit_mode),
            )
            if len(topic) <= TOPIC_LENGTH_MAX:
                self.put(found)
        return found

    def apply_order_config(self, ordered_topics: Iterable[str]) -> None:
        """Set the order flag of exactly those topics that the nameserver lists as ordered."""
        ordered = set(ordered_topics)
        changed = {
            topic.topic_name: replace(topic, order=topic.topic_name in ordered)
            for topic in self._entries.values()
            if topic.order != (topic.topic_name in ordered)
        }
        if changed:
            self._change({**self._entries, **changed}, changed)

    def replace_all(self, wrapper: TopicConfigSerializeWrapper) -> None:
        """Take over a master's table and its version."""
        topics = dict(wrapper.topic_config_table)
        self._replace(topics, changed_names(self._entries, topics), wrapper.data_version)

    def wrapper(self) -> TopicConfigSerializeWrapper:
        """Return the table as registrations and GET_ALL_TOPIC_CONFIG carry it."""
        return TopicConfigSerializeWrapper(topic_config_table=self._entries, data_version=self.data_version)

    def _change(self, topics: dict[str, TopicConfig], changed: Iterable[str]) -> None:
        self._is_news = True
        self._replace(topics, changed, self.data_version.next_version(self._clock_ms()))

    def _replace(self, topics: dict[str, TopicConfig], changed: Iterable[str], data_version: DataVersion) -> None:
        former, self.data_version = self.data_version, data_version
        try:
            self.replace_entries(topics, changed)
        except OSError:
            self.data_version = former
            raise

    def _text_steps(self) -> Generator[None, None, bytes]:
        return fastjson.dump_steps(self.wrapper(), pretty=True)

    def _after_write(self) -> None:
        if self._is_news:
            self._is_news = False
            self._on_change()


def _belongs_to_group(topic: str) -> bool:
    return topic.startswith((system_topics.RETRY_GROUP_TOPIC_PREFIX, system_topics.DLQ_GROUP_TOPIC_PREFIX))


def _unit_flag(topic: str, unit_mode: bool) -> int:
    """`topicSysFlag`: 1 for a topic that belongs to a unit, 2 for one that consumers of a unit subscribe to.

    Source: `TopicSysFlag#buildSysFlag` (RocketMQ 4.5.2).
    """
    if not unit_mode:
        return 0
    return 2 if topic.startswith(system_topics.RETRY_GROUP_TOPIC_PREFIX) else 1


def _built_in_topics(config: BrokerConfig) -> Iterable[TopicConfig]:
    yield _topic(system_topics.SELF_TEST_TOPIC, 1)
    if config.auto_create_topic_enable:
        yield _topic(system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC, config.default_topic_queue_nums, perm=_TEMPLATE)
    yield _topic(system_topics.BENCHMARK_TOPIC, 1024)
    inherit_only = int(Permission.INHERIT)
    yield _topic(config.broker_cluster_name, 16, perm=_TEMPLATE if config.cluster_topic_enable else inherit_only)
    yield _topic(config.broker_name, 1, perm=_TEMPLATE if config.broker_topic_enable else inherit_only)
    yield _topic(system_topics.OFFSET_MOVED_EVENT, 1)
    yield _topic(system_topics.reply_topic(config.broker_cluster_name), 1)
    if config.trace_topic_enable:
        yield _topic(config.msg_trace_topic_name, 1)


def _topic(name: str, queue_nums: int, perm: int = _READ_WRITE) -> TopicConfig:
    return TopicConfig(topic_name=name, read_queue_nums=queue_nums, write_queue_nums=queue_nums, perm=perm)
