"""`rmqctl down`: take a cluster down in reverse order; with `--purge`, delete its stores and changed configuration."""

import shutil
import time
from typing import Annotated

import typer

from rmqctl.cli.options import ClusterOption, HomeOption, JsonOption, YesOption
from rmqctl.cli.output import confirm, narrate, print_json
from rmqctl.cli.supervision.asker import asked_by
from rmqctl.cli.supervision.progress import open_progress
from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.home import DEFAULT_CLUSTER, ClusterHome
from rmqctl.profile.stored import StoredCluster, load_cluster, load_cluster_if_any
from rmqctl.supervisor.control.client import request_stop
from rmqctl.supervisor.messages import NodeChanged, Notice
from rmqctl.supervisor.nodes.orphans import find_orphans, stop_orphans
from rmqctl.systemd.record import refuse_if_installed
from rmqctl.target import choose_local_home
from rmqnode.config import overlay_files

_SILENCE_SECONDS = 90.0
"""Longest time between two events of a stop: the grace of a Java node, with room."""
_EXIT_SECONDS = 10.0
_POLL_SECONDS = 0.002


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete stores and overlays too: all messages are lost.")
    ] = False,
    yes: YesOption = False,
    cluster: ClusterOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> int:
    """Take a cluster down: slaves, then masters, then nameservers. Stores are kept, unless --purge is given.

    With nothing running it says so and exits 0.
    """
    chosen = choose_local_home(cluster, home, DEFAULT_CLUSTER)
    refuse_if_installed(chosen, "stop")
    stored = load_cluster_if_any(chosen)
    if purge and stored is not None and not _may_purge(chosen, yes):
        narrate("nothing was changed")
        return ExitCode.REFUSED
    begun = time.monotonic()
    was_running = stored is not None and _stop(chosen, stored)
    seconds = time.monotonic() - begun
    purged = _purge(chosen, stored) if purge and stored is not None else []
    if json_output:
        print_json(
            {
                "cluster": chosen.name,
                "state": "stopped",
                "was_running": was_running,
                "seconds": round(seconds, 3),
                "purged": purged,
            }
        )
        return ExitCode.DONE
    narrate(f"cluster {chosen.name} is down, in {seconds:.2f} s" if was_running else _nothing_ran(chosen))
    for folder in purged:
        narrate(f"deleted {folder}")
    return ExitCode.DONE


def _nothing_ran(home: ClusterHome) -> str:
    return f"cluster {home.name} was not running (home: {home.folder})"


def _stop(home: ClusterHome, stored: StoredCluster) -> bool:
    """Stop whatever runs of the cluster; returns whether anything did."""
    if home.is_supervised():
        _stop_supervised(home)
        return True
    orphans = find_orphans(home)
    if not orphans:
        return False
    narrate(f"the supervisor of cluster {home.name} is gone, but its nodes run: stopping {', '.join(orphans)}")
    stop_orphans(stored.model, orphans, narrate)
    home.record_file.unlink(missing_ok=True)
    return True


def _stop_supervised(home: ClusterHome) -> None:
    with open_progress(load_cluster(home).model) as progress:
        for event in request_stop(home, _SILENCE_SECONDS, asked_by()):
            if isinstance(event, NodeChanged):
                progress.show(event)
            elif isinstance(event, Notice):
                narrate(event.text)
    deadline = time.monotonic() + _EXIT_SECONDS
    while home.is_supervised():
        if time.monotonic() > deadline:
            raise RmqctlError(
                f"the supervisor of cluster {home.name} did not end", f"its log is {home.supervisor_log}", "rmqctl down"
            )
        time.sleep(_POLL_SECONDS)


def _may_purge(home: ClusterHome, yes: bool) -> bool:
    return confirm(
        f"Delete all messages of cluster {home.name} in {home.folder}?",
        yes=yes,
        refused=f"down --purge would delete all messages of cluster {home.name} in {home.folder}",
    )


def _purge(home: ClusterHome, stored: StoredCluster) -> list[str]:
    """Delete the store of every node and what was changed in its configuration; a store outside the home stays."""
    deleted = []
    for node in stored.model.nodes:
        store = home.node_folder(node.name) / "store"
        if store.is_dir():
            shutil.rmtree(store)
            deleted.append(str(store))
        elsewhere = node.properties.get("storePathRootDir", str(store))
        for path in overlay_files(home.node_folder(node.name) / node.conf_name):
            path.unlink(missing_ok=True)
            deleted.append(str(path))
        if elsewhere != str(store):
            narrate(f"left alone: {elsewhere}, the store of {node.name}, is not inside the cluster home")
    return deleted
