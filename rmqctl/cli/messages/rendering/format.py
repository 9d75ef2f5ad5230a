"""In which form messages are printed: the choices of `--format`, and the function behind each."""

import os
import sys
from collections.abc import Callable
from enum import Enum
from functools import partial

from rmqctl.cli.messages.rendering.line import Painter, json_block, json_line, raw_body, text_block, text_line
from rmqctl.cli.output import is_terminal
from rmqctl.errors import UsageError
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage

Rendering = Callable[[MessageQueue, StoredMessage], bytes]


class OutputFormat(Enum):
    """How a message is printed."""

    LINE = "line"
    """One line for people: when, where, tag, keys, body."""
    PRETTY = "pretty"
    """Several lines for people: properties too, JSON indented, binary as a dump."""
    JSONL = "jsonl"
    """One JSON object on one line, with everything; `rmqctl send --format jsonl` takes it."""
    JSON = "json"
    """The same, indented."""
    RAW = "raw"
    """The bytes of the body and a new line."""
    TEMPLATE = "template"
    """What `--template` says."""


def choose_rendering(chosen: OutputFormat, template: str | None) -> Rendering:
    """Return the function that makes the bytes of a message, without the end of the line.

    Args:
        chosen: The form.
        template: The text of the form TEMPLATE; giving it chooses that form.

    Raises:
        UsageError: The template is missing, can't be read, or another form was asked for as well.
    """
    if template is not None:
        if chosen not in (OutputFormat.LINE, OutputFormat.TEMPLATE):
            raise UsageError(f"--template and --format {chosen.value} were both given", cure="give one of them")
        from rmqctl.cli.messages.rendering.template import compile_template

        return compile_template(template, escape=is_terminal(sys.stdout))
    match chosen:
        case OutputFormat.TEMPLATE:
            raise UsageError("--format template needs a template", cure="--template '{time} {tag} {body}'")
        case OutputFormat.JSONL:
            return json_line
        case OutputFormat.JSON:
            return json_block
        case OutputFormat.RAW:
            return raw_body
        case _:
            painter = Painter(colour=is_terminal(sys.stdout) and not os.environ.get("NO_COLOR"))
            return partial(text_block if chosen is OutputFormat.PRETTY else text_line, painter=painter)
