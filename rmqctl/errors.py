"""The one error that users of rmqctl see, and the exit codes that scripts rely on.

Whoever finds a problem raises `RmqctlError` (or a subclass) with what is wrong, why, and what to do about it;
`rmqctl.cli.output` alone turns it into text. Nothing here prints or exits.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit status of every `rmqctl` command means; documented in docs/cli.md."""

    DONE = 0
    """The command did what it was asked to do."""
    REFUSED = 1
    """Refused, failed or unhealthy: the message says why."""
    USAGE = 2
    """A wrong option, argument, profile or setting: nothing was changed."""
    UNREACHABLE = 3
    """A nameserver, a broker or the supervisor does not answer, or no cluster is running."""
    TIMEOUT = 4
    """Something answered, but the asked-for state was not reached in time."""
    NOT_SEND_OK = 5
    """A message was stored, but its send status is not SEND_OK."""
    INTERRUPTED = 130
    """Ctrl-C."""


class RmqctlError(Exception):
    """A problem in the words of a user: what happened, why, and what to do.

    Args:
        what: One sentence fragment without a full stop: what is wrong and where.
        why: The cause with its evidence, when it is known.
        cure: What to do next, best a command that can be pasted.
        exit_code: The exit status that the command ends with.
    """

    exit_code: ExitCode = ExitCode.REFUSED

    def __init__(
        self,
        what: str,
        why: str | None = None,
        cure: str | None = None,
        exit_code: ExitCode | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.cure = cure
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(f"why: {self.why}")
        if self.cure:
            parts.append(f"try: {self.cure}")
        return "; ".join(parts)


class UsageError(RmqctlError):
    """A wrong option, argument, profile or setting."""

    exit_code = ExitCode.USAGE


class UnreachableError(RmqctlError):
    """Something that should answer does not."""

    exit_code = ExitCode.UNREACHABLE
