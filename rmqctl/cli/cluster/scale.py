"""`rmqctl scale`: other numbers of nameservers, brokers and slaves, without touching the nodes that stay."""

from typing import Annotated

import typer

from rmqctl.cli.cluster.change import ChangeHandling, apply_change, load_running
from rmqctl.cli.options import ClusterOption, DryRunOption, HomeOption, JsonOption, NoDrainOption, YesOption
from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.home import DEFAULT_CLUSTER
from rmqctl.profile.planning import plan_scaled
from rmqctl.profile.scaling import Scale
from rmqctl.target import choose_local_home

_LOCK_SECONDS = 30.0


def scale(
    brokers: Annotated[
        int | None, typer.Option("--brokers", metavar="N", min=1, help="How many broker names: masters.")
    ] = None,
    slaves: Annotated[
        int | None, typer.Option("--slaves", metavar="N", min=0, max=20, help="How many slaves each of them has.")
    ] = None,
    nameservers: Annotated[
        int | None, typer.Option("--nameservers", metavar="N", min=1, max=10, help="How many nameservers.")
    ] = None,
    dry_run: DryRunOption = False,
    no_drain: NoDrainOption = False,
    yes: YesOption = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long a node may take; default 30, Java 120."),
    ] = None,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Add or remove nodes of a running cluster. Nodes that stay are not touched; stores of removed ones are kept.

    Other nameservers mean that every broker has to be restarted, one after the other: it is told of them at its start.
    """
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    if not chosen.is_supervised():
        raise RmqctlError(
            f"cluster {chosen.name} is not running",
            f"its home is {chosen.folder}",
            "rmqctl up, then rmqctl scale",
            ExitCode.UNREACHABLE,
        )
    with chosen.change_lock(_LOCK_SECONDS):
        running = load_running(chosen)
        plan = plan_scaled(chosen, running, Scale(nameservers=nameservers, brokers=brokers, slaves=slaves))
        return apply_change(running, plan, ChangeHandling(dry_run, yes, not no_drain, timeout, json_output))
