"""Why a Java node ended, in one sentence, from the lines that it wrote."""

import re
from collections.abc import Sequence
from typing import NamedTuple


class _Cause(NamedTuple):
    pattern: re.Pattern[str]
    sentence: str
    """May use the pattern's groups."""


_CAUSES = tuple(
    _Cause(re.compile(pattern), sentence)
    for pattern, sentence in (
        (r"Lock failed,\s?MQ already started", "another broker has its store"),
        (r"Unrecognized (?:VM )?option:? '?(?P<option>[^'\s]+)", "this Java does not know the option {option}"),
        (r"Unable to make .*accessible|InaccessibleObjectException", "this Java does not let it into the JDK: {line}"),
        (r"UnsupportedClassVersionError", "this Java is too old for the jars: {line}"),
        (r"Could not reserve enough space|insufficient memory|Cannot allocate memory", "not enough memory: {line}"),
        (r"OutOfMemoryError: (?P<what>.*)", "it ran out of memory: {what} (heap and direct_memory in the profile)"),
        (
            r"(?P<file>/.*?)\s+\d+ length not matched message store config value",
            "{file} has another size than the settings say: mappedFileSizeCommitLog or mappedFileSizeConsumeQueue"
            " must be what the store was made with",
        ),
        (r"load (?P<file>/.*?) failed, and try", "{file} cannot be read; its copy ends in .bak"),
        (r"\((?P<what>Is a directory|Permission denied|No space left on device|Read-only file system)\)", "{line}"),
        (r"Could not find or load main class (?P<name>\S+)", "the jars are not there: no class {name}"),
    )
)
"""In order: what says more about the cause comes first."""

_STAMP = re.compile(r"^\S+ \S+ [A-Z]+ \S+ - ")
"""What our logging configuration writes before a message."""
_ERROR_LINE = re.compile(r"\S+ \S+ ERROR \S+ - (?P<message>.*)")
_EXCEPTION = re.compile(r"^(?:Caused by: )?(?P<name>[a-z]+(?:\.\w+)+(?:Exception|Error))(?::\s*(?P<text>.*))?$")


def explain_java_exit(lines: Sequence[str]) -> str | None:
    """The most likely cause; None when the lines say nothing.

    Args:
        lines: Everything that the node wrote since it was started, or the last part of it.
    """
    for cause in _CAUSES:
        for line in lines:
            match = cause.pattern.search(line)
            if match is not None:
                message = _STAMP.sub("", line.strip())
                return cause.sentence.format(line=message, **match.groupdict(default=""))
    return _last_exception(lines) or _last_error(lines)


def _last_error(lines: Sequence[str]) -> str | None:
    errors = [match["message"] for line in lines if (match := _ERROR_LINE.match(line))]
    return errors[-1] if errors else None


def _last_exception(lines: Sequence[str]) -> str | None:
    """The innermost cause of the last stack trace."""
    found = [match for line in lines if (match := _EXCEPTION.match(line.strip()))]
    if not found:
        return None
    last = found[-1]
    return f"{last['text']} ({last['name'].rpartition('.')[2]})" if last["text"] else last["name"]
