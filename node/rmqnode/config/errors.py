"""The one error of configuration: every problem of a file at once, each a whole sentence with its place."""

from collections.abc import Sequence

from rmqnode.plain_text import escape_controls


class ConfigError(Exception):
    """A configuration cannot be used.

    Attributes:
        problems: One sentence each, ``broker.conf:7: listenPort must be 1..65535, got 'abc'``. Never empty.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def place(source: str, line: int | None = None) -> str:
    """Say where something was read: ``broker.conf:7``, or the source alone when it has no lines."""
    return source if line is None else f"{source}:{line}"


def shown(text: str) -> str:
    """Quote a value for a message: control characters escaped, cut after 80 characters."""
    visible = escape_controls(text[:80])
    return f"'{visible}…'" if len(text) > 80 else f"'{visible}'"
