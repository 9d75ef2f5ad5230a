"""`rmqctl group describe | lag`: who consumes as a group, and how far behind it is."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
import trio
import typer

from rmqctl.cli.groups.manage import describe_config, narrate_gaps
from rmqctl.cli.options import ClusterOption, GroupArgument, HomeOption, JsonOption, NameserverOption, RemapOption
from rmqctl.cli.output import print_json, print_result, print_table
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.admin.groups import SYSTEM_GROUPS, Gaps, GroupAdmin, GroupMembers, Lag, QueueLag
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import GroupNotFound
from rmqctl.client.names import RETRY_PREFIX, check_group, check_topic
from rmqctl.client.parallel import in_parallel
from rmqctl.client.start_position import format_time
from rmqctl.errors import RmqctlError
from rmqnode.protocol.bodies import SubscriptionGroupConfig

_GROUPS_AT_ONCE = 16


class GroupSummary(msgspec.Struct, frozen=True):
    """One group of several. Its members are JSON of `rmqctl group lag --json`."""

    group: str
    members: int
    lag: int
    retry_lag: int
    """Of `lag`, messages that wait for redelivery."""
    tps: float


def describe(
    group: GroupArgument,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show a group: its configuration, its members, what they subscribe, and how far they are behind."""
    check_group(group)
    gaps = Gaps()

    async def work(
        connection: ClusterConnection,
    ) -> tuple[dict[str, SubscriptionGroupConfig], GroupMembers, Lag]:
        admin = GroupAdmin(connection)
        configs = (await admin.configs(gaps)).get(group, {})
        return configs, await admin.members(group, gaps), await admin.lag(group, gaps)

    configs, online, lag = run_session(choose_target(cluster, nameserver, home, remap), work)
    if not configs and not online.members and not lag.queues:
        raise GroupNotFound(group)
    if json_output:
        document = {
            "group": group,
            "configuration": {broker: msgspec.to_builtins(config) for broker, config in configs.items()},
            "online": online,
            "lag": lag.total,
            "tps": lag.tps,
            "queues": lag.queues,
            "unanswered": gaps.reasons,
        }
        print_json(document)
        return
    _print_configuration(group, configs)
    _print_members(online)
    if lag.queues:
        print_result("")
        print_table(
            ["TOPIC", "QUEUES", "LAG", "CONSUMED UP TO"],
            [_topic_row(topic, queues) for topic, queues in _by_topic(lag.queues).items()],
        )
        print_result(f"{lag.total} messages behind, {lag.tps:.1f} messages/s consumed")
    narrate_gaps(gaps)


def lag(
    group: Annotated[
        str | None, typer.Argument(metavar="[GROUP]", help="By default all groups.", show_default=False)
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only this topic.")] = None,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show how many messages a group has yet to consume, queue by queue; without GROUP the sum of every group."""
    if topic is not None:
        check_topic(topic)
    target = choose_target(cluster, nameserver, home, remap)
    gaps = Gaps()
    if group is None:
        summaries = run_session(target, partial(_summarize, gaps=gaps, topic=topic))
        if json_output:
            print_json({"groups": summaries, "unanswered": gaps.reasons})
            return
        narrate_gaps(gaps)
        print_table(["GROUP", "MEMBERS", "LAG", "FOR REDELIVERY", "MESSAGES/S"], [_row(each) for each in summaries])
        return
    name = check_group(group)

    async def work(connection: ClusterConnection) -> Lag:
        return await GroupAdmin(connection).lag(name, gaps, topic)

    found = run_session(target, work)
    if not found.queues and not gaps.reasons:
        raise RmqctlError(
            f"group {name} has consumed nothing{f' of topic {topic}' if topic else ''} yet",
            "no broker has an offset of it",
            "see which groups there are: rmqctl group list; which topics: rmqctl topic list",
        )
    if json_output:
        document = {"group": name, "lag": found.total, "tps": found.tps, "queues": found.queues}
        print_json(document | {"unanswered": gaps.reasons})
        return
    narrate_gaps(gaps)
    print_table(
        ["TOPIC", "BROKER", "QUEUE", "CONSUMED", "END", "LAG", "CONSUMED UP TO"],
        [_queue_row(queue) for queue in found.queues],
    )
    print_result(f"{found.total} messages behind, {found.tps:.1f} messages/s consumed")


async def _summarize(connection: ClusterConnection, gaps: Gaps, topic: str | None) -> list[GroupSummary]:
    admin = GroupAdmin(connection)
    names = [name for name in await admin.configs(gaps) if name not in SYSTEM_GROUPS]
    limiter = trio.CapacityLimiter(_GROUPS_AT_ONCE)

    async def summarize(name: str) -> GroupSummary:
        async with limiter:
            found = await admin.lag(name, gaps, topic)
            online = await admin.members(name, gaps)
        retry_lag = sum(queue.lag for queue in found.queues if queue.topic.startswith(RETRY_PREFIX))
        return GroupSummary(name, len(online.members), found.total, retry_lag, found.tps)

    return await in_parallel([partial(summarize, name) for name in names])


def _print_configuration(group: str, configs: dict[str, SubscriptionGroupConfig]) -> None:
    if not configs:
        print_result(f"group {group}: not configured on any broker that answers")
    for text in dict.fromkeys(map(describe_config, configs.values())):
        brokers = ", ".join(broker for broker, config in configs.items() if describe_config(config) == text)
        print_result(f"group {group}: {text}, on {brokers}")


def _print_members(online: GroupMembers) -> None:
    if not online.members:
        print_result("no members are connected")
        return
    facts = ", ".join(filter(None, (online.message_model, online.consume_type, online.consume_from_where))).lower()
    print_result(f"{len(online.members)} {'member' if len(online.members) == 1 else 'members'}: {facts}")
    print_result("")
    print_table(
        ["CLIENT ID", "ADDRESS", "LANGUAGE", "VERSION"],
        [[each.client_id, each.address, each.language or "-", each.version] for each in online.members],
    )
    print_result("")
    print_table(
        ["SUBSCRIBED TOPIC", "BY", "EXPRESSION"],
        [[each.topic, each.expression_type, each.expression] for each in online.subscriptions],
    )


def _by_topic(queues: Sequence[QueueLag]) -> dict[str, list[QueueLag]]:
    topics: dict[str, list[QueueLag]] = {}
    for queue in queues:
        topics.setdefault(queue.topic, []).append(queue)
    return topics


def _topic_row(topic: str, queues: list[QueueLag]) -> list[str]:
    last = max((queue.last_timestamp or 0 for queue in queues), default=0)
    return [topic, str(len(queues)), str(sum(queue.lag for queue in queues)), format_time(last) if last else "-"]


def _queue_row(queue: QueueLag) -> list[str]:
    last = "-" if queue.last_timestamp is None else format_time(queue.last_timestamp)
    numbers = (queue.queue_id, queue.consumer_offset, queue.max_offset, queue.lag)
    return [queue.topic, queue.broker, *map(str, numbers), last]


def _row(summary: GroupSummary) -> list[str]:
    numbers = (summary.members, summary.lag, summary.retry_lag)
    return [summary.group, *map(str, numbers), f"{summary.tps:.1f}"]
