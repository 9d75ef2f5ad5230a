"""Templates of `rmqctl tail --template`."""

import re
from pathlib import Path

import pytest

from rmqctl.cli.messages.rendering.template import FIELDS, compile_template
from rmqctl.errors import UsageError
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import Host, StoredMessage

QUEUE = MessageQueue(topic="T", broker_name="broker-a", queue_id=1)
MESSAGE = StoredMessage(
    topic="T",
    queue_id=1,
    flag=3,
    queue_offset=15,
    physical_offset=4096,
    sys_flag=0,
    born_timestamp=1_700_000_000_000,
    born_host=Host(bytes((10, 0, 0, 7)), 4711),
    store_timestamp=1_700_000_000_123,
    store_host=Host(bytes((10, 0, 0, 1)), 10911),
    reconsume_times=0,
    prepared_transaction_offset=0,
    body=b"\xff\x1bx",
    body_crc=0,
    properties={"TAGS": "paid", "KEYS": "k1 k2", "UNIQ_KEY": "ID", "a.b": "x\ny"},
    size_bytes=200,
)


def rendered(template: str, *, escape: bool = False) -> bytes:
    return compile_template(template, escape=escape)(QUEUE, MESSAGE)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{topic} {broker}:{queue}@{offset}", b"T broker-a:1@15"),
        (r"{tag}\t{keys}\n", b"paid\tk1 k2\n"),
        ("{{{id}}}", b"{ID}"),
        ("{prop.a.b}|{prop.none}|", b"x\ny||"),
        ("{body}", b"\xff\x1bx"),
        ("{body_text} {body_hex} {body_base64} {body_bytes}", b"hex:ff1b78 ff1b78 /xt4 3"),
        ("{store_ms} {born_ms} {born_host} {flag}", b"1700000000123 1700000000000 10.0.0.7:4711 3"),
        ("已付款 {tag}", "已付款 paid".encode()),
    ],
)
def test_fields_are_filled_in(template: str, text: bytes) -> None:
    assert rendered(template) == text


def test_on_a_terminal_only_the_template_itself_breaks_lines() -> None:
    assert rendered(r"{body} {prop.a.b}\n", escape=True) == rb"\xff\x1bx x\ny" + b"\n"


@pytest.mark.parametrize("template", ["{", "}", "{nosuch}", "{body!r}", "{tag:>10}", "{}"])
def test_a_template_that_means_nothing_is_refused_with_a_hint(template: str) -> None:
    with pytest.raises(UsageError, match="--template"):
        compile_template(template, escape=False)


def test_every_field_renders_and_is_documented() -> None:
    documented = (Path(__file__).parents[5] / "docs" / "messages.md").read_text()
    for name in FIELDS:
        rendered(f"{{{name}}}")
        assert re.search(rf"`\{{{name}\}}`", documented), name
