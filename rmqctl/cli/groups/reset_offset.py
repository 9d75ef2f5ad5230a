"""`rmqctl group reset-offset`: show old and new offset of each queue, ask, and move the group."""

from datetime import datetime
from typing import Annotated

import typer

from rmqctl.cli.options import (
    ClusterOption,
    GroupArgument,
    HomeOption,
    JsonOption,
    NameserverOption,
    RemapOption,
    TopicArgument,
    YesOption,
)
from rmqctl.cli.output import confirm_or_refuse, narrate, print_json, print_result, print_table
from rmqctl.cli.queue_option import parse_queue
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.admin.groups import Gaps, GroupAdmin
from rmqctl.client.admin.offset_reset import OffsetReset, QueueReset, ResetTarget, Step
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import GroupNotFound
from rmqctl.client.names import check_group, check_topic
from rmqctl.client.routes import RouteTable
from rmqctl.client.start_position import parse_start
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqctl.target import Target
from rmqnode.protocol.bodies import MessageQueue


def reset_offset(
    group: GroupArgument,
    topic: TopicArgument,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="earliest|latest|TIME", help="Where to: an age as -10m, or a time."),
    ] = None,
    by: Annotated[
        int | None, typer.Option("--by", metavar="N", help="N messages further in each queue; -N goes back.")
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", metavar="[BROKER:]ID", help="Only this queue; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Move a consumer group to other offsets of a topic, showing old and new ones of each queue first.

    With members connected, only all queues can be moved, and only to a place in time: their brokers tell them.
    """
    check_group(group)
    check_topic(topic)
    target = _target_of(to, by)
    choices = [parse_queue(text) for text in queue or ()]
    cluster_target = choose_target(cluster, nameserver, home, remap)

    def wants(candidate: MessageQueue) -> bool:
        return not choices or any(choice.wants(candidate) for choice in choices)

    async def look(connection: ClusterConnection) -> tuple[list[QueueReset], int]:
        gaps = Gaps()
        admin = GroupAdmin(connection)
        members = (await admin.members(group, gaps)).members
        if not members and group not in await admin.configs(gaps):
            raise GroupNotFound(group)
        if gaps.reasons:
            raise RmqctlError(
                f"group {group} may have members that nobody knows of", "; ".join(gaps.reasons.values()),
                "bring that broker back, and repeat it", ExitCode.UNREACHABLE,
            )  # fmt: skip
        return await OffsetReset(connection, RouteTable(connection), group, topic).plan(target, wants), len(members)

    plan, member_count = run_session(cluster_target, look)
    if member_count and (choices or isinstance(target, Step)):
        raise _only_in_time(group, member_count)
    if not json_output:
        _print_plan(plan)
    _narrate_effect(plan)
    if dry_run:
        _finish(plan, json_output=json_output, changed=False, sentence="nothing was changed (--dry-run)")
        return
    _ask(group, topic, target, cluster_target, yes=yes)

    async def work(connection: ClusterConnection) -> None:
        reset = OffsetReset(connection, RouteTable(connection), group, topic)
        await (reset.tell_members(target, plan) if member_count else reset.write(plan))

    run_session(cluster_target, work)
    done = f"group {group} goes on at these offsets"
    if member_count:
        done = f"{member_count} members were told: they stop, and go on at these offsets in about ten seconds"
    _finish(plan, json_output=json_output, changed=True, sentence=done)


def _target_of(to: str | None, by: int | None) -> ResetTarget:
    if (to is None) == (by is None):
        raise UsageError(
            "where to was not said" if to is None else "--to and --by were both given",
            cure="--to earliest, --to latest, --to -10m, --to 2026-11-23T10:00, or --by -100",
        )
    if by is not None:
        return Step(by)
    assert to is not None
    start = parse_start(to, datetime.now().astimezone())
    assert isinstance(start, ResetTarget), "what is typed as a start is one of those"
    return start


def _only_in_time(group: str, member_count: int) -> RmqctlError:
    return RmqctlError(
        f"group {group} has {member_count} {'member' if member_count == 1 else 'members'} connected",
        "they keep offsets of their own, and brokers can tell them only to go to a place in time, in every queue",
        "stop the consumers and repeat it, or move all queues with --to earliest, latest or a time",
    )


def _narrate_effect(plan: list[QueueReset]) -> None:
    skipped = sum(max(0, reset.skipped or 0) for reset in plan)
    again = sum(max(0, -(reset.skipped or 0)) for reset in plan)
    narrate(f"messages that will be skipped: {skipped}, consumed again: {again}")


def _ask(group: str, topic: str, target: ResetTarget, cluster: Target, *, yes: bool) -> None:
    question = f"move group {group} on topic {topic} of {cluster} to {target}?"
    refused, kept = f"group {group} is not moved without a confirmation", f"group {group} is not moved"
    confirm_or_refuse(question, yes=yes, refused=refused, kept=kept)


def _print_plan(plan: list[QueueReset]) -> None:
    print_table(["BROKER", "QUEUE", "FIRST", "END", "OLD", "NEW", "SKIPPED"], [_row(reset) for reset in plan])


def _row(reset: QueueReset) -> list[str]:
    old = "-" if reset.old_offset is None else str(reset.old_offset)
    skipped = "-" if reset.skipped is None else f"{reset.skipped:+d}"
    numbers = (reset.queue_id, reset.min_offset, reset.max_offset)
    return [reset.broker, *map(str, numbers), old, str(reset.new_offset), skipped]


def _finish(plan: list[QueueReset], *, json_output: bool, changed: bool, sentence: str) -> None:
    if json_output:
        print_json({"changed": changed, "queues": plan})
    elif changed:
        print_result(sentence)
    else:
        narrate(sentence)
