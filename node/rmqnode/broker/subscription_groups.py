"""The consumer groups of a broker and what they may do; unknown groups are created when first seen.

Source: `SubscriptionGroupManager` (RocketMQ 4.5.2). Differs: the data version survives a restart.
"""

import logging
from collections.abc import Callable, Generator, Iterable

from rmqnode.broker import system_topics
from rmqnode.broker.names import RETRY_GROUP_LENGTH_MAX, is_legal_group
from rmqnode.net.budgets import Budget
from rmqnode.net.refusals import refuse_beyond
from rmqnode.net.written_table import WrittenTable, changed_names
from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import DataVersion, SubscriptionGroupConfig, SubscriptionGroupWrapper
from rmqnode.store.config_file import ConfigFile

logger = logging.getLogger(__name__)


class SubscriptionGroups(WrittenTable[SubscriptionGroupConfig]):
    """Group name to `SubscriptionGroupConfig`, kept in `config/subscriptionGroup.json`."""

    def __init__(self, file: ConfigFile, *, may_auto_create: bool, clock_ms: Callable[[], int], budget: Budget) -> None:
        super().__init__(
            file, {name: SubscriptionGroupConfig(group_name=name) for name in system_topics.BUILT_IN_GROUPS}
        )
        self._budget = budget
        self.may_auto_create = may_auto_create
        """Whether unknown groups are created when first seen."""
        self._clock_ms = clock_ms
        self.data_version = DataVersion()
        wrapper = file.load(SubscriptionGroupWrapper.decode)
        if wrapper is not None:
            self._entries.update(wrapper.subscription_group_table)
            self.data_version = wrapper.data_version

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, group: str) -> SubscriptionGroupConfig | None:
        """Return a group that exists."""
        return self._entries.get(group)

    def find(self, group: str) -> SubscriptionGroupConfig | None:
        """Return a group, created with defaults when that is allowed; None when it is not."""
        found = self._entries.get(group)
        may_create = self.may_auto_create or group.startswith(system_topics.SYSTEM_GROUP_PREFIX)
        if found is None and may_create and is_legal_group(group):
            if len(self._entries) >= self._budget.maximum:
                self._budget.refuse()
                return None
            found = SubscriptionGroupConfig(group_name=group)
            if len(group) > RETRY_GROUP_LENGTH_MAX:
                logger.warning(
                    "group can send nothing back group=%s reason=%d characters, for a retry topic at most %d: "
                    "consumers keep what failed and try it again themselves",
                    group,
                    len(group),
                    RETRY_GROUP_LENGTH_MAX,
                )
            try:
                self.put(found)
            except OSError as error:
                # It has nothing but defaults, and consumers can go on; the next time tries again.
                logger.error("group not written group=%s reason=%s", group, error)
        return found

    def put(self, group: SubscriptionGroupConfig) -> None:
        """Create or replace a group."""
        self.put_all([group])

    def put_all(self, groups: Iterable[SubscriptionGroupConfig]) -> None:
        """Create or replace groups, with one change of the version.

        Raises:
            RequestError: With those that are new there would be too many.
        """
        changed = {group.group_name: group for group in groups if self._entries.get(group.group_name) != group}
        added = len(changed.keys() - self._entries.keys())
        if added:
            refuse_beyond(self._budget, len(self._entries), added, f"group {min(changed)}")
        if changed:
            self._change({**self._entries, **changed}, changed)

    def delete(self, group: str) -> None:
        """Remove a group's configuration; offsets and retry topic stay."""
        if group in self._entries:
            self._change({name: each for name, each in self._entries.items() if name != group}, [group])

    def replace_all(self, wrapper: SubscriptionGroupWrapper) -> None:
        """Take over a master's table and its version."""
        groups = dict(wrapper.subscription_group_table)
        self._replace(groups, changed_names(self._entries, groups), wrapper.data_version)

    def wrapper(self) -> SubscriptionGroupWrapper:
        """Return the table as GET_ALL_SUBSCRIPTIONGROUP_CONFIG answers it."""
        return SubscriptionGroupWrapper(subscription_group_table=self._entries, data_version=self.data_version)

    def _change(self, groups: dict[str, SubscriptionGroupConfig], changed: Iterable[str]) -> None:
        self._replace(groups, changed, self.data_version.next_version(self._clock_ms()))

    def _replace(
        self, groups: dict[str, SubscriptionGroupConfig], changed: Iterable[str], data_version: DataVersion
    ) -> None:
        former, self.data_version = self.data_version, data_version
        try:
            self.replace_entries(groups, changed)
        except OSError:
            self.data_version = former
            raise

    def _text_steps(self) -> Generator[None, None, bytes]:
        return fastjson.dump_steps(self.wrapper(), pretty=True)
