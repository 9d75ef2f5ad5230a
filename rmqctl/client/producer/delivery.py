"""Getting a send request to a broker: choosing the queue, trying again, noting which brokers are slow.

A send is tried again on another broker, within its time, when the first one refuses for itself or can't be reached.
When the connection broke after the message had left, nobody knows whether it is stored: then it is sent again too, so
that a consumer may see it twice, unless the policy says not to.
Source: `DefaultMQProducerImpl#sendDefaultImpl` (RocketMQ 4.5.2), differs: a message without an answer within the
time-out is never repeated, and what a busy broker shed (SYSTEM_BUSY, as since 5.0) is sent again a moment later.
"""

import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

import msgspec
import trio

from rmqctl.client.answers import Answer, Submission
from rmqctl.client.client import Client
from rmqctl.client.errors import (
    BrokerUnreachable,
    ClientError,
    InvalidArgument,
    NoMaster,
    NoQueue,
    RequestRefused,
    RequestTimedOut,
    TopicNotFound,
)
from rmqctl.client.names import AUTO_CREATE_TOPIC
from rmqctl.client.producer.fault_avoidance import FaultAvoidance
from rmqctl.client.producer.queue_choice import Placement, SendTarget, TopicTargets
from rmqctl.client.producer.send_request import DEFAULT_QUEUE_COUNT, STORED, SendRequest
from rmqctl.client.routes import TopicRoute
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import ResponseCode

_SURELY_NOT_STORED: Final = frozenset(
    map(
        int,
        (
            ResponseCode.SERVICE_NOT_AVAILABLE,
            ResponseCode.NO_PERMISSION,
            ResponseCode.TOPIC_NOT_EXIST,
            ResponseCode.NO_BUYER_ID,
            ResponseCode.NOT_IN_CURRENT_UNIT,
        ),
    )
)
"""Refusals that concern this broker only: another one may take the message."""

_ATTEMPT_SECONDS_MIN: Final = 0.001

_BUSY_PAUSE_SECONDS: Final = 0.1
"""Before a message is sent again that a broker shed because its queue was long: half of what makes it shed."""

Delivered = tuple[Answer, MessageQueue]
Choice = tuple[TopicRoute, SendTarget]


class FailedAttempt(NamedTuple):
    """One attempt to send, and what came of it."""

    broker: str
    error: ClientError


class DeliveryPolicy(msgspec.Struct, frozen=True):
    """What is done when a broker does not take a message."""

    retries: int
    """How often a send is tried again; one to a chosen queue is not."""
    may_duplicate: bool
    """Whether a message that may be stored already is sent again."""
    auto_create_topic: bool
    """Whether messages of an unknown topic go to brokers that create topics by themselves."""


class Delivery:
    """Sends requests to the queues of their topics.

    Args:
        client: Open as long as this is used.
        group: Producer group in the requests.
        policy: What is done when a broker does not take a message.
        avoid_slow_brokers: Leave brokers alone for a while that were slow or failed.
    """

    def __init__(self, client: Client, group: str, policy: DeliveryPolicy, *, avoid_slow_brokers: bool) -> None:
        self._client = client
        self._group = group
        self._policy = policy
        self._faults = FaultAvoidance(time.monotonic) if avoid_slow_brokers else None
        self._targets: dict[str, TopicTargets] = {}

    async def deliver(
        self,
        request: SendRequest,
        placement: Placement,
        timeout_seconds: float,
        failure: FailedAttempt | None = None,
    ) -> Delivered:
        """Send a request and wait for its answer.

        Args:
            request: What is sent.
            placement: Which queue the caller wants.
            timeout_seconds: For all attempts together; looking up the route is not counted.
            failure: The first attempt, when it was made already.

        Raises:
            ClientError: Of the last attempt.
        """
        deadline = trio.current_time() + timeout_seconds
        attempts = 1 + (self._policy.retries if placement.is_free else 0)
        tried: set[str] = set()
        while True:
            if failure is not None:
                attempts -= 1
                tried.add(failure.broker)
                if (
                    attempts == 0
                    or trio.current_time() >= deadline
                    or not self.can_repeat(failure.error, request.topic)
                ):
                    raise failure.error
                if _is_busy(failure.error):
                    await trio.sleep(_BUSY_PAUSE_SECONDS)
            route, (queue, address) = await self._choose(request.topic, placement, tried)
            try:
                return await self._attempt(request, queue, address, deadline), queue
            except (BrokerUnreachable, RequestRefused, RequestTimedOut) as error:
                self._note_failure(route, queue.broker_name, error)
                failure = FailedAttempt(queue.broker_name, error)

    def submit(
        self,
        request: SendRequest,
        placement: Placement,
        take_outcome: Callable[[Answer | ClientError, MessageQueue], None],
    ) -> Submission | None:
        """Send a request without waiting; None when route or connection are not there yet: `deliver` makes them.

        So it is when the route lacks what is wanted: `deliver` looks it up again.
        """
        topic = request.topic
        route = self._client.routes.current(topic)
        targets = self._targets.get(topic)
        if route is None or targets is None or targets.route is not route:
            return None
        try:
            queue, address = targets.choose(placement, (), self._faults)
        except (InvalidArgument, NoMaster):
            return None
        broker = queue.broker_name
        start = time.monotonic()

        def take(outcome: Answer | ClientError) -> None:
            if not isinstance(outcome, Answer):
                self._note_failure(route, broker, outcome)
            elif self._faults is not None:
                self._faults.note_latency(broker, time.monotonic() - start)
            take_outcome(outcome, queue)

        header = request.header(self._group, queue.queue_id)
        return self._client.connection.submit_to_broker(
            broker, address, request.code, header, take, body=request.body, success=STORED, topic=topic
        )

    async def tell(self, request: SendRequest, placement: Placement) -> None:
        """Send a request that is not answered.

        Raises:
            ClientError: No broker can be found or connected to.
        """
        route, (queue, address) = await self._choose(request.topic, placement, ())
        header = request.header(self._group, queue.queue_id)
        try:
            await self._client.connection.tell_broker(
                queue.broker_name, address, request.code, header, body=request.body, topic=request.topic
            )
        except BrokerUnreachable as error:
            self._note_failure(route, queue.broker_name, error)
            raise

    def note_time_out(self, broker: str) -> None:
        """Note that a broker did not answer a submitted request in time."""
        if self._faults is not None:
            self._faults.note_failure(broker)

    def can_repeat(self, error: ClientError, topic: str) -> bool:
        """Whether a message that came back with an error may be sent again, by the policy."""
        if isinstance(error, BrokerUnreachable):
            return self._policy.may_duplicate if error.maybe_done else True
        if not isinstance(error, RequestRefused):
            return False
        if _is_busy(error):
            return True
        targets = self._targets.get(topic)
        if targets is None or len(targets.brokers) == 1:
            return False
        is_unclear = error.response_code == ResponseCode.SYSTEM_ERROR
        return error.response_code in _SURELY_NOT_STORED or (is_unclear and self._policy.may_duplicate)

    async def _attempt(self, request: SendRequest, queue: MessageQueue, address: str, deadline: float) -> Answer:
        start = trio.current_time()
        answer = await self._client.connection.ask_broker(
            queue.broker_name,
            address,
            request.code,
            request.header(self._group, queue.queue_id),
            body=request.body,
            success=STORED,
            topic=request.topic,
            timeout_seconds=max(_ATTEMPT_SECONDS_MIN, deadline - start),
        )
        if self._faults is not None:
            self._faults.note_latency(queue.broker_name, trio.current_time() - start)
        return answer

    async def _choose(self, topic: str, placement: Placement, tried: Collection[str]) -> Choice:
        try:
            return await self._choose_of_known(topic, placement, tried)
        except (InvalidArgument, NoMaster, NoQueue):
            route = self._client.routes.current(topic)
            if route is None:
                raise
            # A broker may have come, or come back, since the route was looked up.
            self._client.routes.doubt(route)
            return await self._choose_of_known(topic, placement, tried)

    async def _choose_of_known(self, topic: str, placement: Placement, tried: Collection[str]) -> Choice:
        targets = await self._targets_of(topic)
        return targets.route, targets.choose(placement, tried, self._faults)

    async def _targets_of(self, topic: str) -> TopicTargets:
        try:
            route = await self._client.routes.get(topic)
        except TopicNotFound:
            if not self._policy.auto_create_topic:
                raise
            route = _created_by_itself(topic, await self._client.routes.get(AUTO_CREATE_TOPIC))
        known = self._targets.get(topic)
        if known is None or known.route is not route:
            known = self._targets[topic] = TopicTargets(route, known)
        return known

    def _note_failure(self, route: TopicRoute, broker: str, error: ClientError) -> None:
        is_elsewhere = isinstance(error, RequestRefused) and error.response_code in _SURELY_NOT_STORED
        if is_elsewhere or isinstance(error, BrokerUnreachable):
            self._client.routes.doubt(route)
        if self._faults is not None:
            self._faults.note_failure(broker)


def _is_busy(error: ClientError) -> bool:
    return isinstance(error, RequestRefused) and error.response_code == ResponseCode.SYSTEM_BUSY


def _created_by_itself(topic: str, template: TopicRoute) -> TopicRoute:
    """Return the route that a topic will have once brokers have created it at its first message."""
    parts = tuple(
        msgspec.structs.replace(
            part,
            read_queues=min(part.read_queues, DEFAULT_QUEUE_COUNT),
            write_queues=min(part.write_queues, DEFAULT_QUEUE_COUNT),
        )
        for part in template.brokers
    )
    return TopicRoute(topic, parts)
