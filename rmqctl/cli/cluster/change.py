"""Makes another cluster of a running one, for `rmqctl up` and `rmqctl scale`: the plan first, then node by node."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from rmqctl.cli.engines.install_progress import open_install_progress
from rmqctl.cli.output import confirm, narrate, print_json, print_result
from rmqctl.cli.supervision.asker import asked_by
from rmqctl.cli.supervision.work import follow_work
from rmqctl.engine.files import write_node_files
from rmqctl.engine.prepare import engines_of
from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.home import ClusterHome
from rmqctl.home_mode import use_home_mode
from rmqctl.profile.change_plan import ChangePlan, describe_plan, plan_change
from rmqctl.profile.changes import describe_changes
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.planning import ClusterPlan, UpOptions, plan_cluster, plan_running
from rmqctl.profile.stored import StoredCluster, load_cluster, save_cluster
from rmqctl.supervisor.control.client import ask_model, ask_status, change_cluster
from rmqctl.supervisor.launch.ports_in_use import check_ports_free
from rmqctl.supervisor.messages import ClusterChange

_READY_SECONDS = 30.0
_JAVA_READY_SECONDS = 120.0


class ChangeHandling(NamedTuple):
    """How a change is made."""

    dry_run: bool
    yes: bool
    """Nobody has to be asked before nodes are removed."""
    drain: bool
    timeout: float | None
    json_output: bool
    accept_loss: bool = False
    """Apache's brokers may cut messages behind damage from their stores."""


def keep_closed(home: ClusterHome, model: ClusterModel) -> None:
    """Make files for nobody else from now on, and close what is open in a home, saying so."""
    if (closed := use_home_mode(home, model)) is not None:
        narrate(closed)


def load_running(home: ClusterHome) -> StoredCluster:
    """The cluster as it runs: in the middle of a change that was not finished, the supervisor knows better."""
    return msgspec.structs.replace(load_cluster(home), model=ask_model(home))


def run_change(home: ClusterHome, options: UpOptions, handling: ChangeHandling, adopted: Sequence[str] = ()) -> int:
    """Make a running cluster what `up` was asked for; if it was asked for nothing, say how the cluster is."""
    running = load_running(home)
    keep_closed(home, running.model)
    if not options.asks_for_change:
        return _report(home, running.model, plan_cluster(options).model, handling.json_output, adopted)
    plan = plan_running(options, running)
    change = plan_change(running.model, plan.model)
    if change.is_empty and not handling.dry_run:
        # Restart policies and the like need no new processes, but the supervisor has to know them.
        _carry_out(plan, running, change, handling)
        return _report(home, running.model, plan.model, handling.json_output, adopted)
    return apply_change(running, plan, handling)


def apply_change(running: StoredCluster, plan: ClusterPlan, handling: ChangeHandling) -> int:
    """Show what has to be done, and do it."""
    if handling.dry_run:
        return show_dry_run(running.model, plan, handling.json_output)
    change = plan_change(running.model, plan.model)
    if change.is_empty:
        narrate(f"cluster {plan.home.name} is as it shall be: nothing was changed")
    else:
        narrate(f"changing cluster {plan.home.name}:")
        for line in describe_plan(change, plan.model):
            narrate(f"  {line}")
        if change.remove and not _may_remove(plan.home, change, handling.yes):
            narrate("nothing was changed")
            return ExitCode.REFUSED
        _carry_out(plan, running, change, handling)
    status = ask_status(plan.home)
    if handling.json_output:
        print_json(
            {
                "cluster": plan.home.name,
                "engine": plan.model.engine,
                "state": status.state,
                "started": False,
                "nameserver": ";".join(plan.model.nameserver_addresses),
                "changed": change,
                "nodes": status.nodes,
            }
        )
    else:
        narrate(f"cluster {plan.home.name} is {status.state}: {len(plan.model.nodes)} nodes")
        print_result(f"nameserver: {';'.join(plan.model.nameserver_addresses)}")
    return ExitCode.DONE


def show_dry_run(running: ClusterModel | None, plan: ClusterPlan, json_output: bool) -> int:
    """Show what has to be done; `running` is None for a cluster that does not run."""
    before = running or msgspec.structs.replace(plan.model, nodes=())
    change = plan_change(before, plan.model)
    if json_output:
        print_json({"cluster": plan.home.name, "dry_run": True, "changed": change})
        return ExitCode.DONE
    if change.is_empty:
        narrate(f"cluster {plan.home.name} is as it shall be: nothing would be changed")
    for line in describe_plan(change, plan.model):
        print_result(line)
    return ExitCode.DONE


def _carry_out(plan: ClusterPlan, running: StoredCluster, change: ChangePlan, handling: ChangeHandling) -> None:
    home, model = plan.home, plan.model
    keep_closed(home, model)
    engines = engines_of(model, open_install_progress, narrate)
    check_ports_free(model, [node for node in model.nodes if node.name in change.add])
    if model.has_java_nodes:
        from rmqctl.engine.apache.messages_cut import check_no_messages_cut

        started = {*change.add, *(step.node for step in change.restart)}
        nodes = [node for node in model.nodes if node.name in started]
        check_no_messages_cut(nodes, accept_loss=handling.accept_loss, cluster=home.name)
    for notice in write_node_files(engines, model, home):
        narrate(notice)
    save_cluster(home, plan.stored)
    patience = _JAVA_READY_SECONDS if model.has_java_nodes else _READY_SECONDS
    request = ClusterChange(
        model=model,
        specs=[engines[node.name].start_spec(node, home) for node in model.nodes],
        add=change.add,
        restart=[step.node for step in change.restart],
        remove=change.remove,
        drain=handling.drain,
        timeout_seconds=handling.timeout or patience,
    )
    try:
        follow_work(change_cluster(home, request, asked_by()))
    except RmqctlError:
        # What could not be done is not what the next `up` repeats; what was done, the supervisor knows.
        save_cluster(home, msgspec.structs.replace(running, model=ask_model(home)))
        raise


def _may_remove(home: ClusterHome, change: ChangePlan, yes: bool) -> bool:
    names = ", ".join(change.remove)
    return confirm(
        f"Stop {names} of cluster {home.name} for good? Messages that only they have are served no more.",
        yes=yes,
        refused=f"{names} would be removed from cluster {home.name}",
    )


def _report(
    home: ClusterHome, running: ClusterModel, wanted: ClusterModel, json_output: bool, adopted: Sequence[str]
) -> int:
    """Say that the cluster is up, and what a new start would change."""
    changes = describe_changes(running, wanted)
    status = ask_status(home)
    if json_output:
        print_json(
            {
                "cluster": running.name,
                "engine": running.engine,
                "state": status.state,
                "started": False,
                "nameserver": ";".join(running.nameserver_addresses),
                "adopted": adopted,
                "would_change": changes,
                "nodes": status.nodes,
            }
        )
    else:
        narrate(f"cluster {running.name} {'is up again' if adopted else 'is up already'}, {status.state}")
        for problem in status.problems:
            narrate(f"  {problem}")
        print_result(f"nameserver: {';'.join(running.nameserver_addresses)}")
    if changes:
        narrate("nothing was changed; after rmqctl down, rmqctl up would change:")
        for change in changes:
            narrate(f"  {change}")
    return ExitCode.DONE if status.state == "running" else ExitCode.REFUSED
