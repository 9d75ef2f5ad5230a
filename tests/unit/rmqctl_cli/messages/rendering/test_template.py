"""Templates of `rmqctl tail --template`."""

import re
from pathlib import Path

import pytest

from rmqctl.cli.messages.rendering.template import FIELDS, compile_template
from rmqctl.errors import UsageError
from tests.unit.rmqctl_cli.messages.samples import QUEUE, stored_message

MESSAGE = stored_message(
    flag=3,
    body=b"\xff\x1bx",
    properties={"TAGS": "paid", "KEYS": "k1 k2", "UNIQ_KEY": "ID", "a.b": "x\ny"},
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
