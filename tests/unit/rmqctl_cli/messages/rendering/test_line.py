"""A message as one line of `rmqctl tail`."""

import base64
import json
import zlib
from typing import Any

import msgspec
import pytest
import typer

from rmqctl.cli.messages.rendering.damage import DamageWatch
from rmqctl.cli.messages.rendering.format import OutputFormat, choose_rendering
from rmqctl.cli.messages.rendering.line import Painter, json_block, json_line, raw_body, text_block, text_line
from rmqctl.errors import ExitCode
from rmqnode.protocol.message import StoredMessage
from tests.unit.rmqctl_cli.messages.samples import QUEUE, changed_message, stored_message

MESSAGE = stored_message(
    body='{"note": "已付款"}'.encode(),
    properties={"TAGS": "paid", "KEYS": "k1 k2", "UNIQ_KEY": "ID", "mine": "x"},
)


def changed(**changes: Any) -> StoredMessage:
    return changed_message(MESSAGE, **changes)


def line_of(message: StoredMessage, *, colour: bool = False) -> str:
    return text_line(QUEUE, message, Painter(colour=colour)).decode()


def block_of(message: StoredMessage) -> list[str]:
    return text_block(QUEUE, message, Painter(colour=False)).decode().splitlines()


def test_a_line_says_when_where_tag_keys_and_body() -> None:
    assert line_of(MESSAGE).endswith('.123 broker-a:1@15 [paid] keys=k1,k2  {"note": "已付款"}')


def test_a_body_stays_on_its_line_and_can_not_act_on_a_terminal() -> None:
    assert line_of(changed(body="\x1b[31m好\n\t".encode())).endswith(r"  \x1b[31m好\n\t")


def test_a_body_that_is_no_utf_8_is_hexadecimal() -> None:
    assert line_of(changed(body=b"\x1b\xff\x00a")).endswith("  hex:1bff0061")


def test_the_raw_body_is_the_bytes_as_they_were_sent() -> None:
    assert raw_body(QUEUE, changed(body=b"\x1b[31m\xff\n")) == b"\x1b[31m\xff\n"
    assert raw_body(QUEUE, changed(body=zlib.compress(b"long"), sys_flag=1)) == b"long"


def test_tags_and_keys_are_escaped_too_because_strangers_choose_them() -> None:
    line = line_of(changed(properties={"TAGS": "a\x1b]0;x\x07", "KEYS": "k\u202ey"}))
    assert r"[a\x1b]0;x\x07] keys=k\u202ey" in line
    assert "\x1b" not in line


def test_colour_surrounds_only_our_own_words() -> None:
    line = line_of(changed(body=b"\x1b[0m"), colour=True)
    assert line.startswith("\x1b[2m")
    assert line.count("\x1b") == 8, "time, place, tag and keys, each with its end"
    assert line.endswith(r"  \x1b[0m")


def test_a_block_has_the_properties_and_the_json_body_indented() -> None:
    lines = block_of(MESSAGE)
    assert lines[0].endswith("broker-a:1@15 [paid] keys=k1,k2")
    assert lines[1:] == ["    id=ID", "    mine=x", "  {", '    "note": "已付款"', "  }"]


def test_a_block_keeps_the_lines_of_a_text_and_dumps_what_is_none() -> None:
    assert block_of(changed(body=b"one\n\ttwo"))[-2:] == ["  one", r"  \ttwo"]
    assert block_of(changed(body=b"{no json"))[-1] == "  {no json"
    dump = block_of(changed(body=bytes(range(250, 256)) + b"0123456789ab"))
    assert dump[-2] == "  00000000  fa fb fc fd fe ff 30 31 32 33 34 35 36 37 38 39  ......0123456789"
    assert dump[-1].startswith("  00000010  61 62 ")
    assert dump[-1].endswith("  ab")


def test_properties_can_not_act_on_a_terminal_either() -> None:
    lines = block_of(changed(properties={"a": "\x1b[0m\n"}))
    assert r"    a=\x1b[0m\n" in lines


def test_the_indented_json_is_that_of_the_line() -> None:
    assert json.loads(json_block(QUEUE, MESSAGE)) == json.loads(json_line(QUEUE, MESSAGE))
    assert b"\n" in json_block(QUEUE, MESSAGE)


def test_json_has_everything_about_a_message() -> None:
    document = json.loads(json_line(QUEUE, MESSAGE))
    assert document == {
        "topic": "T",
        "broker": "broker-a",
        "queue_id": 1,
        "queue_offset": 15,
        "message_id": "ID",
        "offset_message_id": "0A00000100002A9F0000000000001000",
        "tag": "paid",
        "keys": ["k1", "k2"],
        "body": '{"note": "已付款"}',
        "body_base64": None,
        "body_problem": None,
        "body_damaged": False,
        "properties": MESSAGE.properties,
        "flag": 0,
        "sys_flag": 0,
        "reconsume_times": 0,
        "physical_offset": 4096,
        "born_timestamp": 1_700_000_000_000,
        "born_host": "10.0.0.7:4711",
        "store_timestamp": 1_700_000_000_123,
        "store_host": "10.0.0.1:10911",
    }


def test_a_binary_body_goes_into_json_as_base64() -> None:
    document = json.loads(json_line(QUEUE, changed(body=b"\xff\x00")))
    assert document["body"] is None
    assert base64.b64decode(document["body_base64"]) == b"\xff\x00"


def test_a_compressed_body_is_shown_as_it_was_sent() -> None:
    message = changed(body=zlib.compress(b"long text"), sys_flag=1)
    assert line_of(message).endswith("  long text")
    assert json.loads(json_line(QUEUE, message))["body"] == "long text"


@pytest.mark.parametrize("sys_flag", [0x101, 0x201, 0x1])
def test_a_body_that_can_not_be_decompressed_is_named_and_kept(sys_flag: int) -> None:
    message = changed(body=b"\xff\xffnothing", sys_flag=sys_flag)
    assert line_of(message).endswith(f"> hex:{message.body.hex()}")
    document = json.loads(json_line(QUEUE, message))
    assert document["body_problem"]
    assert base64.b64decode(document["body_base64"]) == b"\xff\xffnothing"


def test_absurd_times_of_a_peer_are_shown_as_numbers() -> None:
    assert line_of(changed(store_timestamp=2**62)).startswith("4611686018427387904 ms")


DAMAGED = stored_message(body=b"hellp", body_crc=stored_message().body_crc)


def test_a_damaged_body_is_called_so_in_every_form_that_can_say_it() -> None:
    assert line_of(DAMAGED).endswith("  <body damaged: its bytes differ from the CRC that was stored with them> hellp")
    assert "    body=body damaged: its bytes differ from the CRC that was stored with them" in block_of(DAMAGED)
    document = json.loads(json_line(QUEUE, DAMAGED))
    assert (document["body"], document["body_damaged"]) == (None, True)
    assert base64.b64decode(document["body_base64"]) == b"hellp"
    assert document["body_problem"].startswith("body damaged")
    assert json.loads(json_line(QUEUE, MESSAGE))["body_damaged"] is False


def test_a_compressed_body_is_judged_by_its_stored_bytes() -> None:
    whole = stored_message(body=zlib.compress(b"long"), sys_flag=1)
    assert json.loads(json_line(QUEUE, whole))["body"] == "long"
    damaged = msgspec.structs.replace(whole, body=zlib.compress(b"lonh"))
    document = json.loads(json_line(QUEUE, damaged))
    assert document["body_damaged"] is True, "it can be decompressed, but it is not what was sent"
    assert document["body"] is None


def test_an_empty_body_is_never_damaged_because_brokers_do_not_compare_its_crc() -> None:
    assert not stored_message(body=b"", body_crc=7).has_damaged_body


@pytest.mark.parametrize(("form", "says"), [(OutputFormat.RAW, True), (OutputFormat.JSONL, False)])
def test_what_prints_a_damaged_body_ends_with_an_error_and_a_bare_body_is_told_on_stderr(
    form: OutputFormat, says: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = DamageWatch(choose_rendering(form, None), form)
    watch.render(QUEUE, MESSAGE)
    watch.finish()
    watch.render(QUEUE, DAMAGED)
    assert ("body damaged: T broker-a:1@15 (id ID)" in capsys.readouterr().err) is says
    with pytest.raises(typer.Exit) as ended:
        watch.finish()
    assert ended.value.exit_code == ExitCode.REFUSED
    output = capsys.readouterr()
    assert output.out == ""
    assert "1 message has a damaged body" in output.err
