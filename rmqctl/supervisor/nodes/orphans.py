"""Nodes that still run though their supervisor is gone (killed): found by supervisor.json, stopped in order."""

import os
import signal
import time
from collections.abc import Callable

from rmqctl.home import ClusterHome
from rmqctl.process_identity import ProcessIdentity
from rmqctl.profile.model import ClusterModel
from rmqctl.supervisor.files.record import load_record
from rmqctl.supervisor.nodes.order import stop_order

_GRACE_SECONDS = 10.0
_JAVA_GRACE_SECONDS = 60.0
"""As long as the supervisor would wait for a Java node."""
_POLL_SECONDS = 0.01


def find_orphans(home: ClusterHome) -> dict[str, ProcessIdentity]:
    """Nodes of an unsupervised home that run, by name. The caller has made sure that no supervisor runs."""
    record = load_record(home.record_file)
    return {} if record is None else record.living_nodes


def stop_orphans(model: ClusterModel, orphans: dict[str, ProcessIdentity], say: Callable[[str], None]) -> None:
    """Stop them in stop order: SIGTERM, a grace, then SIGKILL with a word."""
    grace = _JAVA_GRACE_SECONDS if model.has_java_nodes else _GRACE_SECONDS
    for group in stop_order(model.nodes):
        _stop_group({name: orphans[name] for name in group if name in orphans}, grace, say)
    known = {node.name for node in model.nodes}
    _stop_group({name: process for name, process in orphans.items() if name not in known}, grace, say)


def _stop_group(group: dict[str, ProcessIdentity], grace: float, say: Callable[[str], None]) -> None:
    for process in group.values():
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(process.is_alive() for process in group.values()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    for name, process in group.items():
        if process.is_alive():
            say(f"{name} (pid {process.pid}) did not stop within {grace:g} s: killed")
            _signal(process, signal.SIGKILL)
        while process.is_alive():
            time.sleep(_POLL_SECONDS)


def _signal(process: ProcessIdentity, number: signal.Signals) -> None:
    if not process.is_alive():
        return
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
