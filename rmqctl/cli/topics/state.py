"""`rmqctl topic route | describe`: where a topic is served, and what is in its queues."""

from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, NameserverOption, RemapOption, TopicArgument
from rmqctl.cli.output import print_json, print_table
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.admin.topics import QueueState, TopicAdmin
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.names import check_topic
from rmqctl.client.routes import BrokerRoute, TopicRoute
from rmqctl.client.start_position import format_time

_PERMISSION_NAMES = {4: "r", 2: "w", 6: "rw"}


def route(
    name: TopicArgument,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show which brokers serve a topic, with how many queues, and where they listen."""
    check_topic(name)

    async def work(connection: ClusterConnection) -> TopicRoute:
        return await TopicAdmin(connection).routes.refresh(name)

    found = run_session(choose_target(cluster, nameserver, home, remap), work)
    if json_output:
        print_json({"topic": name, "brokers": found.brokers, "order_conf": found.order_conf})
        return
    print_table(
        ["BROKER", "CLUSTER", "READ QUEUES", "WRITE QUEUES", "PERM", "MASTER", "SLAVES"],
        [_route_row(part) for part in found.brokers],
    )


def describe(
    name: TopicArgument,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the queues of a topic: first offset, next offset, messages between, time of the last one."""
    check_topic(name)

    async def work(connection: ClusterConnection) -> list[QueueState]:
        return await TopicAdmin(connection).describe(name)

    states = run_session(choose_target(cluster, nameserver, home, remap), work)
    if json_output:
        print_json({"topic": name, "queues": states})
        return
    print_table(
        ["BROKER", "QUEUE", "MIN OFFSET", "MAX OFFSET", "MESSAGES", "LAST UPDATE"],
        [_state_row(state) for state in states],
    )


def _route_row(part: BrokerRoute) -> list[str]:
    slaves = [address for broker_id, address in part.addresses.items() if broker_id != 0]
    return [
        part.broker,
        part.cluster,
        str(part.read_queues),
        str(part.write_queues),
        _PERMISSION_NAMES.get(part.permission, str(part.permission)),
        part.master_address or "-",
        ", ".join(slaves) or "-",
    ]


def _state_row(state: QueueState) -> list[str]:
    last_update = state.last_update_timestamp
    return [
        state.broker,
        str(state.queue_id),
        str(state.min_offset),
        str(state.max_offset),
        str(state.max_offset - state.min_offset),
        "-" if last_update is None else format_time(last_update),
    ]
