"""The form of a node's table of requests, and how a frame becomes a typed request by that table.

A `Route` says which request code has which headers and which handler. `RequestTable` decodes a frame
straight into `Request[header type]`: one JSON pass without an intermediate map when the header is in the
usual form, and Java's own rules of conversion (`rmqnode.protocol.header_fields`) for everything else. Both
ways give the same header, the first is only faster; a property test holds them against each other.
"""

import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import msgspec

from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import (
    FLAG_ONEWAY,
    FLAG_RESPONSE,
    Command,
    decode_command,
    decode_without_fields,
    encode_header,
)
from rmqnode.protocol.errors import HeaderFieldError, MalformedHeader
from rmqnode.protocol.frame import Frame, Serialization, encode_frame
from rmqnode.protocol.header_fields import Header, boolean_fields, header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.reply_form import ReplyForm

H = TypeVar("H", bound=Header)

_LOOSE_NUMBER: Final = re.compile(rb':["\s]*+(?:[-+0-9]++[.eE\\]|\\)')
"""A value that msgspec may take for an integer and Java does not: `5.0`, `1e3`, also with escaped characters.

Possessive, with one literal byte to search for: a tenth of what the same pattern costs with backtracking.
"""

HEADER_BYTES_MAX: Final = 256 * 1024
"""Largest header of a request that is read. The largest of a client holds properties, 32 767 bytes before escaping."""

_START_SIZE: Final = len('{"code":310')
"""So much of a header in the usual form tells codes of 2 and 3 digits apart; other codes take the long way."""

_JSON: Final = int(Serialization.JSON)
"""As a plain int: members of an enum are slow to find and to compare."""


class Request(msgspec.Struct, Generic[H]):
    """One decoded request. `connection` is the peer's, set by the network layer that received the frame."""

    code: int
    header: H = msgspec.field(name="extFields")
    opaque: int = 0
    flag: int = 0
    language: str | int | None = None
    version: int = 0
    remark: str | None = None
    body: bytes = b""
    serialization: int = Serialization.JSON
    connection: Any = None

    @property
    def is_oneway(self) -> bool:
        """Whether the sender wants no answer."""
        return bool(self.flag & FLAG_ONEWAY)


class Reply(msgspec.Struct, gc=False):
    """What a handler answers; `header` None leaves `extFields` out, `body` may be pieces of mapped memory."""

    code: int = 0
    remark: str | None = None
    header: Header | None = None
    body: bytes | list[memoryview] = b""
    form: ReplyForm | None = None
    """Writes this header faster, as long as the reply stays a success without remark and body."""

    def frame(self, serialization: int, opaque: int) -> bytes:
        """Write the whole frame that answers a request of this serialization and `opaque`.

        Raises:
            MalformedHeader: A value does not fit the binary form.
        """
        header = self.header
        if self.form is not None and not (self.code or serialization or self.remark or self.body):
            return self.form.frame(opaque, header)
        ext_fields = None if header is None else header_to_ext_fields(header)
        body = self.body
        return encode_frame(
            serialization,
            encode_header(serialization, self.code, opaque, FLAG_RESPONSE, self.remark, ext_fields),
            body if isinstance(body, bytes) else b"".join(body),
        )


class Route(msgspec.Struct, frozen=True):
    """One line of a node's table: a request code, its headers and the function that answers it."""

    code: RequestCode
    request_header: type[Header]
    response_header: type[Header] | None
    handler: Callable[..., Any]


class RejectedRequest(Exception):
    """A frame is sound and its code known, but its custom header is not what the code needs."""

    def __init__(self, command: Command, remark: str) -> None:
        self.command = command
        self.remark = remark
        super().__init__(remark)


def _too_large(frame: Frame) -> RejectedRequest:
    """Refuse a header unread but for what its answer needs.

    Raises:
        MalformedHeader: There is nobody to answer.
    """
    command = decode_without_fields(frame)
    problem = f"the header has {len(frame.header)} bytes, more than the {HEADER_BYTES_MAX} that a request may have"
    if command.is_response:
        raise MalformedHeader(problem)
    return RejectedRequest(command, problem)


class _Entry:
    """What is known of one route; most of it is made at first use, for most nodes see a fraction of their table."""

    __slots__ = ("booleans", "code", "decode", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.code = int(route.code)
        self.booleans: Callable[[Header], tuple[Any, ...]] | None = None
        """Gets the booleans of a header, one of them twice, which makes it a tuple whatever their number."""
        self.decode: Callable[[bytes], Request[Any]] = self._decode_first

    def _decode_first(self, header: bytes) -> Request[Any]:
        header_type: Any = self.route.request_header
        names = boolean_fields(header_type)
        self.booleans = attrgetter(*names, names[0]) if names else None
        self.decode = msgspec.json.Decoder(Request[header_type], strict=False).decode
        return self.decode(header)


class RequestTable:
    """Finds the route of a frame and decodes the frame by it."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._entries: dict[int, _Entry] = {}
        self._entries_by_start: dict[bytes, _Entry] = {}
        for route in routes:
            assert route.code not in self._entries, f"{route.code!r} is in the table twice"
            entry = _Entry(route)
            self._entries[route.code] = entry
            self._entries_by_start[(b'{"code":%d,' % route.code)[:_START_SIZE]] = entry

    def decode(self, frame: Frame) -> tuple[Route, Request[Any]] | Command:
        """Decode a frame; a response, or a request whose code is not in the table, comes back as a Command.

        Raises:
            MalformedHeader: The header can't be read at all; close the connection.
            RejectedRequest: A field of a known request is missing or wrong, or the header is too large; answer that.
        """
        header = frame.header
        if len(header) > HEADER_BYTES_MAX:
            raise _too_large(frame)
        entry = self._entries_by_start.get(header[:_START_SIZE])
        if entry is None or frame.serialization != _JSON:
            return self._decode_in_steps(frame)
        # What stands behind the custom header is read alike on both ways.
        if _LOOSE_NUMBER.search(header, _START_SIZE, header.rfind(b"}", 0, -1)) is not None:
            return self._decode_in_steps(frame)
        try:
            request = entry.decode(header)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._decode_in_steps(frame)
        # The start may be that of a longer code. And msgspec takes "1" for true, Java only "true".
        booleans = entry.booleans
        if (
            request.code != entry.code
            or request.flag & FLAG_RESPONSE
            or (booleans is not None and True in booleans(request.header))
        ):
            return self._decode_in_steps(frame)
        request.serialization = _JSON
        request.body = frame.body
        return entry.route, request

    def _decode_in_steps(self, frame: Frame) -> tuple[Route, Request[Any]] | Command:
        command = decode_command(frame)
        entry = self._entries.get(command.code)
        if entry is None or command.is_response:
            return command
        route = entry.route
        try:
            header = header_from_ext_fields(route.request_header, command.ext_fields or {})
        except HeaderFieldError as error:
            raise RejectedRequest(command, str(error)) from None
        return route, Request(
            code=command.code,
            header=header,
            opaque=command.opaque,
            flag=command.flag,
            language=command.language,
            version=command.version,
            remark=command.remark,
            body=command.body,
            serialization=command.serialization,
        )
