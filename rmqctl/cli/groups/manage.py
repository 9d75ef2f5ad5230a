"""`rmqctl group list | create | delete`: which consumer groups a cluster has."""

from typing import Annotated

import msgspec
import typer

from rmqctl.cli.options import (
    ClusterOption,
    GroupArgument,
    HomeOption,
    JsonOption,
    NameserverOption,
    RemapOption,
    YesOption,
)
from rmqctl.cli.output import confirm_or_refuse, narrate, print_json, print_result
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.admin.groups import (
    SYSTEM_GROUPS,
    Gaps,
    GroupAdmin,
    GroupMembers,
)
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.names import check_group, check_new_group
from rmqnode.protocol.bodies import SubscriptionGroupConfig

_GROUPS_AT_ONCE = 16


def list_groups(
    show_all: Annotated[bool, typer.Option("--all", help="Show the groups that every broker has, too.")] = False,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the consumer groups of a cluster, one name a line."""
    gaps = Gaps()

    async def work(connection: ClusterConnection) -> dict[str, dict[str, SubscriptionGroupConfig]]:
        return await GroupAdmin(connection).configs(gaps)

    groups = run_session(choose_target(cluster, nameserver, home, remap), work)
    shown = [name for name in groups if show_all or name not in SYSTEM_GROUPS]
    if json_output:
        listed = [
            {
                "name": name,
                "kind": "system" if name in SYSTEM_GROUPS else "user",
                "brokers": list(groups[name]),
            }
            for name in shown
        ]
        print_json({"groups": listed, "unanswered": gaps.reasons})
        return
    for name in shown:
        print_result(name)
    narrate_gaps(gaps)
    if len(groups) > len(shown):
        narrate(f"{len(groups) - len(shown)} groups of the system are not shown (--all shows them)")


def create(
    group: GroupArgument,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, help="Redeliveries before the dead-letter queue.")
    ] = 16,
    retry_queues: Annotated[
        int, typer.Option("--retry-queues", metavar="N", min=0, help="Queues of its retry topic on each master.")
    ] = 1,
    disabled: Annotated[bool, typer.Option("--disabled", help="Members may not consume for now.")] = False,
    no_broadcast: Annotated[bool, typer.Option("--no-broadcast", help="Members may not broadcast.")] = False,
    broker: Annotated[
        str | None,
        typer.Option("--broker", metavar="NAME|all", help="Only on this one; default all masters of the cluster."),
    ] = None,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Create a consumer group on every master, or give it this configuration."""
    config = SubscriptionGroupConfig(
        group_name=check_new_group(group),
        consume_enable=not disabled,
        consume_broadcast_enable=not no_broadcast,
        retry_queue_nums=retry_queues,
        retry_max_times=retries,
    )

    async def work(connection: ClusterConnection) -> dict[str, str]:
        return await GroupAdmin(connection).create(config, broker)

    masters = run_session(choose_target(cluster, nameserver, home, remap), work)
    if json_output:
        print_json({"group": group, "configuration": msgspec.to_builtins(config), "masters": masters})
        return
    print_result(f"group {group}: {describe_config(config)}, on {', '.join(masters)}")


def delete(
    group: GroupArgument,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Delete a consumer group from every master, with its offsets where the broker can."""
    check_group(group)
    target = choose_target(cluster, nameserver, home, remap)
    gaps = Gaps()

    async def look(connection: ClusterConnection) -> GroupMembers:
        return await GroupAdmin(connection).members(group, gaps)

    async def work(connection: ClusterConnection) -> list[str]:
        return await GroupAdmin(connection).delete(group)

    if members := run_session(target, look).members:
        narrate(f"{len(members)} members are connected, and a broker may create the group for them again")
    question = f"delete group {group} of {target} ({target.reason})?"
    refused, kept = f"group {group} is not deleted without a confirmation", f"group {group} is kept"
    confirm_or_refuse(question, yes=yes, refused=refused, kept=kept)
    brokers = run_session(target, work)
    if json_output:
        print_json({"group": group, "deleted_from": brokers})
        return
    print_result(f"group {group} deleted from {', '.join(brokers)}")


def describe_config(config: SubscriptionGroupConfig) -> str:
    """Return a configuration in words."""
    queues = "1 retry queue" if config.retry_queue_nums == 1 else f"{config.retry_queue_nums} retry queues"
    parts = [f"{config.retry_max_times} redeliveries", queues]
    if not config.consume_enable:
        parts.append("consuming disabled")
    if not config.consume_broadcast_enable:
        parts.append("no broadcasting")
    return ", ".join(parts)


def narrate_gaps(gaps: Gaps) -> None:
    """Say which brokers gave no answer."""
    for reason in gaps.reasons.values():
        narrate(f"rmqctl: without the part of a broker: {reason}")
