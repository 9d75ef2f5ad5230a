"""Templates of `rmqctl tail --template`: text with `{fields}` of a message, rendered to bytes. No I/O."""

import base64
import string
from collections.abc import Callable, Mapping
from typing import Final

from rmqctl.cli.messages.rendering.document import body_of
from rmqctl.cli.messages.rendering.line import body_text, json_line, store_time_of
from rmqctl.client.start_position import format_time
from rmqctl.errors import UsageError
from rmqnode.plain_text import escape_bytes
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage
from rmqnode.protocol.properties import PropertyName

Field = Callable[[MessageQueue, StoredMessage], bytes]

_PROPERTY_PREFIX: Final = "prop."
_ESCAPES: Final = {r"\n": "\n", r"\t": "\t", r"\0": "\0"}


def _text(value: Callable[[MessageQueue, StoredMessage], object]) -> Field:
    return lambda queue, message: str(value(queue, message)).encode("utf-8", "replace")


FIELDS: Final[Mapping[str, Field]] = {
    "topic": _text(lambda queue, message: message.topic),
    "broker": _text(lambda queue, message: queue.broker_name),
    "queue": _text(lambda queue, message: message.queue_id),
    "offset": _text(lambda queue, message: message.queue_offset),
    "physical_offset": _text(lambda queue, message: message.physical_offset),
    "id": _text(lambda queue, message: message.message_id),
    "offset_id": _text(lambda queue, message: message.offset_message_id),
    "tag": _text(lambda queue, message: message.properties.get(PropertyName.TAGS, "")),
    "keys": _text(lambda queue, message: message.properties.get(PropertyName.KEYS, "")),
    "body": lambda queue, message: body_of(message)[0],
    "body_text": _text(lambda queue, message: body_text(body_of(message)[0])),
    "body_hex": _text(lambda queue, message: body_of(message)[0].hex()),
    "body_base64": lambda queue, message: base64.b64encode(body_of(message)[0]),
    "body_bytes": _text(lambda queue, message: len(body_of(message)[0])),
    "json": json_line,
    "time": _text(lambda queue, message: store_time_of(message)),
    "store_time": _text(lambda queue, message: format_time(message.store_timestamp)),
    "store_ms": _text(lambda queue, message: message.store_timestamp),
    "store_host": _text(lambda queue, message: message.store_host),
    "born_time": _text(lambda queue, message: format_time(message.born_timestamp)),
    "born_ms": _text(lambda queue, message: message.born_timestamp),
    "born_host": _text(lambda queue, message: message.born_host),
    "reconsume_times": _text(lambda queue, message: message.reconsume_times),
    "flag": _text(lambda queue, message: message.flag),
}
"""Every field by name; `{prop.NAME}` is the property of that name. Documented in docs/messages.md."""


def compile_template(text: str, *, escape: bool) -> Field:
    r"""Return what renders messages as a template says.

    Args:
        text: `{field}`, `{{` and `}}` for braces, `\n`, `\t` and `\0` for a new line, a tab and a zero byte.
        escape: For a terminal: control characters in what a message says are shown as escapes.

    Raises:
        UsageError: A brace stands alone, or there is no such field.
    """
    for escaped, character in _ESCAPES.items():
        text = text.replace(escaped, character)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise UsageError(f"--template {text!r} can't be read", str(error), "write {{ and }} for braces") from None
    pieces: list[bytes | Field] = []
    for literal, name, specification, conversion in parts:
        if literal:
            pieces.append(literal.encode("utf-8", "surrogateescape"))
        if name is not None:
            if specification or conversion:
                raise UsageError(
                    f"--template: {{{name}…}} has a format of its own", cure="write {field} and nothing else"
                )
            pieces.append(_harmless(_field(name)) if escape else _field(name))

    def render(queue: MessageQueue, message: StoredMessage) -> bytes:
        return b"".join(piece if isinstance(piece, bytes) else piece(queue, message) for piece in pieces)

    return render


def _field(name: str) -> Field:
    if name.startswith(_PROPERTY_PREFIX):
        wanted = name.removeprefix(_PROPERTY_PREFIX)
        return _text(lambda queue, message: message.properties.get(wanted, ""))
    field = FIELDS.get(name)
    if field is None:
        raise UsageError(
            f"--template: there is no field {{{name}}}", f"fields are: {', '.join(FIELDS)}, {_PROPERTY_PREFIX}NAME"
        )
    return field


def _harmless(field: Field) -> Field:
    return lambda queue, message: escape_bytes(field(queue, message)).encode("utf-8", "replace")
