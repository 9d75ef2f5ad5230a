"""From frames to handlers: decode by the table of requests, call the handler, see to its outcome.

This is the edge where a handler's exception becomes an answer: a defect of ours costs one request, never a
connection. Frames that can't be understood raise ProtocolError, which ends their connection.
Source: `NettyRemotingAbstract#processRequestCommand` (RocketMQ 4.5.2). Differs: an unknown code is answered.
"""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rmqnode.net.connection import Connection
from rmqnode.net.slices import InSlices, SlicedWork, TooMuchSlicedWork, advance
from rmqnode.protocol.codes import ResponseCode, request_name
from rmqnode.protocol.command import FLAG_RESPONSE, Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.frame import Frame
from rmqnode.protocol.routes import RejectedRequest, Reply, Request, RequestTable, Route

logger = logging.getLogger(__name__)

S = TypeVar("S")


class RequestError(Exception):
    """Raised by a handler to answer with a response code and a remark instead of a result."""

    def __init__(self, code: ResponseCode, remark: str) -> None:
        self.code = code
        self.remark = remark
        super().__init__(f"{code.name}: {remark}")


class Dispatcher(Generic[S]):
    """Hands the frames of a node's connections to the handlers of its table.

    Args:
        routes: The node's table of requests.
        state: First argument of every handler: the broker or the nameserver.
        defer: Takes outcomes other than Reply and None (a held pull, a reply that waits for a flush).
    """

    def __init__(
        self,
        routes: tuple[Route, ...],
        state: S,
        defer: Callable[[Any, Request[Any]], None] | None = None,
    ) -> None:
        self._table = RequestTable(routes)
        self._state = state
        self._defer = defer

    def __call__(self, connection: Connection, frame: Frame) -> None:
        """Handle one frame of a connection."""
        try:
            decoded = self._table.decode(frame)
        except RejectedRequest as rejected:
            return _answer(connection, rejected.command, ResponseCode.SYSTEM_ERROR, rejected.remark)
        if isinstance(decoded, Command):
            return _handle_other(connection, decoded)
        route, request = decoded
        request.connection = connection
        outcome = call_handler(route.handler, self._state, request)
        if outcome.__class__ is Reply:
            connection.reply(request, outcome)
        elif outcome is not None:
            assert self._defer is not None, f"{route.code.name} has an outcome that nobody takes"
            self._defer(outcome, request)


def call_handler(handler: Callable[[S, Request[Any]], Any], state: S, request: Request[Any]) -> Any:
    """Return the outcome of a handler; whatever it raises becomes a reply."""
    return _outcome_of(lambda: handler(state, request), request)


def finish_in_slices(
    sliced: SlicedWork, outcome: InSlices, request: Request[Any], finish: Callable[[Any, Request[Any]], None]
) -> None:
    """Let a request be worked on in slices; `finish` takes the outcome of the whole."""

    def work() -> bool:
        if request.connection.is_closed:
            # It has left whatever it had entered; nobody would take out what is entered from now on.
            outcome.steps.close()
            return True
        result = _outcome_of(lambda: advance(outcome.steps), request)
        if result is None:
            return False
        finish(result[0] if isinstance(result, tuple) else result, request)
        return True

    try:
        sliced.add(request_name(request.code), work, request.connection)
    except TooMuchSlicedWork as error:
        outcome.steps.close()
        request.connection.reply(request, Reply(ResponseCode.SYSTEM_BUSY, str(error)))


def _outcome_of(work: Callable[[], Any], request: Request[Any]) -> Any:
    try:
        return work()
    except RequestError as error:
        return Reply(error.code, error.remark)
    except ProtocolError as error:
        # The peer's mistake (a body that can't be read), so no traceback in our log.
        return Reply(ResponseCode.SYSTEM_ERROR, f"{type(error).__name__}: {error}")
    except Exception as error:
        logger.exception("request failed code=%s opaque=%d", request_name(request.code), request.opaque)
        return Reply(ResponseCode.SYSTEM_ERROR, f"{type(error).__name__}: {error}")


def _handle_other(connection: Connection, command: Command) -> None:
    if command.is_response:
        connection.resolve(command)
    else:
        remark = f" request type {command.code} not supported"
        _answer(connection, command, ResponseCode.REQUEST_CODE_NOT_SUPPORTED, remark)


def _answer(connection: Connection, request: Command, code: ResponseCode, remark: str) -> None:
    if not request.is_oneway:
        connection.send(
            Command(
                code=code,
                opaque=request.opaque,
                flag=FLAG_RESPONSE,
                remark=remark,
                serialization=request.serialization,
            )
        )
