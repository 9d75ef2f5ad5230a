"""Every request of both nodes with hostile text in every field: the log stays lines that begin with a time."""

import io
import json
import logging
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rmqnode.broker.routes import ROUTES as BROKER_ROUTES
from rmqnode.logs import MESSAGE_LENGTH_MAX, PlainFormatter
from rmqnode.nameserver.routes import ROUTES as NAMESERVER_ROUTES
from rmqnode.protocol import bodies
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.routes import Route
from tests.hostile_cluster import hostile_cluster
from tests.hostile_text import BODY_TYPES, FORBIDDEN, HALF, HOSTILE, LONG, bodies_of, body_of, ext_fields_of, frame
from tests.ports import free_port

_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) rmqnode\.[a-z_.]+ \S")
_BOOT = re.compile(r"(The broker\[broker-a, 127\.0\.0\.1:\d+\]|The Name Server) boot success\. serializeType=JSON.*")

_TAKES: dict[RequestCode, type[Any]] = {
    RequestCode.HEART_BEAT: bodies.HeartbeatData,
    RequestCode.REGISTER_BROKER: bodies.RegisterBrokerBody,
    RequestCode.LOCK_BATCH_MQ: bodies.LockBatchRequestBody,
    RequestCode.UNLOCK_BATCH_MQ: bodies.UnlockBatchRequestBody,
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: bodies.SubscriptionGroupConfig,
    RequestCode.CHECK_CLIENT_CONFIG: bodies.CheckClientRequestBody,
    RequestCode.QUERY_DATA_VERSION: bodies.DataVersion,
}
"""Requests with a body of this type: they get it with each text hostile by itself, and long."""

_ANY_BODY = json.dumps(
    {field.encode_name: HOSTILE for body_type in BODY_TYPES for field in msgspec.structs.fields(body_type)}
).encode()
_PROPERTIES = b"regionId=" + HOSTILE.encode() + b"\ntraceOn=true\n"


def requests_of(route: Route) -> Iterator[tuple[dict[str, str], bytes]]:
    """Header fields and body of every hostile request of a code."""
    for text in (HOSTILE, LONG):
        for number in ("0", "1"):
            yield from ((fields, b"") for fields in ext_fields_of(route.request_header, text, number))
    fields = next(ext_fields_of(route.request_header, "t", "0"))
    taken = _TAKES.get(route.code)
    if taken is not None:
        yield from ((fields, body) for text in (HOSTILE, HALF) for body in bodies_of(taken, text))
        yield fields, body_of(taken, LONG)
    for body in (_PROPERTIES, HOSTILE.encode(), b'{"a":"\\u001b[31m', _ANY_BODY):
        yield fields, body
        yield next(ext_fields_of(route.request_header, HOSTILE)), body


def talk(port: int, route: Route) -> None:
    """Send every hostile request of a code on a connection of its own, and wait until the node has read them."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.settimeout(30)
        for opaque, (fields, body) in enumerate(requests_of(route)):
            sock.sendall(frame(route.code, opaque, fields, body, flag=2))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(frame(route.code, 0, {"topic": HALF, "b": HALF, "namespace": HALF}))
        while sock.recv(1 << 16):
            pass


@pytest.fixture(params=["broker", "nameserver"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of node."""
    return str(request.param)


@pytest.fixture
def nameserver() -> Iterator[str]:
    """Address of a nameserver that refuses everything with a hostile remark."""
    with hostile_cluster(refuses_all=True) as cluster:
        yield cluster.address


def test_hostile_text_in_every_request_leaves_a_log_of_plain_lines(kind: str, nameserver: str, tmp_path: Path) -> None:
    port = free_port()
    conf = tmp_path / f"{kind}.conf"
    own = f"storePathRootDir={tmp_path / 'store'}\nbrokerIP1=127.0.0.1\nbrokerName=broker-a\nnamesrvAddr={nameserver}\n"
    conf.write_text(
        f"listenPort={port}\nbindAddress=127.0.0.1\n"
        + (own if kind == "broker" else f"kvConfigPath={tmp_path / 'kv'}\n")
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        node = subprocess.Popen(
            [sys.executable, "-m", "rmqnode", kind, "-c", str(conf)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        while b"boot success" not in log.read_bytes():
            assert node.poll() is None, log.read_text()
        for route in BROKER_ROUTES if kind == "broker" else NAMESERVER_ROUTES:
            talk(port, route)
    finally:
        node.send_signal(signal.SIGTERM)
        assert node.wait(30) == 0
    text = log.read_bytes().decode()
    lines = text.split("\n")[:-1]
    assert len([line for line in lines if "forged" in line]) >= (3 if kind == "nameserver" else 1), "it is logged"
    assert [line for line in lines if _LINE.match(line) is None and _BOOT.fullmatch(line) is None] == []
    assert FORBIDDEN.search(text) is None
    assert max(map(len, lines)) < 10 * MESSAGE_LENGTH_MAX
    assert "Traceback" not in text


def test_a_traceback_is_indented_and_its_message_only_text() -> None:
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.Logger("rmqnode.test")
    logger.addHandler(handler)
    try:
        raise ValueError(HOSTILE + LONG)
    except ValueError:
        logger.exception("handler failed topic=%s", HOSTILE, stack_info=True)
    first, *others = output.getvalue().split("\n")[:-1]
    assert _LINE.match(first) is not None
    assert "topic=a\\n2026" in first
    assert len(others) > 3
    assert [line for line in others if not line.startswith("    ")] == []
    assert FORBIDDEN.search(output.getvalue()) is None
    assert len(output.getvalue()) < 20 * MESSAGE_LENGTH_MAX
