"""Which words may stand next on a command line of rmqctl. Asked by the shells' scripts on every press of Tab.

Commands come from the table in `app`, options from the command's own definition, names from `names`. It
never prints an error: a shell would write it into the line that is being typed.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rmqctl.cli.app import COMMANDS, CommandEntry, GroupEntry, build_command
from rmqctl.cli.completion.names import NameKind, names_of
from rmqnode.plain_text import is_plain

VARIABLE: Final = "_RMQCTL_COMPLETE"
"""Environment variable with the name of the shell that asks."""

_NAMES_OF_OPTION: Final[Mapping[str, NameKind]] = {
    "--cluster": NameKind.CLUSTER,
    "--profile": NameKind.PROFILE,
    "--topic": NameKind.TOPIC,
    "--trace-topic": NameKind.TOPIC,
    "--group": NameKind.GROUP,
    "--broker": NameKind.BROKER,
    "--node": NameKind.NODE,
}
_NAMES_OF_ARGUMENT: Final[Mapping[str, NameKind]] = {
    "TOPIC": NameKind.TOPIC,
    "TOPIC[:TAG]": NameKind.TOPIC,
    "TOPIC[:TAGS]": NameKind.TOPIC,
    "GROUP": NameKind.GROUP,
    "[GROUP]": NameKind.GROUP,
    "NODE": NameKind.NODE,
    "[NODE]": NameKind.NODE,
    "[NODE]…": NameKind.NODE,
    "NAME|PATH": NameKind.PROFILE,
}
_WORD_BREAKS: Final = ":="
"""Characters at which bash begins a new word of its own."""


class Candidate(NamedTuple):
    """A word, and what it means."""

    word: str
    help: str = ""


_HELP: Final = Candidate("--help", "Show this message and exit.")


def run(arguments: Sequence[str]) -> int:
    """Print the words that may come next, for the shell that asks; returns 0."""
    shell = os.environ.pop(VARIABLE)
    words = _words_of_line(arguments[0]) if shell == "bash" and arguments else list(arguments)
    before, begun = (words[:-1], words[-1]) if words else ([], "")
    fitting = (candidate for candidate in candidates(before, begun) if candidate.word.startswith(begun))
    # A name that a terminal would act on can't be typed either.
    found = [candidate for candidate in fitting if is_plain(candidate.word)]
    for line in _lines_for(shell, begun, found):
        print(line)
    sys.stdout.flush()
    return 0


def candidates(before: Sequence[str], begun: str) -> list[Candidate]:
    """Return the words that may stand behind others; those that do not begin as the last one does may be among them.

    Args:
        before: The words that are complete, without `rmqctl`.
        begun: What was typed of the next one.
    """
    entry, rest = _entry_of(before)
    if entry is None:
        return []
    if not isinstance(entry, CommandEntry):
        return [Candidate(name, each.help) for name, each in entry.items()] + ([_HELP] if begun.startswith("-") else [])
    command = build_command("rmqctl", entry)
    options = {name: parameter for parameter in command.params for name in getattr(parameter, "opts", ())}
    if rest and rest[-1] in options and _takes_value(options[rest[-1]]):
        return _values(options[rest[-1]], rest[-1], rest)
    if begun.startswith("-"):
        option, equals, _ = begun.partition("=")
        if equals and option in options:
            return [Candidate(f"{option}={each.word}", each.help) for each in _values(options[option], option, rest)]
        return [
            Candidate(name, parameter.help or "")
            for name, parameter in options.items()
            if name.startswith("--") and not getattr(parameter, "hidden", False)
        ] + [_HELP]
    return _argument_values(command, rest, options)


def _entry_of(before: Sequence[str]) -> tuple[Mapping[str, CommandEntry | GroupEntry] | CommandEntry | None, list[str]]:
    """Return the table or the command that the words lead to, and the words behind it."""
    table: Mapping[str, CommandEntry | GroupEntry] = COMMANDS
    for index, word in enumerate(before):
        entry = table.get(word)
        if entry is None:
            return None, []
        if isinstance(entry, CommandEntry):
            return entry, list(before[index + 1 :])
        table = entry.commands
    return table, []


def _argument_values(command: Any, rest: Sequence[str], options: Mapping[str, Any]) -> list[Candidate]:
    given = 0
    skip = False
    for word in rest:
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            skip = word in options and _takes_value(options[word])
        else:
            given += 1
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    for argument in arguments:
        if argument.nargs == -1 or given == 0:
            return _values(argument, argument.metavar or argument.name, rest)
        given -= 1
    return []


def _values(parameter: Any, name: str, words: Sequence[str]) -> list[Candidate]:
    choices = getattr(parameter.type, "choices", None)
    if choices is not None:
        return [Candidate(str(getattr(choice, "value", choice))) for choice in choices]
    kind = _NAMES_OF_OPTION.get(name) or _NAMES_OF_ARGUMENT.get(name)
    return [] if kind is None else [Candidate(word) for word in names_of(kind, words)]


def _takes_value(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and not parameter.is_flag


def _words_of_line(line: str) -> list[str]:
    """Split what stands before the cursor as a shell does; a quote that is still open is closed."""
    for end in ("", '"', "'"):
        try:
            words = shlex.split(line + end)
        except ValueError:
            continue
        return [*words[1:], ""] if not end and line[-1:].isspace() else words[1:]
    return []


def _lines_for(shell: str, begun: str, found: Sequence[Candidate]) -> list[str]:
    if shell == "zsh":
        escaped = [(each.word.replace(":", "\\:"), each.help) for each in found]
        return [f"{word}:{text}" if text else word for word, text in escaped]
    if shell == "fish":
        return [f"{each.word}\t{each.help}" for each in found]
    # bash completes only what stands behind the last of its own word breaks.
    kept = max(begun.rfind(character) for character in _WORD_BREAKS) + 1
    return [shlex.quote(each.word[kept:]) for each in found]
