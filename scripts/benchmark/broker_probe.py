"""Asks a broker, over a connection of its own, how far sending and consuming have come; works with any engine."""

import socket
from itertools import count
from types import TracebackType

from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command, decode_command, encode_command
from rmqnode.protocol.frame import FrameDecoder

TIMEOUT_SECONDS = 10

# A message that the slave of a SYNC_MASTER does not have yet is stored all the same.
_ANSWERS = (
    ResponseCode.SUCCESS,
    ResponseCode.QUERY_NOT_FOUND,
    ResponseCode.SLAVE_NOT_AVAILABLE,
    ResponseCode.FLUSH_SLAVE_TIMEOUT,
)


class BrokerProbe:
    """A blocking connection to one broker."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
        self._frames = FrameDecoder()
        self._opaques = count(1)

    def __enter__(self) -> "BrokerProbe":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def create_topic(self, topic: str, queues: int) -> None:
        """Create a topic, or change it, with the same number of read and write queues."""
        fields = {
            "topic": topic,
            "defaultTopic": "TBW102",
            "readQueueNums": str(queues),
            "writeQueueNums": str(queues),
            "perm": "6",
            "topicFilterType": "SINGLE_TAG",
            "topicSysFlag": "0",
            "order": "false",
        }
        self._request(RequestCode.UPDATE_AND_CREATE_TOPIC, fields)

    def send(self, topic: str, body: bytes) -> None:
        """Send a message to queue 0 of a topic and wait for the answer."""
        header = dict(zip("abcdefghij", ("bench", topic, "TBW102", "4", "0", "0", "0", "0", "", "0"), strict=True))
        self._request(RequestCode.SEND_MESSAGE_V2, header, body)

    def send_batch(self, topic: str, queue_id: int, batch: bytes) -> None:
        """Send an encoded batch to a queue of a topic and wait for the answer."""
        fields = ("bench", topic, "TBW102", "4", str(queue_id), "0", "0", "0", "", "0", "false", "0", "true")
        self._request(RequestCode.SEND_BATCH_MESSAGE, dict(zip("abcdefghijklm", fields, strict=True)), batch)

    def queue_end(self, topic: str, queue_id: int) -> int:
        """Queue offset behind the last message of one queue."""
        return int(self._request(RequestCode.GET_MAX_OFFSET, {"topic": topic, "queueId": str(queue_id)})["offset"])

    def stored(self, topic: str, queues: int) -> int:
        """How many messages of the topic can be consumed."""
        return sum(self.queue_end(topic, queue) for queue in range(queues))

    def consumed(self, group: str, topic: str, queues: int) -> int:
        """How many messages of the topic the group has committed; push consumers do so with each pull."""
        total = 0
        for queue in range(queues):
            fields = {"consumerGroup": group, "topic": topic, "queueId": str(queue)}
            total += int(self._request(RequestCode.QUERY_CONSUMER_OFFSET, fields).get("offset", 0))
        return total

    def table(self, code: RequestCode) -> dict[str, str]:
        """What a request answers whose body is a table of texts."""
        return dict(KVTable.decode(self._ask(code, {}).body).table)

    def _request(self, code: RequestCode, fields: dict[str, str], body: bytes = b"") -> dict[str, str]:
        return self._ask(code, fields, body).ext_fields or {}

    def _ask(self, code: RequestCode, fields: dict[str, str], body: bytes = b"") -> Command:
        command = Command(code=code, opaque=next(self._opaques), ext_fields=fields, body=body)
        self._socket.sendall(encode_command(command))
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise RuntimeError("the broker closed the connection")
            for frame in self._frames.feed(data):
                reply = decode_command(frame)
                if reply.code not in _ANSWERS:
                    raise RuntimeError(f"{code.name}: {reply.code} {reply.remark}")
                return reply
