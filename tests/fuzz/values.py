"""Hostile values for fields, JSON documents and pieces of bytes. Everything comes from one `Random`."""

from random import Random
from typing import Any, Final

TOPICS: Final = (
    "fuzz-0",
    "fuzz-1",
    "fuzz-2",
    "fuzz-3",
    "TBW102",
    "SELF_TEST_TOPIC",
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "OFFSET_MOVED_EVENT",
    "DefaultCluster",
    "broker-a",
    "%RETRY%fuzz-group-0",
    "%DLQ%fuzz-group-0",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "nowhere",
)
GROUPS: Final = (
    "fuzz-group-0",
    "fuzz-group-1",
    "fuzz-group-2",
    "CID_ONSAPI_OWNER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
)
CLIENTS: Final = ("10.0.0.1@1", "10.0.0.1@2", "10.0.0.2@DEFAULT", "")

TEXTS: Final = (
    "",
    " ",
    "\t\n",
    "../../x",
    "a/b",
    "a\\b",
    "\0",
    ".",
    "..",
    "%",
    "%RETRY%",
    "%DLQ%",
    "x" * 127,
    "x" * 128,
    "x" * 255,
    "x" * 256,
    "x" * 70_000,
    "\x1b[2J\x1b[31m",
    "line\nbreak 2026-11-30 INFO forged",
    "\u0085\u2028\u2029",
    "\u202e\u2066",
    "\x80\x9f",
    "訂單",
    "\U0001f600",
    "null",
    "true",
    "-1",
    "0",
    "1e9",
    "0x10",
    "{}",
    "[]",
    "\x01\x02",
    "a\x01b\x02c\x01",
    "|",
    "||",
    "||||",
    "TAGS = 'a' AND",
    "a > " + "-" * 500 + "1",
    "(" * 300,
    "a IS NULL OR " * 50 + "a = 1",
    "' OR '",
    "*",
    "a || b",
    "$ref",
    "@type",
)
INTEGERS: Final = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    31,
    32,
    100,
    255,
    256,
    1024,
    65_535,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    1 << 64,
    10**30,
    -1,
    -2,
    -8,
    -(1 << 31),
    -(1 << 31) - 1,
    -(1 << 63),
    -(1 << 63) - 1,
)
JSON_VALUES: Final = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    10**400,
    "",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"$ref": "$"},
    {"$ref": ".."},
)
_NESTING: Final = 2000


def text(chance: Random) -> str:
    """One of the hostile texts, or a random one."""
    if chance.random() < 0.8:
        return chance.choice(TEXTS)
    return "".join(
        chr(chance.choice((chance.randrange(32, 127), chance.randrange(1, 0xD7FF))))
        for _ in range(chance.randrange(40))
    )


def integer(chance: Random) -> int:
    """One of the hostile integers, or a small one."""
    return chance.choice(INTEGERS) if chance.random() < 0.7 else chance.randrange(-100, 100_000)


def changed_json(chance: Random, document: Any) -> Any:
    """The document with one value in it replaced, doubled or gone."""
    if isinstance(document, dict) and document and chance.random() < 0.9:
        key = chance.choice(list(document))
        copy = dict(document)
        match chance.randrange(4):
            case 0:
                del copy[key]
            case 1:
                copy[text(chance)] = copy[key]
            case _:
                copy[key] = changed_json(chance, copy[key])
        return copy
    if isinstance(document, list) and document and chance.random() < 0.9:
        place = chance.randrange(len(document))
        changed = changed_json(chance, document[place])
        repeated = [document[place]] * chance.choice((1, 1, 2, 50))
        return [*document[:place], changed, *repeated, *document[place + 1 :]]
    match chance.randrange(4):
        case 0:
            return text(chance)
        case 1:
            return integer(chance)
        case 2:
            return chance.choice(JSON_VALUES)
        case _:
            return document


def changed_bytes(chance: Random, data: bytes, changes_max: int = 4) -> bytes:
    """The bytes with some of them flipped, cut, doubled, zeroed or put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, changes_max)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << chance.randrange(8)
            case 1 if changed:
                changed[place % len(changed)] = chance.choice((0, 0xFF, 0x7F, 0x80, chance.randrange(256)))
            case 2:
                del changed[place : place + chance.choice((1, 2, 4, 8, 100))]
            case 3:
                changed[place:place] = chance.choice(
                    (b"\0", b"\xff" * 4, b'"', b"{", b"[" * _NESTING, b"\\'" * 50, chance.randbytes(8))
                )
            case 4:
                changed[place:place] = changed[place : place + chance.choice((1, 8, 64))]
            case _:
                size = chance.choice((1, 2, 4, 8))
                changed[place : place + size] = chance.choice(
                    (bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1))
                )
    return bytes(changed)
