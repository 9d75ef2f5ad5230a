"""Creating, describing and deleting topics against servers that answer as brokers and nameservers do."""

from typing import Any

import pytest

from rmqctl.client import ClusterConnection, InvalidArgument, NoMaster, NotRoutedInTime, TopicSpec
from rmqctl.client.admin.order_config import merged_entry
from rmqctl.client.admin.topics import QueueState, TopicAdmin, check_spec
from rmqctl.client.admin.topology import BrokerGroup, Topology
from rmqnode.protocol.bodies import MessageQueue, TopicOffset, TopicStatsTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import header_from_ext_fields
from rmqnode.protocol.headers import CreateTopicRequestHeader, OffsetResponseHeader

CREATE = RequestCode.UPDATE_AND_CREATE_TOPIC


class Cluster:
    """Two nameservers and a broker; a nameserver routes the topic only after so many look-ups."""

    def __init__(self, toolbox: Any) -> None:
        self.toolbox = toolbox
        self.lookups_until_routed = {0: 0, 1: 0}
        self.queues = 4

    async def start(self) -> "Cluster":
        reply = self.toolbox.reply
        self.broker = await self.toolbox.serve(
            {CREATE: lambda _: reply(), RequestCode.DELETE_TOPIC_IN_BROKER: lambda _: reply()}
        )
        brokers = {"broker-a": self.broker.address}

        def route(index: int) -> Any:
            self.lookups_until_routed[index] -= 1
            if self.lookups_until_routed[index] >= 0 or not self.broker.requests:
                return self.toolbox.no_route(None)
            return reply(body=self.toolbox.route_body(brokers, self.queues))

        self.nameservers = [
            await self.toolbox.serve(
                {
                    RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _, index=index: route(index),
                    RequestCode.GET_BROKER_CLUSTER_INFO: lambda _: reply(body=self.toolbox.cluster_body(brokers)),
                    RequestCode.GET_KV_CONFIG: lambda _: reply(0, {"value": "broker-z:1"}),
                    RequestCode.PUT_KV_CONFIG: lambda _: reply(),
                    RequestCode.DELETE_KV_CONFIG: lambda _: reply(),
                    RequestCode.DELETE_TOPIC_IN_NAMESRV: lambda _: reply(),
                }
            )
            for index in range(2)
        ]
        return self

    @property
    def addresses(self) -> list[str]:
        return [nameserver.address for nameserver in self.nameservers]


async def test_create_returns_only_when_every_nameserver_routes_the_topic(toolbox: Any) -> None:
    cluster = await Cluster(toolbox).start()
    cluster.lookups_until_routed = {0: 1, 1: 3}
    async with ClusterConnection(cluster.addresses) as connection:
        masters = await TopicAdmin(connection).create(TopicSpec("T", 4, 4), broker=None, timeout_seconds=5)
    assert masters == {"broker-a": cluster.broker.address}
    assert cluster.lookups_until_routed == {0: -1, 1: -1}
    (request,) = cluster.broker.requests_of(CREATE)
    header = header_from_ext_fields(CreateTopicRequestHeader, request.ext_fields)
    assert (header.topic, header.read_queue_nums, header.write_queue_nums, header.perm) == ("T", 4, 4, 6)
    assert header.topic_filter_type == "SINGLE_TAG"


async def test_create_does_not_report_success_while_the_route_has_other_counts(toolbox: Any) -> None:
    cluster = await Cluster(toolbox).start()
    cluster.queues = 8
    async with ClusterConnection(cluster.addresses) as connection:
        with pytest.raises(NotRoutedInTime, match=f"not routed as asked by nameserver {cluster.addresses[0]}"):
            await TopicAdmin(connection).create(TopicSpec("T", 4, 4), broker=None, timeout_seconds=0.1)


async def test_create_waits_for_a_nameserver_that_is_starting_again(toolbox: Any, free_address: str) -> None:
    cluster = await Cluster(toolbox).start()
    async with ClusterConnection([cluster.addresses[0], free_address]) as connection:
        with pytest.raises(NotRoutedInTime) as caught:
            await TopicAdmin(connection).create(TopicSpec("T", 4, 4), broker=None, timeout_seconds=0.2)
    assert free_address in caught.value.what
    assert cluster.addresses[0] not in caught.value.what
    assert free_address in (caught.value.why or "")


async def test_an_ordered_topic_is_noted_at_every_nameserver_beside_the_brokers_already_there(toolbox: Any) -> None:
    cluster = await Cluster(toolbox).start()
    async with ClusterConnection(cluster.addresses) as connection:
        await TopicAdmin(connection).create(TopicSpec("T", 4, 4, order=True), broker=None, timeout_seconds=5)
    for nameserver in cluster.nameservers:
        (request,) = nameserver.requests_of(RequestCode.PUT_KV_CONFIG)
        assert request.ext_fields == {"namespace": "ORDER_TOPIC_CONFIG", "key": "T", "value": "broker-a:4;broker-z:1"}


async def test_delete_reaches_masters_and_all_nameservers_and_looks_whether_it_worked(toolbox: Any) -> None:
    cluster = await Cluster(toolbox).start()
    async with ClusterConnection(cluster.addresses) as connection:
        admin = TopicAdmin(connection)
        await admin.create(TopicSpec("T", 4, 4), broker=None, timeout_seconds=5)
        with pytest.raises(NotRoutedInTime, match="still routed"):
            await admin.delete("T", timeout_seconds=0.1)
        cluster.lookups_until_routed = {0: 0, 1: 0}
        for nameserver in cluster.nameservers:
            nameserver.handlers[RequestCode.DELETE_TOPIC_IN_NAMESRV] = lambda _: _forget(cluster, toolbox)
        assert await admin.delete("T", timeout_seconds=5) == ["broker-a"]
    assert len(cluster.broker.requests_of(RequestCode.DELETE_TOPIC_IN_BROKER)) == 2
    assert all(len(nameserver.requests_of(RequestCode.DELETE_KV_CONFIG)) == 2 for nameserver in cluster.nameservers)


async def test_describe_shows_write_queues_from_the_table_and_asks_for_further_read_queues(toolbox: Any) -> None:
    table = TopicStatsTable(
        offset_table={
            MessageQueue(topic="T", broker_name="broker-a", queue_id=0): TopicOffset(
                min_offset=1, max_offset=5, last_update_timestamp=1_700_000_000_000
            ),
            MessageQueue(topic="T", broker_name="broker-a", queue_id=1): TopicOffset(),
        }
    )
    broker = await toolbox.serve(
        {
            RequestCode.GET_TOPIC_STATS_INFO: lambda _: toolbox.reply(body=table.encode()),
            RequestCode.GET_MIN_OFFSET: lambda _: toolbox.reply(0, OffsetResponseHeader(offset=2)),
            RequestCode.GET_MAX_OFFSET: lambda _: toolbox.reply(0, OffsetResponseHeader(offset=9)),
        }
    )
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=3)
    async with ClusterConnection([nameserver.address]) as connection:
        assert await TopicAdmin(connection).describe("T") == [
            QueueState("broker-a", 0, 1, 5, 1_700_000_000_000),
            QueueState("broker-a", 1, 0, 0, None),
            QueueState("broker-a", 2, 2, 9, None),
        ]


async def test_describe_of_a_topic_whose_master_is_down_says_so(toolbox: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": ""})
    async with ClusterConnection([nameserver.address]) as connection:
        with pytest.raises(NoMaster, match="broker-a has no master"):
            await TopicAdmin(connection).describe("T")


@pytest.mark.parametrize(
    "spec",
    [
        TopicSpec("T", 0, 1),
        TopicSpec("T", 1, 0),
        TopicSpec("T", -1, -1),
        TopicSpec("T", 65_537, 1),
        TopicSpec("T", 1, 1, permission=0),
        TopicSpec("T", 1, 1, permission=8),
        TopicSpec("T T", 1, 1),
        TopicSpec("TBW102", 1, 1),
    ],
)
def test_a_topic_that_nobody_could_use_is_refused_before_anything_is_sent(spec: TopicSpec) -> None:
    with pytest.raises(InvalidArgument):
        check_spec(spec)


TWO_CLUSTERS = Topology(
    (BrokerGroup("broker-a", "C1", {0: "a:1", 1: "a:2"}), BrokerGroup("broker-b", "C2", {0: "b:1"}))
)
ONE_CLUSTER = Topology((BrokerGroup("broker-a", "C", {0: "a:1"}), BrokerGroup("broker-b", "C", {1: "b:2"})))


def test_no_broker_named_among_several_clusters_is_refused_rather_than_guessed() -> None:
    with pytest.raises(InvalidArgument, match="several clusters"):
        TWO_CLUSTERS.masters_of(None)
    assert TWO_CLUSTERS.masters_of("all") == {"broker-a": "a:1", "broker-b": "b:1"}
    assert TWO_CLUSTERS.masters_of("broker-b") == {"broker-b": "b:1"}


def test_a_master_that_is_down_is_not_left_out_silently() -> None:
    with pytest.raises(NoMaster, match="broker-b has no master now"):
        ONE_CLUSTER.masters_of(None)
    assert ONE_CLUSTER.masters_of("broker-a") == {"broker-a": "a:1"}


def test_an_unknown_broker_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidArgument) as caught:
        ONE_CLUSTER.masters_of("broker-x")
    assert "broker-a, broker-b" in (caught.value.why or "")


def test_an_empty_cluster_has_no_masters() -> None:
    with pytest.raises(NoMaster, match="no broker is registered"):
        Topology(()).masters_of(None)


@pytest.mark.parametrize(
    ("entry", "queues", "merged"),
    [
        ("", {"b": 2, "a": 1}, "a:1;b:2"),
        ("b:4;c:3", {"b": 2}, "b:2;c:3"),
        ("nonsense;;b:4", {"a": 1}, "a:1;b:4"),
    ],
)
def test_an_order_entry_keeps_the_other_brokers(entry: str, queues: dict[str, int], merged: str) -> None:
    assert merged_entry(entry, queues) == merged


def _forget(cluster: Cluster, toolbox: Any) -> Any:
    cluster.lookups_until_routed = {0: 1_000_000, 1: 1_000_000}
    return toolbox.reply(ResponseCode.SUCCESS)
