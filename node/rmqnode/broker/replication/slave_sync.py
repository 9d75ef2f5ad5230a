"""What a slave takes over from its master besides the log: topics, consumer offsets, delay offsets, groups.

Four independent requests, each period; one that fails does not stop the others and is made again with the next.
Source: SlaveSynchronize, BrokerController#handleSlaveSynchronize (RocketMQ 4.5.2). Differs: offsets that were
committed at this slave while the master was away are handed to the master before its own are taken (`SlaveCommits`);
a master that went away keeps being asked at the address that was known.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from rmqnode.broker.consumer_offsets import ConsumerOffsets
from rmqnode.broker.delayed.delivery import DelayedDelivery
from rmqnode.broker.replication.checked_tables import (
    OFFSETS_MAX,
    TableRefused,
    checked_delay_offsets,
    checked_groups,
    checked_offsets,
    checked_topics,
)
from rmqnode.broker.replication.slave_commits import SlaveCommit, SlaveCommits
from rmqnode.broker.subscription_groups import SubscriptionGroups
from rmqnode.broker.topics import TopicTable
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import (
    ConsumerOffsetSerializeWrapper,
    DelayOffsetSerializeWrapper,
    SubscriptionGroupWrapper,
    TopicConfigSerializeWrapper,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode, response_name
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import UpdateConsumerOffsetRequestHeader

logger = logging.getLogger(__name__)

_PERIOD_SECONDS: Final = 10.0
_FIRST_SECONDS: Final = 3.0
VIP_PORT_DISTANCE: Final = 2
"""Apache's slaves ask for topics at the VIP port; masters behind a firewall may be reached there only."""


class SlaveSync:
    """The tables of one slave that follow its master's."""

    def __init__(
        self,
        client: RemotingClient,
        topics: TopicTable,
        groups: SubscriptionGroups,
        offsets: ConsumerOffsets,
        commits: SlaveCommits,
        delayed_delivery: DelayedDelivery,
    ) -> None:
        self._client = client
        self._topics = topics
        self._groups = groups
        self._offsets = offsets
        self._commits = commits
        self._delayed_delivery = delayed_delivery
        self._master: str | None = None
        self._soon = trio.Event()
        self._reported: dict[str, str] = {}
        self._left_out: dict[str, int] = {}

    def use_master(self, address: str) -> None:
        """Follow the master at this address."""
        self._master = address

    def sync_soon(self) -> None:
        """Do not wait for the period: the master is there again."""
        self._soon.set()

    async def run(self) -> None:
        """Service: take over the master's tables each period."""
        seconds = _FIRST_SECONDS
        while True:
            with trio.move_on_after(seconds):
                await self._soon.wait()
            self._soon = trio.Event()
            if self._master is not None:
                await self.sync(self._master)
            seconds = _PERIOD_SECONDS

    async def sync(self, master: str) -> None:
        """Take over all tables once."""
        steps: tuple[tuple[str, Callable[[str], Awaitable[None]]], ...] = (
            ("topics", self._sync_topics),
            ("consumer offsets", self._sync_consumer_offsets),
            ("delay offsets", self._sync_delay_offsets),
            ("subscription groups", self._sync_groups),
        )
        for table, step in steps:
            try:
                await step(master)
            except (RemotingError, ProtocolError, OSError, _Refused, TableRefused) as error:
                if self._reported.get(table) != str(error):
                    logger.warning("master's %s not taken over master=%s reason=%s", table, master, error)
                self._reported[table] = str(error)
            else:
                self._reported.pop(table, None)

    async def _sync_topics(self, master: str) -> None:
        host, _, port = master.rpartition(":")
        body = await self._ask(f"{host}:{int(port) - VIP_PORT_DISTANCE}", RequestCode.GET_ALL_TOPIC_CONFIG)
        wrapper, left_out = checked_topics(TopicConfigSerializeWrapper.decode(body))
        self._note_left_out("topics", left_out)
        if wrapper.data_version != self._topics.data_version:
            self._topics.replace_all(wrapper)

    async def _sync_consumer_offsets(self, master: str) -> None:
        body = await self._ask(master, RequestCode.GET_ALL_CONSUMER_OFFSET)
        table, left_out = checked_offsets(ConsumerOffsetSerializeWrapper.decode(body).offset_table)
        self._note_left_out("consumer offsets", left_out)
        for commit in self._commits.pending():
            if commit.consumer_offset > table.get(commit.key, {}).get(commit.queue_id, -1):
                await self._hand_over(master, commit)
                table.setdefault(commit.key, {})[commit.queue_id] = commit.consumer_offset
            self._commits.settle(commit)
        for commit in self._commits.pending():  # those that came while the master was being told
            table.setdefault(commit.key, {})[commit.queue_id] = commit.consumer_offset
        if self._offsets.count_with(table) > OFFSETS_MAX:
            raise TableRefused(f"there would be more than {OFFSETS_MAX} consumer offsets here")
        self._offsets.take_over(table)

    async def _hand_over(self, master: str, commit: SlaveCommit) -> None:
        header = UpdateConsumerOffsetRequestHeader(
            consumer_group=commit.group,
            topic=commit.topic,
            queue_id=commit.queue_id,
            commit_offset=commit.consumer_offset,
        )
        await self._ask(master, RequestCode.UPDATE_CONSUMER_OFFSET, header_to_ext_fields(header))

    async def _sync_delay_offsets(self, master: str) -> None:
        body = await self._ask(master, RequestCode.GET_ALL_DELAY_OFFSET)
        table, left_out = checked_delay_offsets(DelayOffsetSerializeWrapper.decode(body).offset_table)
        self._note_left_out("delay offsets", left_out)
        self._delayed_delivery.take_over(table)

    async def _sync_groups(self, master: str) -> None:
        body = await self._ask(master, RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)
        wrapper, left_out = checked_groups(SubscriptionGroupWrapper.decode(body))
        self._note_left_out("subscription groups", left_out)
        if wrapper.data_version != self._groups.data_version:
            self._groups.replace_all(wrapper)

    def _note_left_out(self, table: str, count: int) -> None:
        """Say once how many entries of a table no broker of ours would have made."""
        if count and self._left_out.get(table) != count:
            logger.warning("master's %s not taken over count=%d reason=a name or a number is not allowed", table, count)
        self._left_out[table] = count

    async def _ask(self, address: str, code: RequestCode, fields: dict[str, str] | None = None) -> bytes:
        response = await self._client.request(address, Command(code=code, ext_fields=fields))
        if response.code != ResponseCode.SUCCESS:
            raise _Refused(f"{address} answered {response_name(response.code)}: {response.remark}")
        return response.body


class _Refused(Exception):
    """The master answered with another code than SUCCESS."""
