"""What tests of a whole broker say on the wire: headers as texts, and a way to ask over a real connection."""

from typing import Any

from rmqnode.net.client import RemotingClient
from rmqnode.protocol.command import Command

SEND = dict.fromkeys("efghj", "0") | {"a": "pg", "b": "t", "c": "TBW102", "d": "4", "i": ""}
"""SEND_MESSAGE_V2 to queue 0 of topic `t`."""

PULL = {
    "consumerGroup": "g",
    "topic": "t",
    "queueId": "0",
    "queueOffset": "0",
    "maxMsgNums": "32",
    "sysFlag": "4",
    "commitOffset": "0",
    "suspendTimeoutMillis": "15000",
    "subscription": "*",
    "subVersion": "0",
}
"""PULL_MESSAGE from the beginning of it, without being held."""

QUEUE = {"consumerGroup": "g", "topic": "t", "queueId": "0"}


async def ask(
    client: RemotingClient,
    address: str,
    code: int,
    fields: dict[str, str] | None = None,
    body: bytes = b"",
    **more: Any,
) -> Command:
    """Ask as a Java client would; returns the answer, whatever its code."""
    command = Command(code=code, ext_fields=fields or {}, body=body, language="JAVA", **more)
    return await client.request(address, command, timeout_seconds=10)
