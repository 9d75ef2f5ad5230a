"""What a supervisor tells while it does something to nodes, on stderr, up to its end."""

from collections.abc import Iterable

from rmqctl.cli.output import narrate
from rmqctl.cli.supervision.drain_line import DrainLine
from rmqctl.cli.supervision.progress import describe_change
from rmqctl.errors import ExitCode, RmqctlError
from rmqctl.supervisor.messages import Done, DrainProgress, NodeChanged, Notice, OrderMessage


def follow_work(messages: Iterable[OrderMessage]) -> None:
    """Show what happens; returns when all is done.

    Raises:
        RmqctlError: Something was not done; says what, and where to look.
    """
    done = Done(problem="the supervisor ended before it was done")
    try:
        with DrainLine() as line:
            for message in messages:
                match message:
                    case DrainProgress():
                        line.show(message)
                    case NodeChanged():
                        line.clear()
                        narrate(describe_change(message))
                    case Notice(text):
                        line.clear()
                        narrate(text)
                    case Done():
                        done = message
    except KeyboardInterrupt:
        narrate("a drain is taken back; what had begun to start or stop goes on")
        raise
    if done.problem is not None:
        raise RmqctlError(
            done.problem,
            cure=f"rmqctl logs {done.node}" if done.node else "rmqctl status",
            exit_code=ExitCode.TIMEOUT if done.is_late else ExitCode.REFUSED,
        )
