"""`rmqctl topic create | list | delete`: which topics a cluster has."""

from typing import Annotated

import typer

from rmqctl.cli.options import (
    ClusterOption,
    HomeOption,
    JsonOption,
    NameserverOption,
    RemapOption,
    TimeoutOption,
    TopicArgument,
    YesOption,
)
from rmqctl.cli.output import confirm_or_refuse, narrate, print_json, print_result
from rmqctl.cli.session import choose_target, run_session
from rmqctl.client.admin.topics import TopicAdmin, TopicSpec, check_spec
from rmqctl.client.connection import ClusterConnection
from rmqctl.client.names import DLQ_PREFIX, RETRY_PREFIX, check_own_topic, is_system_topic
from rmqctl.client.routes import TopicRoute
from rmqctl.errors import UsageError

_PERMISSIONS = {"r": 4, "w": 2, "rw": 6, "wr": 6, "4": 4, "2": 2, "6": 6}


def create(
    name: TopicArgument,
    queues: Annotated[
        int | None, typer.Option("--queues", metavar="N", help="Read and write queues on each master.")
    ] = None,
    read_queues: Annotated[
        int | None, typer.Option("--read-queues", metavar="R", help="Read queues on each master.")
    ] = None,
    write_queues: Annotated[
        int | None, typer.Option("--write-queues", metavar="W", help="Write queues on each master.")
    ] = None,
    perm: Annotated[str, typer.Option("--perm", metavar="rw|r|w", help="What clients may do; 6, 4 and 2 too.")] = "rw",
    order: Annotated[bool, typer.Option("--order", help="Keep it as an ordered topic at the nameservers.")] = False,
    broker: Annotated[
        str | None,
        typer.Option("--broker", metavar="NAME|all", help="Only on this master, or on those of all clusters."),
    ] = None,
    timeout: TimeoutOption = 30.0,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """Create a topic on every master, or change its queues; returns when every nameserver routes it.

    Counts are per master: --queues 4 on two masters makes 8 queues.
    """
    spec = _spec_of(name, queues, read_queues, write_queues, perm, order)
    check_spec(spec)
    target = choose_target(cluster, nameserver, home, remap)

    async def work(connection: ClusterConnection) -> dict[str, str]:
        return await TopicAdmin(connection).create(spec, broker=broker, timeout_seconds=timeout)

    masters = run_session(target, work)
    if json_output:
        print_json(
            {
                "topic": name,
                "read_queues_per_master": spec.read_queues,
                "write_queues_per_master": spec.write_queues,
                "permission": spec.permission,
                "order": spec.order,
                "masters": masters,
                "nameservers": target.nameservers,
            }
        )
        return
    count = len(masters)
    print_result(
        f"topic {name}: {_queues_text(spec)} on each of {count} {'master' if count == 1 else 'masters'}"
        f" ({', '.join(masters)}), {count * spec.write_queues} to write and {count * spec.read_queues} to read in all"
    )
    narrate(f"routed by {', '.join(target.nameservers)}; next: rmqctl send {name} 'hello'")


def list_topics(
    show_all: Annotated[bool, typer.Option("--all", help="Show system, retry and dead-letter topics too.")] = False,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the topics of a cluster, one name a line."""

    async def work(connection: ClusterConnection) -> tuple[list[str], set[str]]:
        admin = TopicAdmin(connection)
        topology = await admin.topology()
        return await admin.names(), {group.name for group in topology.groups} | set(topology.clusters)

    names, reserved = run_session(choose_target(cluster, nameserver, home, remap), work)
    kinds = {name: _kind_of(name, reserved) for name in names}
    shown = [name for name in names if show_all or kinds[name] == "user"]
    if json_output:
        print_json({"topics": [{"name": name, "kind": kinds[name]} for name in shown]})
        return
    for name in shown:
        print_result(name)
    if len(names) > len(shown):
        narrate(f"{len(names) - len(shown)} system, retry and dead-letter topics are not shown (--all shows them)")


def delete(
    name: TopicArgument,
    timeout: TimeoutOption = 30.0,
    cluster: ClusterOption = None,
    nameserver: NameserverOption = None,
    home: HomeOption = None,
    remap: RemapOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Delete a topic, with all its messages, from its masters and from every nameserver."""
    check_own_topic(name)
    target = choose_target(cluster, nameserver, home, remap)

    async def find(connection: ClusterConnection) -> TopicRoute:
        return await TopicAdmin(connection).routes.refresh(name)

    async def work(connection: ClusterConnection) -> list[str]:
        return await TopicAdmin(connection).delete(name, timeout_seconds=timeout)

    brokers = ", ".join(part.broker for part in run_session(target, find).brokers)
    narrate(f"topic {name} on {brokers} of {target} ({target.reason})")
    question = f"delete topic {name} and all its messages?"
    refused, kept = f"topic {name} is not deleted without a confirmation", f"topic {name} is kept"
    confirm_or_refuse(question, yes=yes, refused=refused, kept=kept)
    deleted_from = run_session(target, work)
    if json_output:
        print_json({"topic": name, "deleted_from": deleted_from, "nameservers": target.nameservers})
        return
    print_result(f"topic {name} deleted from {', '.join(deleted_from)} and {', '.join(target.nameservers)}")


def _spec_of(
    name: str, queues: int | None, read_queues: int | None, write_queues: int | None, perm: str, order: bool
) -> TopicSpec:
    if queues is not None and (read_queues is not None or write_queues is not None):
        raise UsageError(
            "--queues was given together with --read-queues or --write-queues",
            "--queues N stands for N read queues and N write queues",
            "give --queues alone, or the other two",
        )
    if queues is None and (read_queues is None or write_queues is None):
        raise UsageError(
            f"how many queues topic {name} shall have on each master was not said",
            cure=f"rmqctl topic create {name} --queues 4, or --read-queues R --write-queues W",
        )
    permission = _PERMISSIONS.get(perm.lower())
    if permission is None:
        raise UsageError(f"--perm {perm!r} is no permission", cure="rw (or 6), r (or 4), w (or 2)")
    if queues is not None:
        return TopicSpec(name, queues, queues, permission, order)
    assert read_queues is not None
    assert write_queues is not None
    return TopicSpec(name, read_queues, write_queues, permission, order)


def _queues_text(spec: TopicSpec) -> str:
    if spec.read_queues == spec.write_queues:
        return f"{spec.read_queues} {'queue' if spec.read_queues == 1 else 'queues'}"
    return f"{spec.read_queues} read and {spec.write_queues} write queues"


def _kind_of(name: str, reserved: set[str]) -> str:
    if name.startswith(RETRY_PREFIX):
        return "retry"
    if name.startswith(DLQ_PREFIX):
        return "dead-letter"
    return "system" if is_system_topic(name) or name in reserved else "user"
