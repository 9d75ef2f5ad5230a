"""`rmqctl systemd install | uninstall | print`: a cluster that systemd starts at boot and keeps running."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from rmqctl.cli.engines.install_progress import open_install_progress
from rmqctl.cli.options import AcceptLossOption, ClusterOption, EngineOption, HomeOption
from rmqctl.cli.output import narrate, print_lines, print_result
from rmqctl.cli.profile import BrokerIpOption, PortOffsetOption, SetOption
from rmqctl.engine import Engine
from rmqctl.engine.files import write_node_files
from rmqctl.engine.prepare import engines_of
from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqctl.home import DEFAULT_CLUSTER, SYSTEM_HOMES, ClusterHome
from rmqctl.home_mode import use_home_mode
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.planning import ClusterPlan, UpOptions, plan_cluster
from rmqctl.profile.stored import save_cluster
from rmqctl.supervisor.nodes.orphans import find_orphans
from rmqctl.systemd.account import check_account, code_of_this_process, hand_over_home
from rmqctl.systemd.installation import install as install_units
from rmqctl.systemd.installation import uninstall as uninstall_units
from rmqctl.systemd.installation import units_folder
from rmqctl.systemd.record import Scope, load_installation
from rmqctl.systemd.systemctl import check_systemd, systemd_version
from rmqctl.systemd.unit_file import UnitFile
from rmqctl.systemd.units import UnitOptions, cluster_units
from rmqctl.target import choose_local_home

ProfileOption = Annotated[
    str | None, typer.Option("--profile", "-p", metavar="NAME|PATH", help="What to run: a name or a file.")
]
UserOption = Annotated[bool, typer.Option("--user", help="Units of your own, without root; else of the system.")]
PerNodeOption = Annotated[
    bool, typer.Option("--per-node", help="One unit for each node below a target, instead of one for the cluster.")
]
RunAsOption = Annotated[
    str | None,
    typer.Option("--run-as", metavar="ACCOUNT", help="Account of system units; by default systemd makes one up."),
]


def install(
    profile: ProfileOption = None,
    user: UserOption = False,
    per_node: PerNodeOption = False,
    run_as: RunAsOption = None,
    no_start: Annotated[bool, typer.Option("--no-start", help="Install and enable; start at the next boot.")] = False,
    set_options: SetOption = None,
    broker_ip: BrokerIpOption = None,
    port_offset: PortOffsetOption = None,
    engine: EngineOption = None,
    accept_loss: AcceptLossOption = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
) -> int:
    """Let systemd run a cluster: now, at every boot, and again whenever it fails.

    System units keep their cluster in /var/lib/rmqctl, units of your own in your usual home.
    """
    scope = _scope(user, run_as)
    check_systemd(scope)
    plan = _plan(scope, profile, set_options, broker_ip, port_offset, engine, cluster, home)
    _check_free(plan.home)
    _check_messages(plan, accept_loss)
    options = _unit_options(scope, per_node, run_as)
    if scope is Scope.SYSTEM:
        check_account(options, plan.home)
    units = _write_cluster(plan, options)
    if scope is Scope.SYSTEM:
        hand_over_home(plan.home, run_as)
    installation = install_units(plan.home, scope, units, start=not no_start)
    for unit in installation.units:
        narrate(f"installed {units_folder(scope) / unit}")
    if scope is Scope.USER:
        narrate("your units end when you log out, unless: loginctl enable-linger")
    started = "is enabled" if no_start else "is up"
    narrate(f"cluster {plan.home.name} {started}; next:")
    for verb in ("start" if no_start else "status", "stop"):
        narrate(f"  {installation.systemctl_command(verb)}")
    print_result(f"nameserver: {';'.join(plan.model.nameserver_addresses)}")
    return ExitCode.DONE


def uninstall(
    user: UserOption = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
) -> int:
    """Stop a cluster's units and take them away; its stores and its configuration stay."""
    scope = _scope(user, None)
    chosen = choose_local_home(cluster, _homes(scope, home), DEFAULT_CLUSTER)
    installation = load_installation(chosen)
    if installation is None:
        narrate(f"cluster {chosen.name} has no units (home: {chosen.folder})")
        return ExitCode.DONE
    check_systemd(installation.scope)
    uninstall_units(chosen, installation)
    narrate(f"cluster {chosen.name} is down and its units are gone; messages are kept in {chosen.folder}")
    return ExitCode.DONE


def print_units(
    profile: ProfileOption = None,
    user: UserOption = False,
    per_node: PerNodeOption = False,
    run_as: RunAsOption = None,
    set_options: SetOption = None,
    broker_ip: BrokerIpOption = None,
    port_offset: PortOffsetOption = None,
    engine: EngineOption = None,
    cluster: ClusterOption = None,
    home: HomeOption = None,
) -> int:
    """Print the units that install would write; jars that Java nodes of --per-node units lack are fetched."""
    scope = _scope(user, run_as)
    plan = _plan(scope, profile, set_options, broker_ip, port_offset, engine, cluster, home)
    options = _unit_options(scope, per_node, run_as)
    # Only units of Java nodes need to know where jars are.
    engines = engines_of(plan.model, open_install_progress, narrate, options.cache) if per_node else {}
    units = _units(plan, options, engines)
    print_lines("\n".join(f"# {units_folder(scope) / unit.name}\n{unit.render()}" for unit in units).rstrip())
    return ExitCode.DONE


def _plan(
    scope: Scope,
    profile: str | None,
    set_options: list[str] | None,
    broker_ip: str | None,
    port_offset: int | None,
    engine: str | None,
    cluster: str | None,
    home: Path | None,
) -> ClusterPlan:
    """The cluster that install makes units of and print shows units of."""
    return plan_cluster(
        UpOptions(
            profile=profile,
            cluster=cluster,
            home=_homes(scope, home),
            set_options=set_options,
            broker_ip=broker_ip,
            port_offset=port_offset,
            engine_options=EngineOptions(engine=engine),
        )
    )


def _scope(user: bool, run_as: str | None) -> Scope:
    if user and run_as is not None:
        raise UsageError("--user and --run-as were both given", "units of your own run as you", "give one")
    return Scope.USER if user else Scope.SYSTEM


def _homes(scope: Scope, home: Path | None) -> Path | None:
    return SYSTEM_HOMES if home is None and scope is Scope.SYSTEM else home


def _check_free(home: ClusterHome) -> None:
    if load_installation(home) is not None:
        raise RmqctlError(
            f"cluster {home.name} has units already",
            f"its home is {home.folder}",
            f"rmqctl systemd uninstall --cluster {home.name}, then install it again",
        )
    if home.is_supervised() or find_orphans(home):
        raise RmqctlError(
            f"cluster {home.name} runs already", "without systemd", f"rmqctl down --cluster {home.name} first"
        )


def _check_messages(plan: ClusterPlan, accept_loss: bool) -> None:
    if plan.model.has_java_nodes:
        from rmqctl.engine.apache.messages_cut import check_no_messages_cut

        check_no_messages_cut(plan.model.nodes, accept_loss=accept_loss, cluster=plan.home.name)


def _unit_options(scope: Scope, per_node: bool, run_as: str | None) -> UnitOptions:
    # Not resolved: in a virtual environment the link is what knows of the environment.
    python = Path(sys.executable)
    return UnitOptions(
        scope=scope,
        per_node=per_node,
        python=python,
        code=code_of_this_process(python),
        run_as=run_as,
        java_home=os.environ.get("JAVA_HOME"),
        systemd_version=systemd_version(),
    )


def _units(plan: ClusterPlan, options: UnitOptions, engines: Mapping[str, Engine]) -> list[UnitFile]:
    if not options.per_node:
        return cluster_units(plan.model, plan.home, {}, options)
    specs = {node.name: engines[node.name].start_spec(node, plan.home) for node in plan.model.nodes}
    return cluster_units(plan.model, plan.home, specs, options)


def _write_cluster(plan: ClusterPlan, options: UnitOptions) -> list[UnitFile]:
    """Write what the units start from; a unit for the whole cluster writes the nodes' files itself at each start."""
    engines = engines_of(plan.model, open_install_progress, narrate, options.cache)
    units = _units(plan, options, engines)
    plan.home.root.mkdir(parents=True, exist_ok=True)
    plan.home.folder.mkdir(mode=0o700, exist_ok=True)
    if (closed := use_home_mode(plan.home, plan.model)) is not None:
        narrate(closed)
    if options.per_node:
        for notice in write_node_files(engines, plan.model, plan.home):
            narrate(notice)
    save_cluster(plan.home, plan.stored)
    return units
