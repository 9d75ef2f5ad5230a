"""What administrators may ask of a running consumer through a broker (`mqadmin consumerStatus`, `resetOffsetByTime` …).

    40   members of the group changed      rebalance now
    220  reset offset                      go on elsewhere
    221  consumer status                   offsets in memory
    307  running info                      properties, subscriptions, queues, rates
    309  consume directly                  hand one message to the handler, whatever its offset

Source: `ClientRemotingProcessor`, `DefaultMQPushConsumerImpl#consumerRunningInfo` (RocketMQ 4.5.2).
"""

import time
from collections.abc import Callable
from typing import Final

import trio

from rmqctl.client.broker_requests import BrokerRequest
from rmqctl.client.client import Client
from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.handler_calls import HandlerCalls
from rmqctl.client.consumer.process_queue import ProcessQueue
from rmqctl.client.consumer.queue_start import consume_from_where
from rmqctl.client.consumer.rebalance import Rebalancer
from rmqctl.client.received import ReceivedMessage
from rmqnode.protocol.bodies import (
    ConsumeMessageDirectlyResult,
    ConsumerRunningInfo,
    ConsumeType,
    DirectConsumption,
    GetConsumerStatusBody,
    MessageQueue,
    ProcessQueueInfo,
    ResetOffsetBody,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers.administration import (
    ConsumeMessageDirectlyRequestHeader,
    GetConsumerStatusRequestHeader,
    ResetOffsetRequestHeader,
)
from rmqnode.protocol.message import decode_record
from rmqnode.protocol.routes import Reply

_MIB: Final = 1024 * 1024

CODES: Final = (
    RequestCode.NOTIFY_CONSUMER_IDS_CHANGED,
    RequestCode.RESET_CONSUMER_CLIENT_OFFSET,
    RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT,
    RequestCode.GET_CONSUMER_RUNNING_INFO,
    RequestCode.CONSUME_MESSAGE_DIRECTLY,
)


class RemoteControl:
    """Answers brokers for one consumer.

    Args:
        client: Brokers reach the consumer through it.
        member: The consumer.
        rebalancer: Holds its queues.
        calls: Consumes what shall be consumed directly; None when the application pulls by itself.
        concurrency: How many handlers run at a time.
    """

    def __init__(
        self,
        client: Client,
        member: GroupMember,
        rebalancer: Rebalancer,
        calls: HandlerCalls | None = None,
        concurrency: int = 0,
    ) -> None:
        self._client = client
        self._member = member
        self._rebalancer = rebalancer
        self._calls = calls
        self._concurrency = concurrency
        self._started_at_ms = _now_ms()

    def start(self) -> None:
        """Answer from now on."""
        answers = (self._members_changed, self._reset_offset, self._status, self._running_info, self._consume)
        for code, answer in zip(CODES, answers, strict=True):
            self._client.requests.serve(code, self._member.group, answer)

    def stop(self) -> None:
        """Answer no more."""
        self._client.requests.stop_serving(self._member.group, *CODES)

    async def _members_changed(self, request: BrokerRequest) -> None:
        self._rebalancer.wake()

    async def _reset_offset(self, request: BrokerRequest) -> None:
        topic = request.header(ResetOffsetRequestHeader).topic
        offsets = ResetOffsetBody.decode(request.body).offset_table if request.body else {}
        for queue, queue_offset in offsets.items():
            if queue.topic == topic and await self._rebalancer.seek(queue, queue_offset):
                await self._member.offsets.persist([queue], confirmed=True)

    async def _status(self, request: BrokerRequest) -> Reply:
        topic = request.header(GetConsumerStatusRequestHeader).topic
        return Reply(body=GetConsumerStatusBody(message_queue_table=self._member.offsets.of_topic(topic)).encode())

    async def _running_info(self, request: BrokerRequest) -> Reply:
        member = self._member
        subscriptions = sorted(member.topics.subscriptions(), key=lambda subscription: subscription.topic)
        info = ConsumerRunningInfo(
            properties=self._properties(),
            subscription_set=subscriptions,
            mq_table={queue: self._queue_info(queue, held) for queue, held in self._rebalancer.process_queues.items()},
            status_table={topic: member.statistics.status(topic) for topic in member.topics},
        )
        return Reply(body=info.encode())

    async def _consume(self, request: BrokerRequest) -> Reply:
        if self._calls is None:
            return Reply(
                ResponseCode.SYSTEM_ERROR, f"group {self._member.group} pulls by itself here: it has no handler"
            )
        header = request.header(ConsumeMessageDirectlyRequestHeader)
        stored = decode_record(request.body)
        queue = MessageQueue(topic=stored.topic, broker_name=header.broker_name or "", queue_id=stored.queue_id)
        started_at = trio.current_time()
        outcome = await self._calls.attempt(ReceivedMessage(stored, queue))
        result, remark = DirectConsumption.CR_SUCCESS, None
        if isinstance(outcome, Exception):
            result, remark = DirectConsumption.CR_THROW_EXCEPTION, f"{type(outcome).__name__}: {outcome}"
        elif outcome is not None:
            result = DirectConsumption.CR_LATER
        answer = ConsumeMessageDirectlyResult(
            order=self._member.is_orderly,
            consume_result=result,
            remark=remark,
            spent_time_mills=int(1000 * (trio.current_time() - started_at)),
        )
        return Reply(body=answer.encode())

    def _properties(self) -> dict[str, str]:
        member, limits = self._member, self._member.limits
        consume_type = ConsumeType.CONSUME_ACTIVELY if self._calls is None else ConsumeType.CONSUME_PASSIVELY
        return {
            "PROP_NAMESERVER_ADDR": "".join(f"{address};" for address in self._client.connection.nameservers),
            "PROP_CONSUME_TYPE": consume_type.name,
            "PROP_CLIENT_VERSION": "V4_5_2",
            "PROP_CONSUMEORDERLY": str(member.is_orderly).lower(),
            "PROP_THREADPOOL_CORE_SIZE": str(self._concurrency),
            "PROP_CONSUMER_START_TIMESTAMP": str(self._started_at_ms),
            "consumerGroup": member.group,
            "consumeFromWhere": consume_from_where(member.start).name,
            "messageModel": "BROADCASTING" if member.is_broadcasting else "CLUSTERING",
            "pullThresholdForQueue": str(limits.messages),
            "pullThresholdSizeForQueue": str(limits.size_bytes // _MIB),
            "consumeConcurrentlyMaxSpan": str(limits.span),
        }

    def _queue_info(self, queue: MessageQueue, held: ProcessQueue) -> ProcessQueueInfo:
        wall_ms = _wall_clock()
        return ProcessQueueInfo(
            commit_offset=self._member.offsets.known(queue) or 0,
            cached_msg_min_offset=held.lowest_offset or 0,
            cached_msg_max_offset=held.highest_offset or 0,
            cached_msg_count=len(held),
            cached_msg_size_in_mi_b=held.size_bytes // _MIB,
            locked=held.is_locked,
            last_lock_timestamp=wall_ms(held.locked_at or 0),
            droped=held.is_dropped,
            last_pull_timestamp=wall_ms(held.last_pull),
            last_consume_timestamp=wall_ms(held.last_consume),
        )


def _wall_clock() -> Callable[[float], int]:
    """Return what turns a time of trio's clock into ms since the epoch."""
    offset_ms = _now_ms() - 1000 * trio.current_time()
    return lambda moment: int(offset_ms + 1000 * moment)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
