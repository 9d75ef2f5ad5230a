"""Both ends of the replication stream against each other and against odd peers, without sockets."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rmqnode.ha.master_link import ReplicationRefused, choose_start
from rmqnode.ha.master_stream import MasterStream
from rmqnode.ha.slave_stream import FileSizesDiffer, LogEnds, LogsDiffer, SlaveStream, overlap_start
from rmqnode.ha.stream import (
    BLOCK_HEAD,
    REPORT,
    BlockDecoder,
    BlockHead,
    BlockPiece,
    ReportDecoder,
    StreamBroken,
)

BATCH = 300


def sent(master: MasterStream) -> bytes:
    return b"".join(master.next_blocks())


def heads(stream: bytes) -> list[BlockHead]:
    return [part for part in BlockDecoder().feed(stream) if isinstance(part, BlockHead)]


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(marks) if end > begin]


# --- bytes ------------------------------------------------------------------------------------------------------------


@given(reports=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), cuts=st.lists(st.integers(0, 200)))
def test_the_last_whole_report_counts_however_it_is_cut(reports: list[int], cuts: list[int]) -> None:
    data = b"".join(map(REPORT.pack, reports))
    decoder = ReportDecoder()
    position, seen = 0, None
    for piece in pieces_of(data, cuts):
        last_before = seen
        position += len(piece)
        report = decoder.feed(piece)
        seen = reports[position // 8 - 1] if position >= 8 else None
        assert report in (seen, None)
        assert report is not None or seen == last_before
    assert seen == reports[-1]


@given(
    blocks=st.lists(st.tuples(st.integers(0, 2**40), st.binary(max_size=40)), min_size=1),
    cuts=st.lists(st.integers(0, 400)),
)
def test_blocks_come_out_whole_however_they_are_cut(blocks: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(BLOCK_HEAD.pack(offset, len(content)) + content for offset, content in blocks)
    decoder = BlockDecoder()
    found: list[tuple[int, bytes]] = []
    for piece in pieces_of(data, cuts):
        for part in decoder.feed(piece):
            if isinstance(part, BlockPiece):
                offset, content = found[-1]
                assert part.physical_offset == offset + len(content)
                found[-1] = (offset, content + bytes(part.content))
            else:
                found.append((part.physical_offset, b""))
    assert found == blocks


def test_a_block_of_negative_size_breaks_the_stream() -> None:
    with pytest.raises(StreamBroken, match="a block of -1 bytes"):
        list(BlockDecoder().feed(BLOCK_HEAD.pack(0, -1)))


# --- the master's end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "first_sent"),
    [(0, 2000), (2000, 2000), (2345, 2345), (4400, None), (9000, None), (1999, None), (-5, None), (-1, None)],
)
def test_the_first_report_says_from_where(make_log: Any, report: int, first_sent: int | None) -> None:
    stream = MasterStream(make_log(bytes(2400), begin=2000), BATCH)
    assert (sent(stream), stream.heartbeat()) == (b"", None)
    stream.receive(REPORT.pack(report))
    blocks = heads(sent(stream))
    assert (blocks[0].physical_offset if blocks else None) == first_sent
    heartbeat = stream.heartbeat()
    if report == -1:
        assert heartbeat is None, "that was no request"
    else:
        assert heartbeat == BLOCK_HEAD.pack(report if first_sent is None else 4400, 0)
    assert stream.lacks_start == (report in (1999, -5))


def test_after_minus_one_another_report_may_ask(make_log: Any) -> None:
    stream = MasterStream(make_log(bytes(50)), BATCH)
    stream.receive(REPORT.pack(-1))
    stream.receive(REPORT.pack(20))
    assert heads(sent(stream)) == [BlockHead(20, 30)]


def test_no_block_is_longer_than_the_batch_or_crosses_a_file(make_log: Any) -> None:
    stream = MasterStream(make_log(bytes(2500)), BATCH)
    stream.receive(REPORT.pack(0))
    blocks: list[BlockHead] = []
    while more := heads(sent(stream)):
        blocks += more
    assert all(block.size <= BATCH for block in blocks)
    assert all(block.physical_offset // 1000 == (block.physical_offset + block.size - 1) // 1000 for block in blocks)
    assert [block.physical_offset for block in blocks[1:]] == [sum(block) for block in blocks[:-1]]
    assert sum(blocks[-1]) == 2500


def test_a_slave_ahead_is_served_once_the_log_reaches_it(make_log: Any) -> None:
    log = make_log(bytes(100))
    stream = MasterStream(log, BATCH)
    stream.receive(REPORT.pack(150))
    assert sent(stream) == b""
    assert stream.confirmed_offset == -1, "it confirms nothing that this log never had"
    log.content += bytes(80)
    assert heads(sent(stream)) == [BlockHead(150, 30)]


def test_only_what_was_sent_can_be_confirmed(make_log: Any) -> None:
    stream = MasterStream(make_log(bytes(100)), BATCH)
    assert stream.confirmed_offset == -1
    stream.receive(REPORT.pack(40))
    assert (stream.confirmed_offset, stream.known_offset) == (-1, 40), "a claim that nobody can check"
    sent(stream)
    stream.receive(REPORT.pack(100)[:5])
    assert stream.confirmed_offset == -1
    stream.receive(REPORT.pack(100)[5:] + REPORT.pack(90))
    assert stream.confirmed_offset == 90
    with pytest.raises(StreamBroken, match=f"it confirmed {2**62}, only 100 was sent to it"):
        stream.receive(REPORT.pack(2**62))
    assert stream.confirmed_offset == 90


def test_what_has_not_left_yet_cannot_be_confirmed(make_log: Any) -> None:
    stream = MasterStream(make_log(bytes(100)), BATCH)
    stream.receive(REPORT.pack(0))
    sent(stream)
    stream.unsent_bytes = 30
    stream.receive(REPORT.pack(70))
    with pytest.raises(StreamBroken, match="it confirmed 71, only 70 was sent to it"):
        stream.receive(REPORT.pack(71))


# --- the slave's end --------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 4000), max_size=12), begin=st.sampled_from([0, 3000]))
def test_logs_become_equal_whatever_happens_to_the_stream(
    make_log: Any, seed: int, cuts: list[int], begin: int
) -> None:
    """The master grows, the stream is cut at any byte and begun anew, reports get lost."""
    chance = random.Random(seed)
    master, slave = make_log(chance.randbytes(500), begin), make_log()
    for cut in [*cuts, 10**9]:
        stream = SlaveStream(slave, choose_start(slave, LogEnds(master.log_min_offset, master.wrote_offset)))
        served = MasterStream(master, BATCH)
        served.receive(stream.report())
        while cut > 0 and (data := sent(served)):
            for piece in pieces_of(data[:cut], [chance.randrange(len(data)) for _ in range(3)]):
                stream.receive(piece)
                report = stream.report_of_progress()
                if report is not None and chance.random() < 0.9:
                    served.receive(report)
            cut -= len(data)
            assert slave.part(begin, slave.wrote_offset) == master.part(begin, slave.wrote_offset)
        master.content += chance.randbytes(chance.randrange(900))
        served.receive(stream.report())
        assert served.confirmed_offset <= slave.wrote_offset
        assert stream.is_compared or cut <= 0
    assert slave.wrote_offset + 900 > master.wrote_offset


def test_only_an_empty_slave_asks_for_zero(make_log: Any) -> None:
    slave = make_log(bytes(range(200)) * 2)
    stream = SlaveStream(slave, overlap_start(slave, LogEnds(0, 600)))
    assert stream.report() == REPORT.pack(1)
    assert not stream.is_compared
    assert SlaveStream(make_log(), 0).report() == REPORT.pack(0)


@pytest.mark.parametrize("wrong_at", [1000, 1399, 1200])
def test_a_master_whose_log_differs_is_left_alone(make_log: Any, wrong_at: int) -> None:
    content = random.Random(1).randbytes(1400)
    other = bytearray(content + b"new messages")
    other[wrong_at] ^= 1
    slave = make_log(content)
    stream = SlaveStream(slave, 1000)
    assert stream.report() == REPORT.pack(1000)
    served = MasterStream(make_log(other), BATCH)
    served.receive(REPORT.pack(1000))
    with pytest.raises(LogsDiffer, match="differs from ours at physical offset 1"):
        stream.receive(sent(served))
    assert bytes(slave.content) == content
    assert not stream.is_compared


def test_reports_never_claim_what_was_not_compared(make_log: Any) -> None:
    content = random.Random(2).randbytes(900)
    slave = make_log(content)
    stream = SlaveStream(slave, 500)
    stream.report()
    assert stream.report_of_progress() is None
    stream.receive(BLOCK_HEAD.pack(500, 400) + content[500:700])
    assert stream.report_of_progress() == REPORT.pack(700)
    assert not stream.is_compared
    stream.receive(content[700:])
    assert stream.report_of_progress() == REPORT.pack(900)
    assert stream.is_compared


@pytest.mark.parametrize(("offset", "size"), [(99, 0), (101, 5), (0, 5)])
def test_a_head_for_another_place_breaks_the_stream(make_log: Any, offset: int, size: int) -> None:
    slave = make_log(bytes(100))
    stream = SlaveStream(slave, 100)
    with pytest.raises(StreamBroken, match=f"sent offset {offset}, 100 comes next"):
        stream.receive(BLOCK_HEAD.pack(offset, size) + b"abcde")
    assert slave.wrote_offset == 100


@pytest.mark.parametrize("size", [901, 5000])
def test_a_block_across_the_end_of_our_file_is_refused_before_its_first_byte(make_log: Any, size: int) -> None:
    slave = make_log(bytes(100))
    with pytest.raises(FileSizesDiffer, match="longer than our 1000 bytes"):
        SlaveStream(slave, 100).receive(BLOCK_HEAD.pack(100, size) + b"abcde")
    assert slave.wrote_offset == 100


def test_an_empty_slave_takes_any_start_and_heartbeats_before_it(make_log: Any) -> None:
    slave = make_log()
    stream = SlaveStream(slave, 0)
    stream.receive(BLOCK_HEAD.pack(7000, 0))
    stream.receive(BLOCK_HEAD.pack(5000, 3) + b"abc" + BLOCK_HEAD.pack(5003, 0))
    assert (slave.begin, bytes(slave.content)) == (5000, b"abc")


# --- from where -------------------------------------------------------------------------------------------------------


def test_the_overlap_stays_inside_both_logs(make_log: Any) -> None:
    assert overlap_start(make_log(bytes(100_000)), LogEnds(0, 100_000)) == 100_000 - 32 * 1024
    assert overlap_start(make_log(bytes(100)), LogEnds(0, 500)) == 1
    assert overlap_start(make_log(bytes(100), begin=7000), LogEnds(0, 9000)) == 7000
    assert overlap_start(make_log(bytes(4000), begin=0), LogEnds(3000, 9000)) == 3000
    assert overlap_start(make_log(bytes(3000), begin=0), LogEnds(3000, 9000)) == 3000
    assert overlap_start(make_log(), LogEnds(-1, 0)) == 0


def test_a_slave_with_more_than_its_master_is_refused_with_both_numbers(make_log: Any) -> None:
    with pytest.raises(ReplicationRefused, match=r"ends at 100, its master's at 60: 40 bytes of messages"):
        choose_start(make_log(bytes(100)), LogEnds(0, 60))
    assert choose_start(make_log(bytes(100)), LogEnds(0, 100)) == 1


def test_a_slave_that_was_away_too_long_is_refused(make_log: Any) -> None:
    with pytest.raises(ReplicationRefused, match="what lies between is gone there"):
        choose_start(make_log(bytes(100)), LogEnds(1000, 2000))
    assert choose_start(make_log(), LogEnds(1000, 2000)) == 0, "an empty one begins anew"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(data=bytes(10) + b"\x04\x00", start=0)
@given(data=st.binary(max_size=100), start=st.integers(0, 60))
def test_random_bytes_never_do_more_than_break_the_stream(make_log: Any, data: bytes, start: int) -> None:
    before = bytes(range(60))
    slave = make_log(before)
    try:
        SlaveStream(slave, start).receive(data)
    except (StreamBroken, LogsDiffer, FileSizesDiffer):
        assert bytes(slave.content[:60]) == before
    MasterStream(make_log(before), BATCH).receive(data)
