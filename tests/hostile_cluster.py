"""A nameserver and broker in one that answers every request with hostile text: what a command makes of it is tested."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from rmqnode.broker.routes import ROUTES as BROKER_ROUTES
from rmqnode.nameserver.routes import ROUTES as NAMESERVER_ROUTES
from rmqnode.net.dispatch import Dispatcher
from rmqnode.net.listening import listen
from rmqnode.net.server import Server
from rmqnode.protocol import bodies, message
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.routes import Reply, Request, Route
from tests.hostile_text import HALF, HOSTILE, body_of, header_of

C = RequestCode

BODIES: dict[RequestCode, type[Any]] = {
    C.GET_ALL_TOPIC_CONFIG: bodies.TopicConfigSerializeWrapper,
    C.GET_ALL_SUBSCRIPTIONGROUP_CONFIG: bodies.SubscriptionGroupWrapper,
    C.GET_BROKER_RUNTIME_INFO: bodies.KVTable,
    C.GET_TOPIC_STATS_INFO: bodies.TopicStatsTable,
    C.GET_CONSUME_STATS: bodies.ConsumeStats,
    C.GET_CONSUMER_CONNECTION_LIST: bodies.ConsumerConnection,
    C.GET_PRODUCER_CONNECTION_LIST: bodies.ProducerConnection,
    C.QUERY_TOPIC_CONSUME_BY_WHO: bodies.GroupList,
    C.GET_CONSUMER_LIST_BY_GROUP: bodies.GetConsumerListByGroupResponseBody,
    C.GET_CONSUMER_RUNNING_INFO: bodies.ConsumerRunningInfo,
    C.GET_BROKER_CONSUME_STATS: bodies.ConsumeStatsList,
    C.CONSUME_MESSAGE_DIRECTLY: bodies.ConsumeMessageDirectlyResult,
    C.INVOKE_BROKER_TO_RESET_OFFSET: bodies.ResetOffsetBody,
    C.INVOKE_BROKER_TO_GET_CONSUMER_STATUS: bodies.GetConsumerStatusBody,
}

FOUND = (C.GET_ROUTEINTO_BY_TOPIC, C.GET_BROKER_CLUSTER_INFO)
"""Requests that a command begins with."""


class HostileCluster:
    """What is answered.

    Args:
        refuses: Every request but those in `FOUND` is answered with an error and a hostile remark.
        refuses_all: Those too.
    """

    def __init__(self, *, refuses: bool = False, refuses_all: bool = False) -> None:
        self.refuses = refuses
        self.refuses_all = refuses_all
        self.address = ""
        self.topic_is_deleted = False

    def answer(self, request: Request[Any], route: Route) -> Reply:
        """One answer."""
        if self.refuses_all or (self.refuses and route.code not in FOUND):
            return Reply(ResponseCode.SYSTEM_ERROR, HOSTILE)
        if route.code is C.DELETE_TOPIC_IN_NAMESRV:
            self.topic_is_deleted = True
        if route.code is C.GET_ROUTEINTO_BY_TOPIC and self.topic_is_deleted:
            return Reply(ResponseCode.TOPIC_NOT_EXIST, HOSTILE)
        header = None if route.response_header is None else header_of(route.response_header, HOSTILE)
        return Reply(remark=HOSTILE, header=header, body=_with_halves(self._body(route.code)))

    def _body(self, code: RequestCode) -> bytes:
        broker = bodies.BrokerData(cluster=HOSTILE, broker_name=HOSTILE, broker_addrs={0: self.address})
        half = bodies.BrokerData(cluster=HALF, broker_name=HALF, broker_addrs={0: self.address})
        match code:
            case C.GET_ROUTEINTO_BY_TOPIC:
                queues = [
                    bodies.QueueData(broker_name=each, read_queue_nums=1, write_queue_nums=1, perm=6)
                    for each in (HOSTILE, HALF)
                ]
                return bodies.TopicRouteData(queue_datas=queues, broker_datas=[broker, half]).encode()
            case C.GET_BROKER_CLUSTER_INFO:
                return bodies.ClusterInfo(
                    broker_addr_table={HOSTILE: broker, HALF: half}, cluster_addr_table={HOSTILE: [HOSTILE, HALF]}
                ).encode()
            case C.GET_ALL_TOPIC_LIST_FROM_NAMESERVER | C.GET_TOPICS_BY_CLUSTER | C.GET_SYSTEM_TOPIC_LIST_FROM_NS:
                return bodies.TopicList(topic_list=[HOSTILE, HALF, "t"], broker_addr=self.address).encode()
            case C.PULL_MESSAGE | C.QUERY_MESSAGE | C.VIEW_MESSAGE_BY_ID:
                return hostile_record(int(self.address.rpartition(":")[2]))
        return body_of(BODIES[code]) if code in BODIES else b""


def _with_halves(body: bytes) -> bytes:
    """Put half pairs where our own writer, as Java's, wrote a question mark."""
    return body.replace(HALF.encode("ascii", "replace"), b"a\\ud801b")


def hostile_record(port: int) -> bytes:
    """A message whose body and properties are hostile, stored by the broker at this port."""
    text = HOSTILE.replace("\n", "\r")
    return message.encode_record(
        message.StoredMessage(
            topic="t",
            queue_id=0,
            flag=0,
            queue_offset=0,
            physical_offset=0,
            sys_flag=0,
            born_timestamp=1,
            born_host=message.Host(bytes(4), 1),
            store_timestamp=1,
            store_host=message.Host(bytes((127, 0, 0, 1)), port),
            reconsume_times=0,
            prepared_transaction_offset=0,
            body=HOSTILE.encode(),
            body_crc=0,
            properties={"TAGS": text, "KEYS": "k " + text, "UNIQ_KEY": "7F00000100002A139A5501A3A0D50000", text: text},
            size_bytes=0,
        )
    )


@contextmanager
def hostile_cluster(**refusals: bool) -> Iterator[HostileCluster]:
    """Run one on a port of loopback; gives it with its address."""
    cluster = HostileCluster(**refusals)
    routes = {route.code: route for route in (*BROKER_ROUTES, *NAMESERVER_ROUTES)}

    def handler(route: Route) -> Any:
        return lambda _, request: cluster.answer(request, route)

    table = [Route(each.code, each.request_header, each.response_header, handler(each)) for each in routes.values()]
    listeners = listen(("127.0.0.1",), 0)
    cluster.address = f"127.0.0.1:{listeners[0].getsockname()[1]}"
    tokens: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []
    is_ready = threading.Event()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            tokens.append((trio.lowlevel.current_trio_token(), scope))
            is_ready.set()
            await Server(Dispatcher(table, None), lambda _: None, 120).serve(listeners)

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    is_ready.wait()
    try:
        yield cluster
    finally:
        token, scope = tokens[0]
        token.run_sync_soon(scope.cancel)
        thread.join(10)
