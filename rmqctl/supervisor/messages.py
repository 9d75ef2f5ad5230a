"""What the CLI, the supervisor and the zygote tell each other: one JSON document per line.

    CLI -> supervisor (stdin)          Launch, once
    supervisor -> CLI (stdout)         events until the cluster is ready; in the foreground, until it is down
    supervisor -> zygote               StartNode; Go, once it has written down whose process it is
    zygote -> supervisor               Forked, Reaped
    command -> control socket          ControlRequest, once
    control socket -> command          StatusReport or ControlRefusal; for `stop`, events until Stopped; for what is
                                       done to single nodes, events and DrainProgress until Done

Processes of one cluster speak one version of this; only the control socket is spoken to by commands that may be older
or newer than the supervisor, so its messages carry a version.
"""

from typing import Literal

import msgspec

from rmqctl.engine.start import StartSpec
from rmqctl.process_identity import ProcessIdentity
from rmqctl.profile.model import ClusterModel, Role
from rmqctl.supervisor.node_state import NodeHistory, NodeStatus

CONTROL_VERSION = 2
"""Changes when an older command could misunderstand a newer supervisor, or the other way round."""

LINE_BYTES_MAX = 1 << 20
"""No line between these processes comes near it; longer ones are a defect."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a supervisor needs to know."""

    root: str
    """Folder of all cluster homes."""
    model: ClusterModel
    specs: list[StartSpec]
    foreground: bool
    """Take the cluster down when the launcher goes away, also after it was ready."""
    timeout_seconds: float
    """How long the start may take."""
    asked_by: str = "rmqctl up"
    """Who wants the cluster to run, in words."""
    adopted: dict[str, ProcessIdentity] = {}
    """Nodes that run already: they are kept as they are, and whatever is wrong with them ends nothing."""
    kept_down: list[str] = []
    """Nodes that were stopped by hand and stay so."""
    lost: dict[str, ProcessIdentity] = {}
    """Nodes that ended when there was no supervisor to see it."""
    histories: dict[str, NodeHistory] = {}
    """What nodes went through with another supervisor."""


class StartNode(msgspec.Struct, frozen=True, tag="start"):
    """Fork a node; it waits for `Go`."""

    spec: StartSpec
    accepts_loss: bool = False
    """For this one start: it may go on without messages that its store lacks. No part of the specification, which is
    kept and used again.
    """


class Go(msgspec.Struct, frozen=True, tag="go"):
    """A forked node may begin: whoever comes after a killed supervisor will find it."""

    pid: int


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """A node's process exists."""

    node: str
    pid: int


class Reaped(msgspec.Struct, frozen=True, tag="reaped"):
    """A process ended; the status is as `os.waitpid` gives it."""

    pid: int
    wait_status: int
    said: str | None = None
    """The last error that a node of ours logged; None when it logged none."""


class NodeChanged(msgspec.Struct, frozen=True, kw_only=True, tag="node", tag_field="event"):
    """A node has another state."""

    node: str
    state: NodeStatus
    pid: int | None = None
    detail: str | None = None
    asked_by: str | None = None
    """Who wanted it so, in words; None for what happened by itself."""


class Notice(msgspec.Struct, frozen=True, tag="notice", tag_field="event"):
    """Something that a person should read."""

    text: str


class ClusterReady(msgspec.Struct, frozen=True, tag="ready", tag_field="event"):
    """Every node serves."""


class StartFailed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="event"):
    """The cluster could not be brought up and is being taken down again."""

    node: str
    problem: str
    lack: str | None = None
    """What a node that runs, or is tried again, was still missing; None for a node that ended."""
    said: str | None = None
    """The own sentence of a node that ended."""


class SupervisorRefused(msgspec.Struct, frozen=True, tag="refused", tag_field="event"):
    """The supervisor did not begin."""

    problem: str


class Stopped(msgspec.Struct, frozen=True, tag="stopped", tag_field="event"):
    """No node runs any more; the supervisor is about to end."""


Event = NodeChanged | Notice | ClusterReady | StartFailed | SupervisorRefused | Stopped


NodeVerb = Literal["start", "stop", "restart", "kill"]
"""What a person does to single nodes."""


class NodeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What shall happen to which nodes."""

    verb: NodeVerb
    nodes: list[str]
    drain: bool = True
    """Before a master stops, let clients learn that it takes no more messages."""
    drain_seconds: float | None = None
    """How long they get; None for what the profile says."""
    stays_down: bool = False
    """A killed node does not come back."""
    accepts_loss: bool = False
    """A node starts this once also without messages that its store lacks."""
    timeout_seconds: float = 30.0
    """How long a node may take to serve."""


class ClusterChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a running cluster shall become."""

    model: ClusterModel
    specs: list[StartSpec]
    add: list[str]
    restart: list[str]
    remove: list[str]
    drain: bool = True
    drain_seconds: float | None = None
    timeout_seconds: float = 30.0
    """How long each node may take to serve."""


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a command wants from a running supervisor."""

    version: int = CONTROL_VERSION
    request: Literal["status", "stop", "nodes", "model", "change"]
    order: NodeOrder | None = None
    """For `nodes`."""
    change: ClusterChange | None = None
    """For `change`."""
    asked_by: str = "a command"
    """Who wants it, in words; for the ledger."""


class DrainProgress(msgspec.Struct, frozen=True, kw_only=True, tag="drain", tag_field="event"):
    """A broker is being drained."""

    node: str
    waits_for: str
    """In words: `clients to ask for routes again`."""
    seconds_left: float


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done", tag_field="event"):
    """What was asked for is done, or it was given up."""

    problem: str | None = None
    """What was not done and why; None for success."""
    node: str | None = None
    """The node that the problem is about."""
    is_late: bool = False
    """The node may still get there."""


OrderMessage = Event | DrainProgress | Done
"""What answers an order about nodes."""


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node in `rmqctl status`; the keys are documented in docs/cli.md."""

    name: str
    role: Role
    engine: str = "embedded"
    """Supervisors of version 0.1 do not say it."""
    state: str
    problem: str | None = None
    """Why it does not serve as it should, in words that follow its name."""
    limits: dict[str, str] = {}
    """What limits a node whose state is `limited`, and why: `disk`, `memory`, `descriptors`, `replication`, `store`,
    `configuration`.
    """
    pid: int | None
    address: str
    ports: dict[str, int] = {}
    uptime_seconds: float | None = None
    restarts: int | None = None
    retry_in_seconds: float | None = None
    last_exit: str | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None


class StatusReport(msgspec.Struct, frozen=True, kw_only=True, tag="status", tag_field="event"):
    """The answer to `status`."""

    state: str
    problems: list[str] = []
    """Why it is not `running`, one sentence each."""
    nodes: list[NodeReport]


class ModelReport(msgspec.Struct, frozen=True, kw_only=True, tag="model", tag_field="event"):
    """The answer to `model`: what runs now, in the middle of a change too."""

    model: ClusterModel


class ControlRefusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal", tag_field="event"):
    """The supervisor does not understand the request."""

    problem: str


def encode_line(message: msgspec.Struct) -> bytes:
    """One message as one line."""
    return msgspec.json.encode(message) + b"\n"


class LineBuffer:
    """Cuts a byte stream into lines."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what a read brought; return the lines that it completed, without their ends.

        Raises:
            ValueError: A line is longer than `LINE_BYTES_MAX`.
        """
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LINE_BYTES_MAX:
            raise ValueError(f"a line of more than {LINE_BYTES_MAX} bytes")
        return lines
