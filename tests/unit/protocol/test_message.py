import contextlib
import struct
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.message import (
    BatchPart,
    Host,
    MalformedMessage,
    StoredMessage,
    SysFlag,
    decode_batch,
    decode_record,
    decode_records,
    encode_batch,
    encode_record,
)
from rmqnode.protocol.properties import encode_properties

GOLDEN = Path(__file__).parents[2] / "golden" / "java_text"
RECORD = bytes.fromhex((GOLDEN / "record.hex").read_text())
COMPRESSED_RECORD = bytes.fromhex((GOLDEN / "record_compressed.hex").read_text())
BATCH = bytes.fromhex((GOLDEN / "batch.hex").read_text())

WRITTEN_BY_A_BROKER = bytes.fromhex(
    "000000b1daa320a73610a68600000002000000090000000000000000000000000000000000000000000001a2060cdfd5"
    "7f0000010000997c000001a2060cdff77f000001000078bf0000000000000000000000000000000568656c6c6f025431"
    "004f4b455953016b31206b3202554e49515f4b4559014330303030323032363533353546464432423237373141344637"
    "443430303030025741495401747275650254414753015461674102616765013702"
)

I32 = st.integers(-(2**31), 2**31 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x01\x02"), min_size=1, max_size=8)


def hosts(size):
    return st.builds(Host, st.binary(min_size=size, max_size=size), I32)


@st.composite
def messages(draw):
    sys_flag = draw(I32)
    return StoredMessage(
        topic=draw(st.text("ab%", max_size=300)),
        queue_id=draw(I32),
        flag=draw(I32),
        queue_offset=draw(I64),
        physical_offset=draw(I64),
        sys_flag=sys_flag,
        born_timestamp=draw(I64),
        born_host=draw(hosts(16 if sys_flag & SysFlag.BORN_HOST_IPV6 else 4)),
        store_timestamp=draw(I64),
        store_host=draw(hosts(16 if sys_flag & SysFlag.STORE_HOST_IPV6 else 4)),
        reconsume_times=draw(I32),
        prepared_transaction_offset=draw(I64),
        body=draw(st.binary(max_size=50)),
        body_crc=draw(I32),
        properties=draw(st.dictionaries(WORDS, WORDS, max_size=3)),
        size_bytes=0,
    )


def record_of(message):
    """Write a record field by field, as the table of the format lists them."""
    topic = message.topic.encode()
    properties = encode_properties(message.properties).encode()
    is_long = len(topic) > 127
    rest = b"".join(
        (
            struct.pack(
                ">Iiii", 0xDAA320AB if is_long else 0xDAA320A7, message.body_crc, message.queue_id, message.flag
            ),
            struct.pack(">qqi", message.queue_offset, message.physical_offset, message.sys_flag),
            struct.pack(">q", message.born_timestamp),
            message.born_host.ip,
            struct.pack(">i", message.born_host.port),
            struct.pack(">q", message.store_timestamp),
            message.store_host.ip,
            struct.pack(">i", message.store_host.port),
            struct.pack(">iq", message.reconsume_times, message.prepared_transaction_offset),
            struct.pack(">i", len(message.body)),
            message.body,
            struct.pack(">h" if is_long else ">b", len(topic)),
            topic,
            struct.pack(">h", len(properties)),
            properties,
        )
    )
    return struct.pack(">i", 4 + len(rest)) + rest


def compressed_message(body, sys_flag=SysFlag.COMPRESSED):
    plain = decode_record(RECORD)
    return StoredMessage(
        **{name: getattr(plain, name) for name in plain.__struct_fields__} | {"body": body, "sys_flag": sys_flag}
    )


@given(messages())
def test_a_message_that_is_written_is_read_as_it_was(message):
    record = encode_record(message)
    crc = zlib.crc32(message.body) & 0x7FFFFFFF
    assert decode_record(record) == msgspec.structs.replace(message, size_bytes=len(record), body_crc=crc)


def test_a_message_read_from_a_java_broker_is_written_as_it_was():
    assert encode_record(decode_record(WRITTEN_BY_A_BROKER)) == WRITTEN_BY_A_BROKER


def test_record_written_by_a_java_broker_is_read():
    message = decode_record(WRITTEN_BY_A_BROKER)
    assert (message.topic, message.queue_id, message.flag, message.body) == ("T1", 2, 9, b"hello")
    assert message.properties["TAGS"] == "TagA"
    assert message.properties["KEYS"] == "k1 k2"
    assert message.properties["age"] == "7"
    assert message.message_id == "C0000202653" + message.message_id[11:]
    assert str(message.store_host) == "127.0.0.1:30911"
    assert message.body_crc == zlib.crc32(message.body) & 0x7FFFFFFF
    assert message.size_bytes == len(WRITTEN_BY_A_BROKER) == 177


def test_record_written_by_javas_decoder_class_is_read():
    message = decode_record(b"abc" + RECORD + b"def", 3)
    assert message == StoredMessage(
        topic="T1",
        queue_id=2,
        flag=9,
        queue_offset=3,
        physical_offset=400,
        sys_flag=0,
        born_timestamp=1_700_000_000_123,
        born_host=Host(bytes((10, 1, 2, 3)), 4567),
        store_timestamp=1_700_000_000_456,
        store_host=Host(bytes((10, 9, 8, 7)), 10911),
        reconsume_times=1,
        prepared_transaction_offset=77,
        body=b"hello",
        body_crc=907060870,
        properties={"KEYS": "k1 k2", "age": "7", "TAGS": "TagA"},
        size_bytes=len(RECORD),
    )
    assert message.offset_message_id == message.message_id == (GOLDEN / "offset_message_id.txt").read_text().strip()


@given(messages())
def test_records_of_all_forms_come_back_as_they_were(message):
    record = record_of(message)
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    assert decode_record(memoryview(record)) == StoredMessage(**fields | {"size_bytes": len(record)})


@given(st.lists(messages(), max_size=4))
def test_records_back_to_back_are_read_and_a_cut_one_is_left_out(sent):
    data = b"".join(map(record_of, sent))
    bodies = [message.body for message in sent]
    assert [message.body for message in decode_records(data)] == bodies
    if sent:
        assert [message.body for message in decode_records(data[:-1])] == bodies[:-1]


def test_record_cut_at_any_byte_is_refused():
    for end in range(len(RECORD)):
        with pytest.raises(MalformedMessage):
            decode_record(RECORD[:end])


@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_a_protocol_error(data):
    for decode in (decode_record, decode_records, decode_batch):
        with contextlib.suppress(ProtocolError):
            decode(data)


@given(st.integers(0, len(RECORD) - 1), st.integers(0, 255))
@example(40, 0xFF)
def test_a_changed_byte_gives_a_message_or_a_protocol_error(position, value):
    record = bytearray(RECORD)
    record[position] = value
    for decode in (decode_record, decode_records):
        with contextlib.suppress(ProtocolError):
            decode(record)


def test_blank_of_a_file_end_is_no_message():
    with pytest.raises(MalformedMessage, match="cbd43194"):
        decode_record(bytes.fromhex("00000080cbd43194") + bytes(120))


def test_host_with_an_ipv6_address_is_shown_in_brackets():
    assert str(Host(bytes(15) + b"\x01", 10911)) == "[0:0:0:0:0:0:0:1]:10911"


def test_compressed_body_of_java_is_inflated():
    message = decode_record(COMPRESSED_RECORD)
    assert message.body != message.decompressed_body() == b"hello " * 100


@pytest.mark.parametrize("compression_type", [0x000, 0x300])
def test_zlib_bodies_of_all_versions_are_inflated(compression_type):
    message = compressed_message(zlib.compress(b"x" * 5000), SysFlag.COMPRESSED | compression_type)
    assert message.decompressed_body() == b"x" * 5000


@pytest.mark.parametrize(("compression_type", "name"), [(0x100, "LZ4"), (0x200, "ZSTD"), (0x500, "type 5")])
def test_other_compressions_are_refused_by_name(compression_type, name):
    with pytest.raises(MalformedMessage, match=name):
        compressed_message(b"", SysFlag.COMPRESSED | compression_type).decompressed_body()


@pytest.mark.parametrize("body", [b"", b"hello", zlib.compress(b"hello")[:-1]])
def test_body_that_is_no_whole_zlib_stream_is_refused(body):
    with pytest.raises(MalformedMessage):
        compressed_message(body).decompressed_body()


def test_body_that_inflates_beyond_the_limit_is_refused():
    compressor = zlib.compressobj(9)
    block = bytes(1024 * 1024)
    bomb = b"".join(compressor.compress(block) for _ in range(65)) + compressor.flush()
    with pytest.raises(MalformedMessage, match="above 67108864 bytes"):
        compressed_message(bomb).decompressed_body()


def test_batch_written_by_java_is_read_and_written_alike():
    parts = decode_batch(BATCH)
    assert [(part.flag, part.body) for part in parts] == [(5, b"one"), (0, b"two")]
    assert parts[1].properties == b"WAIT\x01true\x02"
    assert encode_batch(parts) == BATCH


@given(st.lists(st.builds(BatchPart, I32, st.binary(max_size=50), st.binary(max_size=50))))
def test_batch_comes_back_as_it_was(parts):
    assert decode_batch(memoryview(encode_batch(parts))) == parts


def test_batch_cut_inside_a_part_is_refused():
    first_size = int.from_bytes(BATCH[:4])
    for end in range(1, len(BATCH)):
        if end != first_size:
            with pytest.raises(MalformedMessage):
                decode_batch(BATCH[:end])


@pytest.mark.parametrize(
    ("position", "value"), [(0, -1), (0, 0), (0, 21), (0, 54), (0, 2**31 - 1), (16, -1), (16, 4), (16, 2**31 - 1)]
)
def test_batch_with_a_wrong_length_is_refused(position, value):
    data = bytearray(BATCH)
    struct.pack_into(">i", data, position, value)
    with pytest.raises(MalformedMessage):
        decode_batch(data)


def test_batch_with_negative_properties_length_is_refused():
    with pytest.raises(MalformedMessage):
        decode_batch(struct.pack(">iiiiih", 22, 0, 0, 0, 0, -1))


def test_part_that_does_not_fit_its_lengths_is_not_written():
    with pytest.raises(ValueError, match="can't be written"):
        encode_batch([BatchPart(0, b"", bytes(32768))])
