"""One start of a cluster as `rmqctl up` sees it: preparation, the supervisor's events, and what they mean for users."""

import signal

from rmqctl.cli.engines.install_progress import open_install_progress
from rmqctl.cli.output import narrate
from rmqctl.cli.supervision.asker import asked_by
from rmqctl.cli.supervision.progress import Progress, describe_change, open_progress
from rmqctl.engine.files import write_node_files
from rmqctl.engine.prepare import engines_of
from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.process_identity import ProcessIdentity
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.planning import ClusterPlan
from rmqctl.profile.stored import save_cluster
from rmqctl.supervisor.files.record import SupervisorRecord
from rmqctl.supervisor.health.diagnosis import explain_failure, tail_of_log
from rmqctl.supervisor.launch.launcher import SupervisorLauncher
from rmqctl.supervisor.launch.ports_in_use import check_ports_free
from rmqctl.supervisor.messages import (
    ClusterReady,
    Event,
    Launch,
    NodeChanged,
    Notice,
    StartFailed,
    Stopped,
    SupervisorRefused,
)
from rmqctl.supervisor.node_state import NodeStatus
from rmqctl.supervisor.nodes.orphans import find_orphans, stop_orphans

_LOG_LINES_READ = 400
"""A cause may stand before a long stack trace."""
_LOG_LINES_SHOWN = 8


class ClusterStart:
    """One start of a cluster: preparation, the events of the supervisor, and what they mean for the user.

    Args:
        launcher: The supervisor's process.
        plan: The cluster.
        foreground: Whether the cluster ends with this command.
        timeout: How long the start may take, in seconds.
        record: What a supervisor that ended without taking the cluster down left, if one did.
        accept_loss: Start Apache's brokers also on stores of which they cut messages.
    """

    def __init__(
        self,
        launcher: SupervisorLauncher,
        plan: ClusterPlan,
        foreground: bool,
        timeout: float,
        record: SupervisorRecord | None,
        *,
        accept_loss: bool = False,
    ) -> None:
        self._accept_loss = accept_loss
        self._launcher = launcher
        self._plan = plan
        self._foreground = foreground
        self._timeout = timeout
        self._log_sizes: dict[str, int] = {}
        self._adopted: dict[str, ProcessIdentity] = {}
        self._kept_down: list[str] = []
        self._lost = {} if record is None else {name: it for name, it in record.nodes.items() if plan.model.node(name)}
        self._histories = {} if record is None else record.histories
        self.changes: dict[str, NodeChanged] = {}
        """The last state of every node."""

    def adopt(self, orphans: dict[str, ProcessIdentity], kept_down: list[str]) -> None:
        """Take over nodes that run without a supervisor, as they are; nodes that are missing are started."""
        self._adopted = {name: process for name, process in orphans.items() if self._plan.model.node(name) is not None}
        unknown = {name: process for name, process in orphans.items() if name not in self._adopted}
        if unknown:
            stop_orphans(self._plan.model, unknown, narrate)
        self._lost = {name: process for name, process in self._lost.items() if name not in self._adopted}
        self._kept_down = [name for name in kept_down if name not in self._adopted]
        self.run()

    def run(self) -> None:
        """Prepare and start; returns when the cluster is ready, and raises RmqctlError when it is not."""
        self._prepare()
        with open_progress(self._plan.model) as progress:
            try:
                for event in self._launcher.events():
                    if isinstance(event, ClusterReady):
                        break
                    self._take(event, progress)
                else:
                    raise self._supervisor_lost()
            except KeyboardInterrupt:
                if self._adopted and not self._foreground:
                    narrate("the supervisor goes on with what runs")
                    self._launcher.release()
                    raise
                narrate("taking the cluster down")
                self._launcher.request_stop()
                self._narrate_events()
                raise
        if not self._foreground:
            self._launcher.release()

    def refusal(self) -> RmqctlError | None:
        """What a user is told of nodes that refused their store while the others came up; None if none did."""
        refused = [change for change in self.changes.values() if change.state is NodeStatus.FAILED]
        if not refused:
            return None
        names = " ".join(change.node for change in refused)
        return RmqctlError(
            f"{names.replace(' ', ', ')} did not start; the rest of the cluster serves",
            "\n".join(f"{change.node}: {change.detail}" for change in refused),
            f"bring back what is missing, then rmqctl start {names}; or give it up: rmqctl start {names} --accept-loss",
        )

    def stay(self) -> int:
        """Follow the cluster until it is down; Ctrl-C and SIGTERM take it down."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        narrate("Ctrl-C takes the cluster down")
        try:
            self._narrate_events()
        except KeyboardInterrupt:
            narrate("taking the cluster down")
            self._launcher.request_stop()
            self._narrate_events()
        narrate(f"cluster {self._plan.home.name} is down")
        return ExitCode.DONE

    def _prepare(self) -> None:
        home, model = self._plan.home, self._plan.model
        engines = engines_of(model, open_install_progress, narrate)
        check_ports_free(model, [node for node in model.nodes if node.name not in self._adopted])
        if model.has_java_nodes and not self._adopted:
            _check_machine(model)
        if model.has_java_nodes:
            from rmqctl.engine.apache.messages_cut import check_no_messages_cut

            starting = [node for node in model.nodes if node.name not in (*self._adopted, *self._kept_down)]
            check_no_messages_cut(starting, accept_loss=self._accept_loss, cluster=home.name)
        for notice in write_node_files(engines, model, home):
            narrate(notice)
        save_cluster(home, self._plan.stored)
        logs = {node.name: home.node_log(node.name) for node in model.nodes}
        self._log_sizes = {name: log.stat().st_size if log.exists() else 0 for name, log in logs.items()}
        self._launcher.hand_over(
            Launch(
                root=str(home.root),
                model=model,
                specs=[engines[node.name].start_spec(node, home) for node in model.nodes],
                foreground=self._foreground,
                timeout_seconds=self._timeout,
                asked_by=asked_by(),
                adopted=self._adopted,
                kept_down=self._kept_down,
                lost=self._lost,
                histories=self._histories,
            )
        )

    def _take(self, event: Event, progress: Progress) -> None:
        name = self._plan.home.name
        match event:
            case NodeChanged():
                self.changes[event.node] = event
                progress.show(event)
            case Notice(text):
                narrate(text)
            case StartFailed():
                error = self._failure(event)
                self._narrate_events()
                self._forget_plan()
                raise error
            case Stopped():
                raise RmqctlError(f"cluster {name} was taken down while it came up", "by rmqctl down, or by a signal")
            case SupervisorRefused(problem):
                raise RmqctlError(f"cluster {name} was not started", problem)

    def _failure(self, failed: StartFailed) -> RmqctlError:
        node = self._plan.model.node(failed.node)
        assert node is not None, "the supervisor knows the nodes of the plan"
        log = self._plan.home.node_log(node.name)
        lines = tail_of_log(log, self._log_sizes[node.name], _LOG_LINES_READ)
        why = failed.lack or explain_failure(node, lines) or failed.said or "it wrote nothing to its log"
        if lines:
            why = "\n".join([why, f"last lines of {log}:", *(f"  {line}" for line in lines[-_LOG_LINES_SHOWN:])])
        exit_code = ExitCode.TIMEOUT if failed.lack else ExitCode.REFUSED
        return RmqctlError(f"{node.name} {failed.problem}", why, exit_code=exit_code)

    def _forget_plan(self) -> None:
        """What could not start is not what the next `up` repeats."""
        if self._plan.previous is not None:
            save_cluster(self._plan.home, self._plan.previous)

    def _supervisor_lost(self) -> RmqctlError:
        """The supervisor ended without a word: what it had started must not stay."""
        if not self._adopted:
            stop_orphans(self._plan.model, find_orphans(self._plan.home), narrate)
        log = self._plan.home.supervisor_log
        lines = tail_of_log(log, 0)
        why = "\n".join([f"last lines of {log}:", *lines]) if lines else "it wrote nothing to its log"
        return RmqctlError("the supervisor ended before the cluster was ready", why)

    def _narrate_events(self) -> None:
        for event in self._launcher.events():
            if isinstance(event, NodeChanged):
                narrate(describe_change(event))
            elif isinstance(event, Notice):
                narrate(event.text)


def _check_machine(model: ClusterModel) -> None:
    """What a Java node does not check by itself before it does harm."""
    from rmqctl.engine.apache.memory import check_memory
    from rmqctl.engine.apache.queue_holes import fill_queue_holes
    from rmqctl.engine.apache.store_lock import check_stores_free

    check_memory(model)
    check_stores_free(model)
    fill_queue_holes(model)
