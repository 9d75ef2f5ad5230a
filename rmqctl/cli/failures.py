"""What becomes of an exception that no command expected: the error that its user is told.

Imported only when something failed. Not responsible for printing: `rmqctl.cli.output` does that.
"""

import errno
import os
import re
from difflib import get_close_matches
from pathlib import Path

import typer

from rmqctl.errors import ExitCode, RmqctlError

_CURES = {
    errno.EACCES: "check who may read and write it",
    errno.EPERM: "check who may read and write it",
    errno.EROFS: "choose a folder that can be written, with --home",
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room on that disk",
    errno.EMFILE: "raise the limit of open files: ulimit -n 65536",
    errno.ENFILE: "end programs that have many files open",
    errno.ENOMEM: "end programs that need much memory",
}
"""What to do about what the system refuses. Other refusals without a file are defects of ours."""


_PLAINER = (
    (r"is not a valid int(eger)?( range)?$", "is no whole number"),
    (r"is not a valid float( range)?$", "is no number"),
    (r"(\S+) is not in the range x>=(\S+)$", r"\1 is below \2"),
)
"""How we say what the library says in words of its own."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def usage_error(error: typer.TyperException) -> RmqctlError:
    """An argument or option that the command does not understand."""
    context = getattr(error, "ctx", None)
    command_path = context.command_path if context is not None else "rmqctl"
    words = " ".join(error.format_message().split()).rstrip(".")
    for pattern, plain in _PLAINER:
        words = re.sub(pattern, plain, words)
    return RmqctlError(words, cure=_nearest_command(error) or f"{command_path} --help", exit_code=ExitCode.USAGE)


def _nearest_command(error: typer.TyperException) -> str | None:
    """The command that was probably meant by an unknown one, as it is typed."""
    context = getattr(error, "ctx", None)
    _, quoted, rest = error.format_message().partition("No such command '")
    if context is None or not quoted:
        return None
    nearest = get_close_matches(rest.partition("'")[0], context.command.list_commands(context), n=1)
    return f"{context.command_path} {nearest[0]}, or {context.command_path} --help" if nearest else None


def system_error(error: OSError) -> RmqctlError | None:
    """Something that the system refused to do with a file or with our output; None if it is a defect of ours."""
    reason, cure = error.strerror or str(error), _CURES.get(error.errno or 0)
    if error.filename is not None:
        if error.errno in _FULL:
            from rmqnode.store.disk import describe_file_system

            reason = f"{reason} ({describe_file_system(Path(os.fsdecode(error.filename)))})"
        return RmqctlError(f"can't use {os.fsdecode(error.filename)}", reason, cure or "check that path")
    if error.errno in _FULL:
        return RmqctlError("something could not be written", f"{reason}: where standard output or the home is", cure)
    return RmqctlError("the system refused what rmqctl needs", reason, cure) if cure else None


def defect(error: Exception) -> RmqctlError:
    """Anything else: nobody but us is to blame."""
    return RmqctlError(
        f"{type(error).__name__}: {error}",
        "this is a defect of rmqctl, not of your input",
        "run it again with RMQCTL_DEBUG=1 and report what it prints",
    )
