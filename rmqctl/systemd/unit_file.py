"""The text of a unit file: sections, directives and systemd's quoting. Knows nothing of RocketMQ.

Source: systemd.syntax(7), systemd.service(5), section "Command lines".
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

Directive = tuple[str, str]


class UnitFile(msgspec.Struct, frozen=True):
    """One unit: its file name and its sections in order, each with its directives in order."""

    name: str
    sections: dict[str, list[Directive]]

    def render(self) -> str:
        """The content of the file."""
        return "\n".join(_render_section(name, directives) for name, directives in self.sections.items())


def command_line(arguments: Iterable[str]) -> str:
    """Arguments as ExecStart= takes them: nothing in them is expanded."""
    return " ".join(_quote(argument.replace("$", "$$")) for argument in arguments)


def environment(name: str, value: str) -> str:
    """One assignment as Environment= takes it."""
    return _quote(f"{name}={value}")


def path(value: Path) -> str:
    """A path as directives that take a list of paths want it."""
    return _quote(str(value))


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped}"' if not escaped or any(character in escaped for character in " \t;'\\") else escaped


def _render_section(name: str, directives: list[Directive]) -> str:
    return "".join([f"[{name}]\n", *(f"{key}={value}\n" for key, value in directives)])
