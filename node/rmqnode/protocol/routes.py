"""The form of a node's table of requests, and how a frame becomes a typed request by that table.

A `Route` says which request code has which headers and which handler. `RequestTable` decodes a frame
straight into `Request[header type]`: one JSON pass without an intermediate map when the header is in the
usual form, and Java's own rules of conversion (`rmqnode.protocol.header_fields`) for everything else. Both
ways give the same header, the first is only faster; a property test holds them against each other.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec

from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, FLAG_RESPONSE, Command, decode_command
from rmqnode.protocol.errors import HeaderFieldError
from rmqnode.protocol.frame import Frame, Serialization
from rmqnode.protocol.header_fields import Header, boolean_fields, header_from_ext_fields

H = TypeVar("H", bound=Header)

_LOOSE_NUMBER: Final = re.compile(rb':\s*+"?+(?:[-+0-9]++[.eE\\]|\\)')
"""A value that msgspec may take for an integer and Java does not: `5.0`, `1e3`, also with escaped characters.

Possessive, with one literal byte to search for: a tenth of what the same pattern costs with backtracking.
"""

_CODE_PREFIX: Final = b'{"code":'


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


class _Entry(msgspec.Struct):
    route: Route
    boolean_fields: tuple[str, ...]
    decode: Callable[[bytes], Request[Any]] | None = None


class RequestTable:
    """Finds the route of a frame and decodes the frame by it."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._entries: dict[int, _Entry] = {}
        self._entries_by_text: dict[bytes, _Entry] = {}
        for route in routes:
            assert route.code not in self._entries, f"{route.code!r} is in the table twice"
            entry = _Entry(route, boolean_fields(route.request_header))
            self._entries[route.code] = entry
            self._entries_by_text[b"%d" % route.code] = entry

    def decode(self, frame: Frame) -> tuple[Route, Request[Any]] | Command:
        """Decode a frame; a response, or a request whose code is not in the table, comes back as a Command.

        Raises:
            MalformedHeader: The header can't be read at all; close the connection.
            RejectedRequest: A field of a known request is missing or wrong; answer that.
        """
        header = frame.header
        if frame.serialization == Serialization.JSON and header.startswith(_CODE_PREFIX):
            entry = self._entries_by_text.get(header[8 : header.find(b",", 8)])
            if entry is not None and _LOOSE_NUMBER.search(header) is None:
                request = self._decode_at_once(entry, header)
                if request is not None:
                    request.body = frame.body
                    return entry.route, request
        return self._decode_in_steps(frame)

    def _decode_at_once(self, entry: _Entry, header: bytes) -> Request[Any] | None:
        """Decode a header in the usual form; None when it has to be looked at more closely."""
        decode = entry.decode
        if decode is None:
            # Decoders are made at first use: most nodes see a fraction of their table.
            header_type: Any = entry.route.request_header
            decode = entry.decode = msgspec.json.Decoder(Request[header_type], strict=False).decode
        try:
            request = decode(header)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if request.flag & FLAG_RESPONSE or request.code != entry.route.code:
            return None
        for name in entry.boolean_fields:
            # msgspec takes "1" for true, Java only "true".
            if getattr(request.header, name):
                return None
        request.serialization = Serialization.JSON
        return request

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
