"""Logs for streams: bytes over files of one size, as a store has them, without a disk."""

from collections.abc import Callable

import pytest

FILE_SIZE = 1000


class MemoryLog:
    """Both a log that is sent and one that grows."""

    def __init__(self, content: bytes = b"", begin: int = 0, file_size: int = FILE_SIZE) -> None:
        self.begin = begin
        self.content = bytearray(content)
        self.log_file_size = file_size

    @property
    def wrote_offset(self) -> int:
        return self.begin + len(self.content)

    @property
    def log_min_offset(self) -> int:
        return self.begin

    def log_bytes(self, physical_offset: int, size_max: int) -> memoryview | None:
        if not self.begin <= physical_offset < self.wrote_offset:
            return None
        file_end = physical_offset + self.log_file_size - physical_offset % self.log_file_size
        end = min(physical_offset + size_max, file_end, self.wrote_offset)
        return memoryview(bytes(self.content[physical_offset - self.begin : end - self.begin]))

    def append(self, physical_offset: int, content: memoryview) -> None:
        if not self.content:
            self.begin = physical_offset
        assert physical_offset == self.wrote_offset
        self.content += content

    has_undispatched = False

    def dispatch_more(self) -> None:
        raise AssertionError("there is nothing more to do")

    def part(self, begin: int, end: int) -> bytes:
        return bytes(self.content[begin - self.begin : end - self.begin])


@pytest.fixture
def make_log() -> Callable[..., MemoryLog]:
    return MemoryLog
