"""Any configuration is refused with a sentence, or a broker starts with it, takes a message and stops."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from rmqnode.broker.server import serve_broker
from rmqnode.config import BrokerConfig, ConfigError, check_properties
from rmqnode.config.key_table import key_table
from rmqnode.config.kinds import Kind
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.store.disk import used_ratio
from tests.ports import free_port
from tests.unit.broker.wire import SEND, ask

_BOUNDS = re.compile(r"(-?\d+)\.\.(-?\d+)")
_MEMBERS = re.compile(r"one of (.*)")

_OF_THE_TEST = {
    "storePathRootDir",
    "storePathCommitLog",
    "listenPort",
    "haListenPort",
    "bindAddress",
    "brokerConfigPath",
}
"""Where the broker is: the test says it, and another test looks at these."""

_STORED = {
    ResponseCode.SUCCESS,
    ResponseCode.FLUSH_DISK_TIMEOUT,
    ResponseCode.FLUSH_SLAVE_TIMEOUT,
    ResponseCode.SLAVE_NOT_AVAILABLE,
}


def values_of(key: str, kind: Kind[Any]) -> st.SearchStrategy[str]:
    """Values within the limits of a key, its ends more often than others."""
    bounds = _BOUNDS.match(kind.expected)
    if bounds is not None:
        low, high = int(bounds[1]), int(bounds[2])
        return st.sampled_from((low, min(low + 1, high), max(high - 1, low), high)).map(str) | st.integers(
            low, high
        ).map(str)
    if kind.expected == "true or false":
        return st.sampled_from(("true", "false"))
    members = _MEMBERS.match(kind.expected)
    if members is not None:
        return st.sampled_from(members[1].split(", "))
    special = {
        "namesrvAddr": ["127.0.0.1:1", "127.0.0.1:1;127.0.0.1:2"],
        "brokerIP1": ["127.0.0.1", "10.0.0.1"],
        "brokerIP2": ["127.0.0.1", "10.0.0.1"],
        "haMasterAddress": ["", "127.0.0.1:1"],
        "deleteWhen": ["00", "00;23", ";".join(f"{hour:02}" for hour in range(24))],
        "messageDelayLevel": ["0s", "1s", "3650d", " ".join(["1s"] * 64)],
    }
    if key in special:
        return st.sampled_from(special[key])
    if "A-Z" in kind.expected:
        return st.sampled_from(("a", "A.b-c_%|", "TBW102", "x" * 127))
    return st.sampled_from(("", "x", "ü", "y" * 1024))


_KEYS = {key: setting.kind for key, setting in key_table("broker").used.items() if key not in _OF_THE_TEST}

configurations = st.lists(st.sampled_from(sorted(_KEYS)), unique=True, max_size=8).flatmap(
    lambda keys: st.fixed_dictionaries({key: values_of(key, _KEYS[key]) for key in keys})
)


def may_refuse_sends(config: BrokerConfig, folder: Path) -> bool:
    """Whether somebody who sets this asks for a broker that takes no messages now."""
    return (
        config.is_slave
        or config.broker_permission & 2 == 0
        or config.start_accept_send_request_timestamp_ms > 0
        or config.disk_space_warning_level_ratio <= used_ratio(folder) * 100
    )


async def starts_and_takes_a_message(config: BrokerConfig) -> int:
    stop = trio.Event()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_broker, config, stop)
            async with RemotingClient() as client:
                answer = await ask(client, f"127.0.0.1:{config.listen_port}", RequestCode.SEND_MESSAGE_V2, SEND, b"x")
            stop.set()
    return int(answer.code)


def check_start(properties: dict[str, str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="configuration-"))
    own = {
        "storePathRootDir": str(folder / "store"),
        "listenPort": str(free_port()),
        "bindAddress": "127.0.0.1",
        "brokerIP1": "127.0.0.1",
        "brokerName": "broker-a",
        # A topic need not be created by the send.
        "autoCreateTopicEnable": "true",
    }
    try:
        try:
            config = check_properties("broker", own | properties | {"autoCreateTopicEnable": "true"}, "x").config
        except ConfigError as error:
            problems = error.problems
        else:
            problems = ()
        if problems:
            assert [problem for problem in problems if not problem.startswith("x: ") or len(problem) < 20] == []
            return
        code = trio.run(starts_and_takes_a_message, config)
        assert code in _STORED or may_refuse_sends(config, folder), (code, properties)
    finally:
        shutil.rmtree(folder)


@settings(max_examples=40)
@given(configurations)
def test_a_configuration_is_refused_or_makes_a_broker_that_takes_a_message(properties: dict[str, str]) -> None:
    check_start(properties)


@pytest.mark.long
@settings(max_examples=3000)
@given(configurations)
def test_thousands_of_configurations_are_refused_or_make_a_broker(properties: dict[str, str]) -> None:
    check_start(properties)


@pytest.mark.parametrize("end", ["low", "high"])
def test_a_broker_with_each_key_at_one_end_of_its_limits_starts_or_is_told_why_not(end: str) -> None:
    for key, kind in _KEYS.items():
        bounds = _BOUNDS.match(kind.expected)
        if bounds is not None:
            check_start({key: bounds[1] if end == "low" else bounds[2]})


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({"mappedFileSizeCommitLog": "4194304"}, "does not fit into a commit log file of"),
        ({"haSendHeartbeatInterval": "20000"}, "would be closed before its next sign of life"),
        ({"diskSpaceWarningLevelRatio": "50"}, "messages would be refused before old files are deleted"),
        ({"storePathRootDir": "/s", "storePathCommitLog": "/s/consumequeue/x"}, "the broker keeps other files there"),
        ({"storePathRootDir": "/s", "storePathCommitLog": "/s"}, "the broker keeps other files there"),
        ({"brokerName": ".."}, "brokerName must be 1..127 characters"),
        ({"maxMessageSize": "2147483647"}, "maxMessageSize must be 512..15728640 bytes"),
        ({"sendThreadPoolQueueCapacity": "0"}, "sendThreadPoolQueueCapacity must be 1..1000000"),
        ({"regionId": "a\nb"}, r"regionId must not contain control characters, got 'a\nb'"),
        ({"regionId": "a\u202eb"}, r"regionId must not contain control characters, got 'a\u202eb'"),
        ({"metricsLabel": "a\x85b"}, r"metricsLabel must not contain control characters, got 'a\x85b'"),
    ],
)
def test_keys_that_contradict_each_other_are_told_in_a_sentence(properties: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        check_properties("broker", properties, "broker.conf")
