"""Input line by line, from files and pipes, as it arrives."""

import os
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from rmqctl.cli.messages.send.lines import Line, LineReader
from rmqctl.errors import UsageError


async def lines_of(reader: LineReader) -> list[Line]:
    return [line async for line in reader.lines()]


def pipe_with(*pieces: bytes) -> int:
    reading, writing = os.pipe()
    for piece in pieces:
        os.write(writing, piece)
    os.close(writing)
    return reading


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_lines_have_numbers_and_the_last_needs_no_end(end: bytes) -> None:
    reader = LineReader(pipe_with(b"one\n", b"\ntw", b"o\r\n\xff" + end), "stdin")
    assert reader.size_bytes is None
    lines = await lines_of(reader)
    assert [(line.number, line.data) for line in lines] == [(1, b"one"), (3, b"two\r"), (4, b"\xff")]
    assert reader.empty_count == 1


async def test_a_file_knows_its_size_and_how_far_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"a\nbb\n")
    with file.open("rb") as opened:
        reader = LineReader(opened.fileno(), str(file))
        assert reader.size_bytes == 5
        assert [line.end for line in await lines_of(reader)] == [2, 5]


async def test_a_line_is_given_as_soon_as_it_is_whole() -> None:
    reading, writing = os.pipe()
    lines = LineReader(reading, "stdin").lines()
    os.write(writing, b"first\nsec")
    with trio.fail_after(5):
        assert (await anext(lines)).data == b"first"
        os.write(writing, b"ond\n")
        assert (await anext(lines)).data == b"second"
    os.close(writing)
    with pytest.raises(StopAsyncIteration):
        await anext(lines)


async def test_waiting_for_a_line_can_be_cancelled() -> None:
    reading, writing = os.pipe()
    with trio.move_on_after(0.05) as scope:
        await lines_of(LineReader(reading, "stdin"))
    assert scope.cancelled_caught
    os.close(writing)


async def test_a_line_that_can_be_no_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqctl.cli.messages.send.lines._LINE_BYTES_MAX", 10)
    with pytest.raises(UsageError, match="line 2 of stdin has more than 10 bytes"):
        await lines_of(LineReader(pipe_with(b"short\n" + b"x" * 11), "stdin"))


async def test_a_folder_is_no_input(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(UsageError, match="can't be read any further"):
        await lines_of(LineReader(descriptor, "folder"))
    os.close(descriptor)


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda data: data.replace(b"\n", b"n")), max_size=30))
def test_nothing_is_lost_wherever_the_pieces_are_cut(lines: list[bytes]) -> None:
    reader = LineReader(pipe_with(b"\n".join(lines)), "stdin")
    assert [line.data for line in trio.run(lines_of, reader)] == lines
