"""Live progress of `up` and `down` on stderr: a table that changes in place on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rmqctl.cli.output import is_terminal, narrate
from rmqctl.profile.model import ClusterModel
from rmqctl.supervisor.messages import NodeChanged
from rmqctl.supervisor.node_state import NodeStatus
from rmqnode.plain_text import escape_controls

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_STYLES = {
    NodeStatus.READY: "green",
    NodeStatus.FAILED: "bold red",
    NodeStatus.BACKOFF: "yellow",
    NodeStatus.STARTING: "cyan",
    NodeStatus.STOPPING: "cyan",
}


class Progress(Protocol):
    """Shows what happens to the nodes; a context manager."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, change: NodeChanged) -> None:
        """A node has another state."""


def open_progress(model: ClusterModel) -> Progress:
    """The form of progress that suits stderr."""
    return LiveProgress(model) if is_terminal(sys.stderr) else LineProgress()


class LineProgress:
    """One line per change."""

    def __enter__(self) -> "LineProgress":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, change: NodeChanged) -> None:
        """Print the change."""
        narrate(describe_change(change))


class LiveProgress:
    """A table of all nodes, redrawn in place."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._changes: dict[str, NodeChanged] = {}
        self._live: Live | None = None

    def __enter__(self) -> "LiveProgress":
        from rich.console import Console
        from rich.live import Live

        self._live = Live(self._table(), console=Console(stderr=True), auto_refresh=False)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, change: NodeChanged) -> None:
        """Redraw the table with the change."""
        self._changes[change.node] = change
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False)
        for node in self._model.nodes:
            change = self._changes.get(node.name)
            state = Text("waiting", "dim") if change is None else Text(change.state, _STYLES.get(change.state, ""))
            pid = f"pid {change.pid}" if change is not None and change.pid else ""
            detail = escape_controls(change.detail or "") if change is not None else ""
            address = self._model.advertised_address(node)
            table.add_row(Text(node.name, "bold"), Text(node.role), Text(address), state, Text(pid), Text(detail))
        return table


def describe_change(change: NodeChanged) -> str:
    """One line about a change."""
    pid = f" (pid {change.pid})" if change.pid is not None else ""
    detail = f": {change.detail}" if change.detail else ""
    return f"{change.node}: {change.state}{pid}{detail}"
