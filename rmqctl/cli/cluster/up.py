"""`rmqctl up`: bring a cluster up and return when every broker is in every nameserver's route."""

import os
import sys
import time
from typing import Annotated

import typer

from rmqctl.cli.cluster.change import ChangeHandling, keep_closed, run_change, show_dry_run
from rmqctl.cli.cluster.run_as import account_for, become, homes_for, warn_of_root
from rmqctl.cli.cluster.start import ClusterStart
from rmqctl.cli.nodes.drift_text import narrate_drift
from rmqctl.cli.options import (
    AcceptLossOption,
    ClusterOption,
    DryRunOption,
    EngineOption,
    HomeOption,
    JsonOption,
    NoDrainOption,
    RocketmqHomeOption,
    VersionOption,
    YesOption,
)
from rmqctl.cli.output import narrate, print_error, print_json, print_result
from rmqctl.cli.profile import BrokerIpOption, PortOffsetOption, SetOption
from rmqctl.errors import ExitCode, RmqctlError, UnreachableError
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.profile.drift import Drift, find_drift
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.planning import ClusterPlan, UpOptions, cluster_home, plan_cluster
from rmqctl.supervisor.control.client import ask_status
from rmqctl.supervisor.files.record import SupervisorRecord, load_record
from rmqctl.supervisor.launch.early import EarlySupervisor, spawn_supervisor
from rmqctl.supervisor.launch.launcher import SupervisorLauncher
from rmqctl.supervisor.messages import NodeChanged
from rmqctl.systemd.record import UNIT_VARIABLE, refuse_if_installed

_POLL_SECONDS = 0.01
_LAST_MOMENT_SECONDS = 1.0
"""From the moment that a supervisor answers nobody to its end."""
_TIMEOUT_SECONDS = 30.0
_JAVA_TIMEOUT_SECONDS = 120.0
"""Six JVMs on two busy cores take their time."""

_UNSETTLED = {"starting": "brought up", "stopping": "taken down"}
"""What is being done to a cluster in these states."""


def up(
    context: typer.Context,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", metavar="NAME|PATH", help="What to bring up: a name or a file.")
    ] = None,
    set_options: SetOption = None,
    broker_ip: BrokerIpOption = None,
    port_offset: PortOffsetOption = None,
    run_as: Annotated[
        str | None,
        typer.Option("--run-as", metavar="ACCOUNT", help="Of root: whose processes the nodes are, and whose files."),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay; Ctrl-C takes the cluster down.")
    ] = False,
    engine: EngineOption = None,
    version: VersionOption = None,
    rocketmq_home: RocketmqHomeOption = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.1, help="How long to wait; default 30, with Java nodes 120."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    no_drain: NoDrainOption = False,
    accept_loss: AcceptLossOption = False,
    yes: YesOption = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Bring a cluster up and wait until it serves; make a running one what is asked for, node by node.

    Without --profile the cluster comes up as it was last time, or as profile "single" the first time.
    """
    early: EarlySupervisor = context.obj or spawn_supervisor()
    options = UpOptions(
        profile=profile,
        cluster=cluster,
        home=homes_for(run_as, home),
        set_options=set_options,
        broker_ip=broker_ip,
        port_offset=port_offset,
        engine_options=EngineOptions(
            engine=engine,
            version=version,
            rocketmq_home=None if rocketmq_home is None else str(rocketmq_home.expanduser().absolute()),
        ),
    )
    handling = ChangeHandling(dry_run, yes, not no_drain, timeout, json_output, accept_loss)
    account = account_for(run_as, cluster_home(options))
    if account is not None and not dry_run:
        early.process.kill()
        early.process.wait()
        become(account, cluster_home(options), sys.argv[1:])
    with SupervisorLauncher(early.process) as launcher:
        chosen = cluster_home(options)
        if not chosen.folder.exists():
            # What is wrong, or only looked at, leaves nothing on the disk.
            plan = plan_cluster(options)
            if dry_run:
                return show_dry_run(None, plan, json_output)
        with chosen.change_lock(timeout or _TIMEOUT_SECONDS):
            refuse_if_installed(chosen, "start")
            _wait_until_settled(chosen, timeout or _TIMEOUT_SECONDS)
            if chosen.is_supervised():
                return run_change(chosen, options, handling)
            plan = plan_cluster(options)
            if dry_run:
                return show_dry_run(None, plan, json_output)
            keep_closed(chosen, plan.model)
            warn_of_root(is_new_home=plan.previous is None)
            record = load_record(chosen.record_file)
            if record is not None and record.living_nodes and plan.previous is not None:
                return _adopt(launcher, plan, record, options, handling, foreground)
            patience = timeout or _start_seconds(plan.model)
            start = ClusterStart(launcher, plan, foreground, patience, record, accept_loss=accept_loss)
            start.run()
        drift = find_drift(plan.model, chosen)
        refusal = start.refusal()
        if refusal is None:
            _print_up(plan.model, start.changes, drift, time.monotonic() - early.begun, json_output)
        elif not foreground:
            raise refusal
        else:
            print_error(refusal)
        return start.stay() if foreground else ExitCode.DONE


def _adopt(
    launcher: SupervisorLauncher,
    plan: ClusterPlan,
    record: SupervisorRecord,
    options: UpOptions,
    handling: ChangeHandling,
    foreground: bool,
) -> int:
    """Give nodes whose supervisor is gone another one, as they are; then it is a running cluster as any other."""
    assert plan.previous is not None, "nodes run, so there was a cluster"
    as_it_is = ClusterPlan(home=plan.home, stored=plan.previous, previous=plan.previous)
    names = ", ".join(f"{name} (pid {process.pid})" for name, process in record.living_nodes.items())
    narrate(f"the supervisor of cluster {plan.home.name} is gone, but its nodes run: adopting {names}")
    timeout = handling.timeout or _start_seconds(plan.previous.model)
    start = ClusterStart(launcher, as_it_is, foreground, timeout, record, accept_loss=handling.accept_loss)
    start.adopt(record.living_nodes, record.kept_down)
    code = run_change(plan.home, options, handling, adopted=list(record.living_nodes))
    return start.stay() if foreground else code


def _start_seconds(model: ClusterModel) -> float:
    return _JAVA_TIMEOUT_SECONDS if model.has_java_nodes else _TIMEOUT_SECONDS


def _wait_until_settled(home: ClusterHome, timeout: float) -> None:
    """Wait for the end of a `down` or of a start: a cluster runs or it does not before anything is done to it."""
    deadline = time.monotonic() + timeout
    announced = False
    while (change := _change_under_way(home)) is not None:
        if not announced:
            narrate(f"cluster {home.name} is being {change}: waiting for the end of it")
            announced = True
        if time.monotonic() > deadline:
            raise RmqctlError(
                f"cluster {home.name} is still being {change} after {timeout:g} s",
                cure="see what it waits for: rmqctl status",
                exit_code=ExitCode.TIMEOUT,
            )
        time.sleep(_POLL_SECONDS)


def _change_under_way(home: ClusterHome) -> str | None:
    """What is being done to the whole cluster; None when it simply runs, or does not."""
    if not home.is_supervised():
        return None
    try:
        return _UNSETTLED.get(ask_status(home).state)
    except UnreachableError:
        deadline = time.monotonic() + _LAST_MOMENT_SECONDS
        while home.is_supervised():
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        return None


def _print_up(
    model: ClusterModel, changes: dict[str, NodeChanged], drift: list[Drift], seconds: float, json_output: bool
) -> None:
    nameserver = ";".join(model.nameserver_addresses)
    if json_output:
        nodes = [
            {
                "name": node.name,
                "role": node.role,
                "engine": node.engine,
                "state": changes[node.name].state,
                "pid": changes[node.name].pid,
                "address": model.advertised_address(node),
            }
            for node in model.nodes
        ]
        print_json(
            {
                "cluster": model.name,
                "engine": model.engine,
                "state": "running",
                "started": True,
                "nameserver": nameserver,
                "seconds": round(seconds, 3),
                "nodes": nodes,
                "drift": drift,
            }
        )
        return
    narrate(f"cluster {model.name} ({model.profile}) is up: {len(model.nodes)} nodes ready in {seconds:.2f} s")
    narrate(f"clients are told {model.broker_ip}: {model.broker_ip_reason}")
    narrate_drift(drift)
    print_result(f"nameserver: {nameserver}")
    if UNIT_VARIABLE in os.environ:
        # Nobody types commands into a journal, and `down` is systemctl's there.
        return
    named = "" if model.name == DEFAULT_CLUSTER else f" --cluster {model.name}"
    narrate("next:")
    for command in (
        f"rmqctl topic create orders --queues 1{named}",
        f"rmqctl send orders:paid '{{\"id\": 7}}'{named}",
        f"rmqctl tail orders --from earliest{named}",
        f"rmqctl down{named}",
    ):
        narrate(f"  {command}")
