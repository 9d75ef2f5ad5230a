"""Requests with fields that are missing, empty, null, huge or of another type, made from a node's own table."""

import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from rmqnode.protocol.frame import Frame
from rmqnode.protocol.routes import Route

TEXTS = ("", "null", " ", "x" * 70_000, "a\nb\x1b[31m\0", "组\ufffd", "-1", "0", "2147483647", "2147483648", str(2**63))
"""What a field is replaced by, one field at a time; and it is left out."""

VALUES: tuple[Any, ...] = (None, "", {}, [], [None], {"": None}, -1, 2**31, 2**63, 1.5, True, "x" * 70_000, "a\n\x1b\0")
"""What a member of a JSON body is replaced by, one at a time, however deep; and it is left out."""

USUAL = {
    "topic": "t",
    "consumerGroup": "g",
    "producerGroup": "pg",
    "group": "g",
    "groupName": "g",
    "clientID": "c1",
    "clientId": "c1",
    "clientAddr": "c1",
    "msgId": "7F00000100002A9F0000000000000000",
    "defaultTopic": "TBW102",
    "a": "pg",
    "b": "t",
    "c": "TBW102",
    "srcGroup": "g",
    "destGroup": "g2",
    "key": "k",
    "perm": "6",
    "subscription": "*",
    "expressionType": "TAG",
    "topicFilterType": "SINGLE_TAG",
    "statsName": "TOPIC_PUT_NUMS",
    "statsKey": "t",
    "commitOrRollback": "8",
}
"""Values that make a request sound; every other field is a number or a boolean."""

ANY_BODIES = (
    b"", b"null", b"{}", b"[]", b'""', b"0", b"\xff\xfe", b"{", b"[" * 5_000, b'{"a":' * 5_000, b"=\n#\n\\", b"\0" * 64,
    bytes(range(256)) * 16,
)  # fmt: skip


def usual_fields(route: Route) -> dict[str, str]:
    """A header that the handler has something to do with."""
    hints = {field.encode_name: field.type for field in msgspec.structs.fields(route.request_header)}
    return {name: USUAL.get(name, "false" if "bool" in str(hint) else "0") for name, hint in hints.items()}


def hostile_requests(route: Route, body: bytes = b"hello") -> Iterator[Frame]:
    """Frames of a request: one field or member is hostile at a time, and then many fields at once."""
    usual = usual_fields(route)
    for fields in _headers(usual):
        yield _frame(route, fields, body)
    for each in _bodies(body):
        yield _frame(route, usual, each)


def _frame(route: Route, fields: dict[str, str], body: bytes) -> Frame:
    header = {"code": route.code, "opaque": 1, "language": "JAVA", "version": 317, "extFields": fields}
    return Frame(0, json.dumps(header).encode(), body)


def _headers(usual: dict[str, str]) -> Iterator[dict[str, str]]:
    yield usual
    yield {}
    for name in usual:
        yield {other: value for other, value in usual.items() if other != name}
        yield from ({**usual, name: text} for text in TEXTS)
    dice = random.Random(7)
    for _ in range(200 if usual else 0):
        yield {name: value if dice.random() < 0.5 else dice.choice(TEXTS) for name, value in usual.items()}


def _bodies(body: bytes) -> Iterator[bytes]:
    yield from ANY_BODIES
    yield from (body[:size] for size in range(0, len(body), max(1, len(body) // 40)))
    if body.startswith(b"{"):
        yield from (json.dumps(variant).encode() for variant in _variants(json.loads(body)))


def _variants(value: Any) -> Iterator[Any]:
    """A JSON value with one of its members replaced or left out."""
    yield from VALUES
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        for variant in _variants(member):
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = variant
            yield copy
        if isinstance(value, dict):
            yield {other: each for other, each in value.items() if other != key}
