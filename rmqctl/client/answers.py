"""What a server answered, and a request whose answer nobody waits for. Values, no I/O."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from rmqctl.client.errors import BadReply, RequestTimedOut
from rmqnode.protocol.bodies import Body
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.header_fields import Header, header_from_ext_fields

H = TypeVar("H", bound=Header)
B = TypeVar("B", bound=Body)


class Answer:
    """A response that counts as a success, and who gave it."""

    def __init__(self, server: str, address: str, request_code: int, response: Command) -> None:
        self.server = server
        self.address = address
        self.request_code = request_code
        self.code = response.code
        self.remark = response.remark
        self.version = response.version
        self.payload = response.body
        self._ext_fields = response.ext_fields or {}

    def header(self, header_type: type[H]) -> H:
        """Read the response's custom header.

        Raises:
            BadReply: A required field is missing or malformed.
        """
        try:
            return header_from_ext_fields(header_type, self._ext_fields)
        except ProtocolError as error:
            raise self.bad(str(error)) from None

    def body(self, body_type: type[B]) -> B:
        """Read the response's JSON body.

        Raises:
            BadReply: There is none, or it is not what it should be.
        """
        try:
            return body_type.decode(self.payload)
        except ProtocolError as error:
            raise self.bad(str(error)) from None

    def bad(self, problem: str) -> BadReply:
        """Return the error that says what is wrong with this answer."""
        return BadReply(self.server, self.address, self.request_code, problem)


class Submission(msgspec.Struct, frozen=True):
    """A request to a broker that nobody waits for."""

    broker: str
    address: str
    request_code: int
    topic: str | None
    withdraw: Callable[[], None]

    def time_out(self, timeout_seconds: float) -> RequestTimedOut:
        """Take no answer any more; returns the error that says so."""
        self.withdraw()
        return RequestTimedOut(self.broker, self.address, self.request_code, timeout_seconds, self.topic)
