"""Which messages `rmqctl send` sends, one after the other: the same one some times, or one for each line of input."""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from rmqctl.cli.messages.send.body import BodyFormat, decode_body, open_input
from rmqctl.cli.messages.send.jsonl import read_line
from rmqctl.cli.messages.send.lines import Line, LineReader
from rmqctl.client.message import Message, check_message
from rmqctl.errors import RmqctlError


class Item(msgspec.Struct, frozen=True):
    """A message to be sent, or why there is none."""

    message: Message | RmqctlError
    order_key: str | None = None
    line: int | None = None
    """Number of the line that it came from."""
    read_bytes: int = 0
    """How much of the input was read so far."""


class Source(Protocol):
    """Where messages come from."""

    count: int | None
    """How many there are, when that is known."""
    size_bytes: int | None
    """How much input there is, when that is known."""

    def items(self) -> AsyncGenerator[Item, None]:
        """Give every message."""


class RepeatedSource:
    """One message, some times."""

    def __init__(self, message: Message, count: int) -> None:
        self.count: int | None = count
        self.size_bytes: int | None = None
        self._item = Item(check_message(message))

    async def items(self) -> AsyncGenerator[Item, None]:
        """Give the message again and again."""
        assert self.count is not None
        for _ in range(self.count):
            yield self._item


class LineSource:
    """A message for each line of a file or of standard input.

    Args:
        argument: `@FILE`, `-`, or None for standard input.
        body_format: What a line holds: a body, or with JSONL a whole message.
        template: What the command line says about each message; a line of JSONL says the rest.

    Raises:
        UsageError: The input can't be read.
    """

    def __init__(self, argument: str | None, body_format: BodyFormat, template: Message) -> None:
        descriptor, self.name = open_input(argument)
        self._reader = LineReader(descriptor, self.name)
        self._body_format = body_format
        self._template = template
        self.count: int | None = None
        self.size_bytes = self._reader.size_bytes

    @property
    def empty_count(self) -> int:
        """Empty lines that were passed over."""
        return self._reader.empty_count

    async def items(self) -> AsyncGenerator[Item, None]:
        """Give a message for every line that is not empty."""
        async for line in self._reader.lines():
            try:
                message, order_key = self._message_of(line)
                yield Item(check_message(message), order_key, line.number, line.end)
            except RmqctlError as error:
                yield Item(error, None, line.number, line.end)

    def _message_of(self, line: Line) -> tuple[Message, str | None]:
        where = f"line {line.number} of {self.name}"
        said = self._template
        if self._body_format is not BodyFormat.JSONL:
            return msgspec.structs.replace(said, body=decode_body(line.data, self._body_format, where)), None
        written = read_line(line.data, said.topic, where)
        message = written.message
        return msgspec.structs.replace(
            message,
            tag=said.tag or message.tag,
            keys=said.keys or message.keys,
            properties={**message.properties, **said.properties},
            delay_level=said.delay_level or message.delay_level,
            system_properties=_without_overridden(message, said),
        ), written.order_key


def _without_overridden(message: Message, said: Message) -> dict[str, str]:
    overridden = {
        name for name, value in (("TAGS", said.tag), ("KEYS", said.keys), ("DELAY", said.delay_level)) if value
    }
    return {name: value for name, value in message.system_properties.items() if name not in overridden}
