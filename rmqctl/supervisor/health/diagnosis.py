"""Why a node did not start, in one sentence: from its log, its folder and its ports."""

import re
from pathlib import Path

from rmqctl.profile.model import Node
from rmqctl.supervisor.launch.ports_in_use import held_ports

_LOG_LINES = 8
_LOG_BYTES = 65536
_ERROR_LINE = re.compile(r"\S+ \S+ (?:ERROR|CRITICAL) \S+ (.*)")
"""A line of a node's log: date, time, level, logger, message."""
_ADDRESS_IN_USE = re.compile(r"address already in use|EADDRINUSE", re.IGNORECASE)


def tail_of_log(path: Path, since: int, lines: int = _LOG_LINES) -> list[str]:
    """The last lines that a log got after byte `since`; empty when there is none."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(since, size - _LOG_BYTES))
            text = log.read(_LOG_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]


def explain_failure(node: Node, log_lines: list[str]) -> str | None:
    """The most likely cause of a failed start; None when the log says nothing."""
    if any(_ADDRESS_IN_USE.search(line) for line in log_lines):
        for held in held_ports(node):
            return held
    if node.engine == "apache":
        from rmqctl.engine.apache.diagnosis import explain_java_exit

        if (cause := explain_java_exit(log_lines)) is not None:
            return cause
    errors = [match[1] for line in log_lines if (match := _ERROR_LINE.fullmatch(line))]
    if errors:
        return errors[-1]
    return log_lines[-1].strip() if log_lines else None
