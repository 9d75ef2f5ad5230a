"""Makes the golden captures: official Java clients and Apache's own 4.5.2 nodes, with proxies in between.

    python -m tests.golden.record            # rewrites tests/golden/frames/*.json, about two minutes

Needs Java and Maven. See README.md beside this file for what is kept.
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command, decode_command
from rmqnode.protocol.frame import FrameDecoder
from tests.golden.proxy import Passage, RecordingProxy
from tests.interop.apache_nodes import ApacheCluster, apache_cluster
from tests.interop.clusters import Cluster
from tests.interop.java_client import JavaClient, run_cases
from tests.interop.test_java_client import CASES, LITE_PULL

FRAMES = Path(__file__).parent / "frames"
FRAME_SIZE_BYTES_MAX = 6_000
"""Exchanges with a larger frame are left out, where there is a smaller one of their kind."""


@dataclass(frozen=True)
class Capture:
    """One session to record."""

    client: JavaClient
    jvm_options: tuple[str, ...] = ()
    cases: tuple[str, ...] = tuple(case for case in CASES if case != LITE_PULL)

    @property
    def name(self) -> str:
        """The file's name."""
        options = "-long-names" if self.jvm_options else ""
        return f"java-{self.client.version}-{self.client.serialization.lower()}{options}"


CAPTURES = (
    Capture(JavaClient("4.5.2")),
    Capture(JavaClient("4.5.2", "ROCKETMQ")),
    # SEND_MESSAGE (10) with long header names, as clients before 3.5 and the Go client send it
    Capture(JavaClient("4.5.2"), ("-Dorg.apache.rocketmq.client.sendSmartMsg=false",), ("send_sync",)),
    Capture(JavaClient("4.9.7")),
    Capture(JavaClient("5.3.3")),
)


def record(capture: Capture, home: Path) -> list[Passage]:
    """Run the capture's cases through proxies and return everything that passed."""
    proxies: list[RecordingProxy] = []

    def proxy_for_brokers(nameserver: str) -> str:
        proxies.append(RecordingProxy("broker", "nameserver", int(nameserver.rpartition(":")[2])))
        return f"127.0.0.1:{proxies[-1].port}"

    option = f"-Drocketmq.serialize.type={capture.client.serialization}"
    with apache_cluster(home / "nodes", masters=2, jvm_options=(option,), told_to_brokers=proxy_for_brokers) as cluster:
        nameserver = _proxies_for_clients(cluster, proxies)
        client = home / "client"
        lines = run_cases(
            capture.client,
            Cluster("apache", f"127.0.0.1:{nameserver.port}", slaves=False),
            list(capture.cases),
            client,
            jvm_options=capture.jvm_options,
        )
        for line in lines.values():
            if not line["ok"]:
                raise RuntimeError(f"{capture.name}: {line}")
    for proxy in proxies:
        proxy.close()
    return [passage for proxy in proxies for passage in proxy.passages]


def _proxies_for_clients(cluster: ApacheCluster, proxies: list[RecordingProxy]) -> RecordingProxy:
    """Stand between clients and the nodes: the nameserver's answers lead to proxies before the brokers."""
    renamed: list[tuple[bytes, bytes]] = []
    for broker in cluster.brokers:
        main = RecordingProxy("client", "broker", broker.port)
        vip = RecordingProxy("client", "broker", broker.port - 2, port=main.port - 2)
        proxies += [main, vip]
        renamed.append((f"127.0.0.1:{broker.port}".encode(), f"127.0.0.1:{main.port}".encode()))

    def lead_to_proxies(frame: bytes) -> bytes:
        for old, new in renamed:
            frame = frame.replace(old, new)
        return frame

    nameserver = RecordingProxy("client", "nameserver", cluster.nameservers[0].port, rewrite=lead_to_proxies)
    proxies.append(nameserver)
    return nameserver


def exchanges(passages: Iterable[Passage]) -> list[dict[str, Any]]:
    """The smallest exchange of each kind: who asked whom for what, and how it was answered."""
    smallest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for passage in passages:
        for exchange in _both_ways(passage):
            reply = exchange["reply_code"]
            kind = (exchange["from"], exchange["to"], exchange["code"], reply, exchange.pop("reply_has_body"))
            size = _size(exchange)
            if kind not in smallest or size < _size(smallest[kind]):
                smallest[kind] = exchange
    bulky = [kind for kind, exchange in smallest.items() if _size(exchange) > 4 * FRAME_SIZE_BYTES_MAX]
    for kind in bulky:
        del smallest[kind]
    return [smallest[kind] for kind in sorted(smallest, key=str)]


def _size(exchange: dict[str, Any]) -> int:
    return len(exchange["request"]) + len(exchange["reply"] or "")


def _both_ways(passage: Passage) -> Iterable[dict[str, Any]]:
    yield from _paired(passage.opener, passage.server, passage.sent, passage.received)
    yield from _paired(passage.server, passage.opener, passage.received, passage.sent)


def _paired(asker: str, asked: str, requests: list[bytes], replies: list[bytes]) -> Iterable[dict[str, Any]]:
    answers = {command.opaque: (frame, command) for frame, command in map(_decoded, replies) if command.is_response}
    for frame, command in map(_decoded, requests):
        if command.is_response:
            continue
        reply, answer = answers.get(command.opaque, (None, None))
        if reply is None and not command.is_oneway:
            continue  # the connection ended before the answer
        yield {
            "from": asker,
            "to": asked,
            "code": command.code,
            "name": RequestCode(command.code).name,
            "reply_code": answer.code if answer else None,
            "reply_has_body": bool(answer and answer.body),
            "request": frame.hex(),
            "reply": reply.hex() if reply else None,
        }


def _decoded(frame: bytes) -> tuple[bytes, Command]:
    (found,) = FrameDecoder().feed(frame)
    return frame, decode_command(found)


def save(capture: Capture, kept: list[dict[str, Any]]) -> None:
    """Write one capture, one exchange a line."""
    about = {"client": capture.client.version, "nodes": "4.5.2", "serialization": capture.client.serialization}
    lines = ",\n".join(json.dumps(exchange) for exchange in kept)
    text = f'{{"made": {json.dumps(about)}, "exchanges": [\n{lines}\n]}}\n'
    (FRAMES / f"{capture.name}.json").write_text(text)


def main() -> None:
    """Record every capture."""
    FRAMES.mkdir(exist_ok=True)
    for capture in CAPTURES:
        with tempfile.TemporaryDirectory(prefix="golden-") as home:
            kept = exchanges(record(capture, Path(home)))
        save(capture, kept)
        print(f"{capture.name}: {len(kept)} exchanges")


if __name__ == "__main__":
    main()
