"""Requests that brokers send to their clients, and who in this client answers them.

    39 CHECK_TRANSACTION_STATE         producer: what became of this half message?
    40 NOTIFY_CONSUMER_IDS_CHANGED     consumer: members of the group came or went
    220, 221, 307, 309                 consumer: reset offsets, status, running info, consume one message now
    326 PUSH_REPLY_MESSAGE_TO_CLIENT   producer: the answer to a request message

Most of them are about one group, so producers and consumers that share a client are told apart by it.
Source: `ClientRemotingProcessor` (RocketMQ 4.5.2, 326: 4.9.7).
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from rmqnode.net.connection import Connection
from rmqnode.protocol.codes import RequestCode, ResponseCode, request_name
from rmqnode.protocol.command import FLAG_ONEWAY, FLAG_RESPONSE, Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.header_fields import Header, header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.message import decode_record
from rmqnode.protocol.properties import PropertyName
from rmqnode.protocol.routes import Reply

logger = logging.getLogger(__name__)

_RUNNING_MAX: Final = 2_000
"""Requests being answered at a time, as Java's client queues checks; brokers repeat what is dropped beyond."""

H = TypeVar("H", bound=Header)


class BrokerRequest:
    """One request of a broker to this client."""

    def __init__(self, connection: Connection, command: Command) -> None:
        self._connection = connection
        self._command = command
        self.code = command.code
        self.body = command.body

    @property
    def peer(self) -> str:
        """`ip:port` of the broker, as connected."""
        return self._connection.peer

    @property
    def group(self) -> str | None:
        """The group that it is about; None for requests that are about no group.

        Raises:
            ProtocolError: A check of a transaction carries no message.
        """
        if self.code == RequestCode.CHECK_TRANSACTION_STATE:
            return decode_record(self.body).properties.get(PropertyName.PRODUCER_GROUP)
        fields = self._command.ext_fields or {}
        return fields.get("consumerGroup") or fields.get("group")

    @property
    def is_oneway(self) -> bool:
        """Whether the broker wants no answer."""
        return self._command.is_oneway

    def header(self, header_type: type[H]) -> H:
        """Read the custom header.

        Raises:
            ProtocolError: A required field is missing or malformed.
        """
        return header_from_ext_fields(header_type, self._command.ext_fields or {})

    def answer(self, reply: Reply) -> None:
        """Send the response over the connection that the request came over; nothing for a oneway request."""
        if self.is_oneway or self._connection.is_closed:
            return
        command = self._command
        self._connection.send(
            Command(
                code=reply.code,
                opaque=command.opaque,
                flag=FLAG_RESPONSE,
                remark=reply.remark,
                ext_fields=None if reply.header is None else header_to_ext_fields(reply.header),
                body=reply.body if isinstance(reply.body, bytes) else b"".join(reply.body),
                serialization=command.serialization,
            )
        )

    def send_back(self, code: RequestCode, header: Header) -> None:
        """Send a oneway request of our own over the same connection, if it still stands."""
        if not self._connection.is_closed:
            ext_fields = header_to_ext_fields(header)
            self._connection.send(Command(code=code, flag=FLAG_ONEWAY, ext_fields=ext_fields))


Handler = Callable[[BrokerRequest], Awaitable[Reply | None]]
"""Answers a request; None answers SUCCESS to a broker that wants an answer. It may wait as long as it needs."""


class BrokerRequests:
    """Hands the requests of brokers to the handlers that producers and consumers registered."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[int, str | None], Handler] = {}
        self._nursery: trio.Nursery | None = None

    def serve(self, code: RequestCode, group: str | None, handler: Handler) -> None:
        """Have a handler answer the requests of one code about one group (None: about any that nobody else answers)."""
        self._handlers[code, group] = handler

    def stop_serving(self, group: str | None, *codes: RequestCode) -> None:
        """Forget the handlers of a group for these codes; there need be none."""
        for code in codes:
            self._handlers.pop((code, group), None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of handlers until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def take(self, connection: Connection, command: Command) -> None:
        """Start answering a request; never blocks."""
        nursery = self._nursery
        if nursery is None or nursery.cancel_scope.cancel_called:
            return
        if len(nursery.child_tasks) >= _RUNNING_MAX:
            logger.warning("request dropped code=%s peer=%s reason=too many at once", command.code, connection.peer)
            return
        nursery.start_soon(self._answer, BrokerRequest(connection, command))

    async def _answer(self, request: BrokerRequest) -> None:
        try:
            group = request.group
            handler = self._handlers.get((request.code, group)) or self._handlers.get((request.code, None))
            if handler is None:
                reply: Reply | None = _refusal(request)
            else:
                reply = await handler(request)
        except ProtocolError as error:
            logger.warning("request refused code=%s peer=%s reason=%s", request.code, request.peer, error)
            reply = Reply(ResponseCode.SYSTEM_ERROR, str(error))
        except Exception as error:
            # The edge of request dispatch: a listener's bug must not end the client.
            logger.exception("request failed code=%s peer=%s", request.code, request.peer)
            reply = Reply(ResponseCode.SYSTEM_ERROR, f"{type(error).__name__}: {error}")
        request.answer(reply or Reply())


def _refusal(request: BrokerRequest) -> Reply:
    about = f" for group {request.group}" if request.group else ""
    remark = f"this client does not answer {request_name(request.code)}{about}"
    return Reply(ResponseCode.REQUEST_CODE_NOT_SUPPORTED, remark)
