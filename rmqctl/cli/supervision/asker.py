"""Who asks the supervisor for something, in words: for its ledger and its log."""

import os
import shlex
import sys

_LENGTH_MAX = 200


def asked_by() -> str:
    """The command line and the user: `rmqctl stop broker-a-1 (alice)`."""
    command = shlex.join(["rmqctl", *sys.argv[1:]])
    if len(command) > _LENGTH_MAX:
        command = command[: _LENGTH_MAX - 1] + "…"
    return f"{command} ({_user()})"


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
