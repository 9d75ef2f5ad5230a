"""A command's end of the control socket. Plain sockets: `rmqctl status` should not have to import trio."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeVar

import msgspec

from rmqctl.errors import UnreachableError
from rmqctl.home import ClusterHome
from rmqctl.profile.model import ClusterModel
from rmqctl.supervisor.files.record import load_record
from rmqctl.supervisor.messages import (
    ClusterChange,
    ControlRefusal,
    ControlRequest,
    Event,
    LineBuffer,
    ModelReport,
    NodeOrder,
    OrderMessage,
    StatusReport,
    encode_line,
)

_Answer = TypeVar("_Answer")

_STOP_DECODER: msgspec.json.Decoder[Event | ControlRefusal] = msgspec.json.Decoder(Event | ControlRefusal)
_ORDER_DECODER: msgspec.json.Decoder[OrderMessage | ControlRefusal] = msgspec.json.Decoder(
    OrderMessage | ControlRefusal
)
_MODEL_DECODER: msgspec.json.Decoder[ModelReport | ControlRefusal] = msgspec.json.Decoder(ModelReport | ControlRefusal)
_SILENCE_SECONDS = 90.0
"""Longest time between two messages about a node that stops: the grace of a Java node, with room."""
_SILENT = "the supervisor does not answer"
_SILENCE_CURE = "rmqctl down, then rmqctl up"
_STATUS_DECODER: msgspec.json.Decoder[StatusReport | ControlRefusal] = msgspec.json.Decoder(
    StatusReport | ControlRefusal
)


class _HungUp(UnreachableError):
    """The connection was closed without an answer."""


class ControlClient:
    """One request to a running supervisor."""

    def __init__(self, path: str, request: ControlRequest, timeout_seconds: float) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.connect(path)
            self._socket.sendall(encode_line(request))
        except OSError as error:
            self._socket.close()
            raise self._unreachable(error) from None

    def status(self) -> StatusReport:
        """The answer to `status`."""
        for line in self._lines():
            answer = _STATUS_DECODER.decode(line)
            if isinstance(answer, ControlRefusal):
                raise _refused(answer)
            return answer
        raise self._hung_up()

    def model(self) -> ClusterModel:
        """The answer to `model`."""
        for line in self._lines():
            answer = _MODEL_DECODER.decode(line)
            if isinstance(answer, ControlRefusal):
                raise _refused(answer)
            return answer.model
        raise self._hung_up()

    def events(self) -> Iterator[Event]:
        """The events that answer `stop`; ends when the supervisor ends."""
        for line in self._lines():
            message = _STOP_DECODER.decode(line)
            if isinstance(message, ControlRefusal):
                raise _refused(message)
            yield message

    def order_messages(self) -> Iterator[OrderMessage]:
        """What answers an order, up to its `Done`."""
        for line in self._lines():
            message = _ORDER_DECODER.decode(line)
            if isinstance(message, ControlRefusal):
                raise _refused(message)
            yield message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _lines(self) -> Iterator[bytes]:
        buffer = LineBuffer()
        while True:
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return
            except OSError as error:
                raise self._unreachable(error) from None
            if not data:
                return
            yield from buffer.feed(data)

    def _unreachable(self, error: OSError) -> UnreachableError:
        return UnreachableError(_SILENT, f"{self._path}: {error}", _SILENCE_CURE)

    def _hung_up(self) -> _HungUp:
        return _HungUp(_SILENT, f"{self._path}: it closed the connection", _SILENCE_CURE)


def ask_status(home: ClusterHome, timeout_seconds: float = 5.0) -> StatusReport:
    """The state of a supervised cluster; raises UnreachableError."""
    return _ask(home, ControlRequest(request="status"), timeout_seconds, ControlClient.status)


def ask_model(home: ClusterHome, timeout_seconds: float = 5.0) -> ClusterModel:
    """What a supervisor keeps running now; raises UnreachableError."""
    return _ask(home, ControlRequest(request="model"), timeout_seconds, ControlClient.model)


def request_stop(home: ClusterHome, timeout_seconds: float, asked_by: str) -> Iterator[Event]:
    """Let the supervisor of a cluster take it down; yields its events until it has. Raises UnreachableError."""
    with _asking(home, ControlRequest(request="stop", asked_by=asked_by), timeout_seconds) as client:
        yield from client.events()


def order_nodes(home: ClusterHome, order: NodeOrder, asked_by: str) -> Iterator[OrderMessage]:
    """Let the supervisor do something to single nodes; yields what happens, up to `Done`. Raises UnreachableError."""
    request = ControlRequest(request="nodes", order=order, asked_by=asked_by)
    with _asking(home, request, order.timeout_seconds + _SILENCE_SECONDS) as client:
        yield from client.order_messages()


def change_cluster(home: ClusterHome, change: ClusterChange, asked_by: str) -> Iterator[OrderMessage]:
    """Let the supervisor make another cluster of the running one; otherwise as `order_nodes`."""
    request = ControlRequest(request="change", change=change, asked_by=asked_by)
    with _asking(home, request, change.timeout_seconds + _SILENCE_SECONDS) as client:
        yield from client.order_messages()


def _ask(
    home: ClusterHome, request: ControlRequest, timeout_seconds: float, answer_of: Callable[[ControlClient], _Answer]
) -> _Answer:
    """Ask what may be asked twice: a supervisor that becomes a fresh image of itself hangs up, and listens on."""
    try:
        with _asking(home, request, timeout_seconds) as client:
            return answer_of(client)
    except _HungUp:
        with _asking(home, request, timeout_seconds) as client:
            return answer_of(client)


def _asking(home: ClusterHome, request: ControlRequest, timeout_seconds: float) -> closing[ControlClient]:
    return closing(ControlClient(_socket_of(home), request, timeout_seconds))


def _socket_of(home: ClusterHome) -> str:
    record = load_record(home.record_file)
    return str(home.socket_file) if record is None else record.socket


def _refused(refusal: ControlRefusal) -> UnreachableError:
    return UnreachableError(
        "the supervisor does not understand this rmqctl",
        refusal.problem,
        "use the rmqctl that started the cluster",
    )
