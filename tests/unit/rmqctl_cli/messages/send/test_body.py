"""Where `rmqctl send` takes a body from, and what it refuses."""

import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rmqctl.cli.messages.send.body import BodyFormat, read_body
from rmqctl.errors import UsageError

TEXT = BodyFormat.TEXT
JSON = BodyFormat.JSON


@contextmanager
def stdin_of(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(descriptor) as text:
        monkeypatch.setattr(sys, "stdin", text)
        yield


def pipe_with(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_an_argument_goes_as_utf_8() -> None:
    assert read_body("已付款", TEXT) == "已付款".encode()


def test_bytes_of_an_argument_that_are_no_text_go_back_to_what_they_were() -> None:
    assert read_body(os.fsdecode(b"a\xff\x80b"), TEXT) == b"a\xff\x80b"


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "body file"
    file.write_bytes(b"\x00\xff\r\n")
    assert read_body(f"@{file}", TEXT) == b"\x00\xff\r\n"


@pytest.mark.parametrize("argument", [None, "-"])
def test_standard_input_is_read_to_its_end(argument: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    with stdin_of(pipe_with(b"piped\x00\n"), monkeypatch):
        assert read_body(argument, TEXT) == b"piped\x00\n"


def test_a_missing_body_at_a_terminal_is_an_error_that_shows_the_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    try:
        with stdin_of(terminal, monkeypatch), pytest.raises(UsageError) as caught:
            read_body(None, TEXT)
    finally:
        os.close(controller)
    assert caught.value.what == "the message body is missing"
    assert "rmqctl send TOPIC[:TAG]" in (caught.value.cure or "")


def test_reading_from_a_terminal_says_how_to_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    controller, terminal = pty.openpty()
    try:
        os.write(controller, b"typed\n\x04")
        with stdin_of(terminal, monkeypatch):
            assert read_body("-", TEXT) == b"typed\n"
    finally:
        os.close(controller)
    assert "Ctrl-D" in capsys.readouterr().err


def test_silence_on_standard_input_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import threading

    reading, writing = os.pipe()

    def write_later() -> None:
        os.write(writing, b"late")
        os.close(writing)

    monkeypatch.setattr("rmqctl.cli.messages.send.body._PATIENCE_SECONDS", 0.01)
    timer = threading.Timer(0.3, write_later)
    timer.start()
    with stdin_of(reading, monkeypatch):
        assert read_body("-", TEXT) == b"late"
    timer.join()
    assert "waiting for the body on standard input" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"id": 7, "note": "已付款"}', "1", '"x"', "null", " [1, 2] "])
def test_json_is_checked_and_sent_as_it_was_written(text: str) -> None:
    assert read_body(text, JSON) == text.encode()


@pytest.mark.parametrize("text", ["{", "{'a': 1}", "NaN", "[1,]", '{"a": 1} x', os.fsdecode(b'"\xff"')])
def test_what_is_not_json_in_utf_8_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not JSON"):
        read_body(text, JSON)


def test_hexadecimal_and_base64_are_turned_into_bytes() -> None:
    assert read_body("00 ff\n10", BodyFormat.HEX) == b"\x00\xff\x10"
    assert read_body("AP8Q\n", BodyFormat.BASE64) == b"\x00\xff\x10"


@pytest.mark.parametrize(
    ("text", "body_format"), [("0", "hex"), ("zz", "hex"), ("é", "hex"), ("A", "base64"), ("A-_=", "base64")]
)
def test_what_is_neither_is_refused(text: str, body_format: str) -> None:
    with pytest.raises(UsageError, match=r"is not (hexadecimal|base64)"):
        read_body(text, BodyFormat(body_format))


def test_an_empty_body_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty"):
        read_body("", TEXT)
    with pytest.raises(UsageError, match="can't be read"):
        read_body(f"@{tmp_path / 'nothing'}", TEXT)
    with pytest.raises(UsageError, match="can't be read"):
        read_body(f"@{tmp_path}", TEXT)


def test_a_body_that_no_frame_carries_is_refused_without_reading_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as opened:
        opened.truncate(10**12)
    with pytest.raises(UsageError, match="too large"):
        read_body(f"@{file}", TEXT)
