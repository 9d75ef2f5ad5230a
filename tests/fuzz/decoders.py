"""Everything that reads bytes from elsewhere without I/O, as functions of bytes, with seeds to start from.

A reader may refuse bytes by the errors that it documents; anything else that escapes is a finding.
`scripts/fuzz decoders` hands these functions to atheris where it is installed, else damages the seeds by itself.
"""

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from rmqctl.errors import RmqctlError
from rmqctl.home import ClusterHome
from rmqctl.profile.library import load_profile
from rmqctl.profile.resolve import Circumstances, resolve
from rmqctl.profile.stored import load_cluster
from rmqctl.supervisor.control.server import parse_request
from rmqctl.supervisor.files.record import load_record
from rmqctl.systemd.record import load_installation
from rmqnode.broker.routes import ROUTES as BROKER_ROUTES
from rmqnode.config import ConfigError, load_broker_config, load_nameserver_config
from rmqnode.filter.compiled import compile_filter
from rmqnode.filter.errors import FilterError
from rmqnode.ha.stream import BlockDecoder, ReportDecoder, StreamBroken
from rmqnode.nameserver.routes import ROUTES as NAMESERVER_ROUTES
from rmqnode.protocol import bodies
from rmqnode.protocol.bodies.base import Body
from rmqnode.protocol.bodies.registration import decode_compressed_registration
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.fastjson.reader import loads
from rmqnode.protocol.frame import FrameDecoder
from rmqnode.protocol.message.batch import decode_batch
from rmqnode.protocol.message.record import decode_records
from rmqnode.protocol.message_id import decode_offset_message_id
from rmqnode.protocol.properties import decode_properties, find_property
from rmqnode.protocol.routes import RejectedRequest, RequestTable
from rmqnode.store.checkpoint import StoreCheckpoint
from tests.fuzz import requests, values

_BODY_TYPES: Final = [each for each in vars(bodies).values() if isinstance(each, type) and issubclass(each, Body)]
_TABLES: Final = (RequestTable(BROKER_ROUTES), RequestTable(NAMESERVER_ROUTES))


class Reader(NamedTuple):
    """A function that reads bytes, and bytes to start from."""

    name: str
    read: Callable[[bytes], object]
    seeds: list[bytes]


def readers(folder: Path) -> list[Reader]:
    """All readers. Those of files write the bytes below `folder` first."""
    maker = requests.RequestMaker(Random(0), BROKER_ROUTES, "broker")
    documents = [json.dumps(document).encode() for each in requests.BODIES.values() for document in each]
    frames = [
        *requests.golden_requests("broker"),
        *requests.golden_requests("nameserver"),
        *(maker.frame() for _ in range(200)),
    ]
    texts = [each.encode("utf-8", "surrogatepass") for each in values.TEXTS]
    return [
        Reader("frames", _read_frames, frames),
        Reader("fastjson", _refusing(loads, ProtocolError), [*documents, *texts, b"{1:2,'a':'\\x41',b:[{$ref:'$'}]}"]),
        Reader("bodies", _read_bodies, documents),
        Reader("registration", _refusing(decode_compressed_registration, ProtocolError), _registrations()),
        Reader("batch", _refusing(decode_batch, ProtocolError), [bytes(22), bytes(100)]),
        Reader("records", _refusing(decode_records, ProtocolError), _records()),
        Reader("properties", _read_properties, [b"a\x01b\x02c\x01d\x02", *texts]),
        Reader("filter", _read_filter, texts),
        Reader(
            "message id",
            _refusing(lambda data: decode_offset_message_id(data.decode("latin-1")), ProtocolError),
            [b"7F00000100002A9F0000000000000000"],
        ),
        Reader("ha reports", lambda data: ReportDecoder().feed(data), [bytes(8), b"\xff" * 17]),
        Reader(
            "ha blocks",
            _refusing(lambda data: list(BlockDecoder().feed(data)), StreamBroken),
            [bytes(12), bytes(8) + b"\0\0\0\4abcd"],
        ),
        Reader(
            "control",
            parse_request,
            [
                b'{"version":2,"request":"status"}',
                b'{"version":2,"request":"nodes","order":{"verb":"kill","nodes":["a"]}}',
            ],
        ),
        *_file_readers(folder),
    ]


def _refusing(read: Callable[[bytes], object], *errors: type[Exception]) -> Callable[[bytes], object]:
    def call(data: bytes) -> object:
        try:
            return read(data)
        except errors:
            return None

    return call


def _read_frames(data: bytes) -> None:
    decoder = FrameDecoder()
    try:
        for frame in decoder.feed(data):
            for table in _TABLES:
                try:
                    table.decode(frame)
                except RejectedRequest:
                    continue
        decoder.check()
    except ProtocolError:
        pass


def _read_bodies(data: bytes) -> None:
    for body_type in _BODY_TYPES:
        try:
            body_type.decode(data)
        except ProtocolError:
            continue


def _read_properties(data: bytes) -> None:
    find_property(data, "TAGS")
    decode_properties(data.decode("utf-8", "replace"))


def _read_filter(data: bytes) -> None:
    with suppress(FilterError):
        compile_filter(data.decode("utf-8", "replace")).accepts(b"a\x011\x02b\x01x\x02")


def _registrations() -> list[bytes]:
    return [frame[-400:] for frame in requests.golden_requests("nameserver")[:10]]


def _records() -> list[bytes]:
    record = bytearray(91 + 3 + 1)
    record[:8] = (len(record) + 1).to_bytes(4, "big") + bytes.fromhex("daa320a7")
    return [bytes(record), bytes(record) * 2]


def _file_readers(folder: Path) -> list[Reader]:
    home = ClusterHome(folder, "fuzz")
    home.folder.mkdir(parents=True, exist_ok=True)
    broker_lines = (
        b"brokerName=a\nlistenPort=10911\nbrokerIP1=127.0.0.1\nstorePathRootDir=/nowhere\nmaxMessageSize=4194304\n"
    )
    profile = b'[cluster]\nname = "x"\n[nameservers]\ncount = 1\n[[brokers]]\nname = "broker-a"\nslaves = 1\n'

    def load(name: str, read: Callable[[Path], object], *errors: type[Exception]) -> Callable[[bytes], object]:
        path = home.folder / name

        def call(data: bytes) -> object:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            return _refusing(lambda _: read(path), *errors)(data)

        return call

    return [
        Reader("broker.conf", load("broker.conf", load_broker_config, ConfigError), [broker_lines]),
        Reader(
            "overlay",
            load("broker.overlay.conf", lambda path: load_broker_config(_conf_beside(path)), ConfigError),
            [b"maxMessageSize=1\n"],
        ),
        Reader("nameserver.conf", load("nameserver.conf", load_nameserver_config, ConfigError), [b"listenPort=9876\n"]),
        Reader(
            "checkpoint", load("checkpoint", lambda path: StoreCheckpoint.of(path.parent)), [bytes(4096), bytes(24)]
        ),
        Reader("coverage", load("coverage", lambda path: StoreCheckpoint.of(path.parent)), [bytes(80)]),
        Reader("cluster.toml", load("cluster.toml", lambda _: load_cluster(home), RmqctlError), [profile]),
        Reader(
            "supervisor.json", load("supervisor.json", load_record), [b"{}", b'{"supervisor":{"pid":1,"started":1.0}}']
        ),
        Reader("systemd.json", load("systemd.json", lambda _: load_installation(home), RmqctlError), [b"{}"]),
        Reader("profile", load("profile.toml", _resolve_profile, RmqctlError), [profile]),
    ]


def _conf_beside(overlay: Path) -> Path:
    conf = overlay.with_name("broker.conf")
    conf.write_bytes(b"brokerName=a\nbrokerIP1=127.0.0.1\nstorePathRootDir=/nowhere\n")
    return conf


def _resolve_profile(path: Path) -> None:
    named = load_profile(str(path))
    circumstances = Circumstances(
        folder=path.parent, cluster="fuzz", source=named.source, broker_ip="127.0.0.1", broker_ip_reason="given"
    )
    resolve(named.profile, circumstances)


def damage(reader: Reader, chance: Random, rounds: int) -> None:
    """Hand a reader damaged seeds; what escapes names the reader and the bytes."""
    for _ in range(rounds):
        data = values.changed_bytes(chance, chance.choice(reader.seeds), 6)
        try:
            reader.read(data)
        except Exception as error:
            raise AssertionError(f"{reader.name}: {error!r} escaped for {data.hex()}") from error


def with_atheris(reader: Reader, seconds: int) -> None:
    """Hand a reader to atheris, which follows coverage; ends the process."""
    import atheris  # only where the extra `fuzz` is installed

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(reader.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.instrument_all()
        atheris.Setup([reader.name, f"-max_total_time={seconds}", "-verbosity=0", corpus], reader.read)
        atheris.Fuzz()
