"""Properties → typed config: defaults, values, refusals, rules between keys, and the sentences users read."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.config import (
    BrokerConfig,
    BrokerRole,
    ConfigError,
    FlushDiskType,
    NameserverConfig,
    check_properties,
    config_properties,
)
from rmqnode.config.key_table import key_table


def broker_problems(properties: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_properties("broker", properties, "broker.conf")
    return list(caught.value.problems)


def test_defaults_are_those_of_apache_4_5_2() -> None:
    config = check_properties("broker", {}, "broker.conf").config
    assert config == BrokerConfig()
    assert (config.listen_port, config.ha_listen_port, config.broker_id) == (10911, 10912, 0)
    assert config.broker_role is BrokerRole.ASYNC_MASTER
    assert config.flush_disk_type is FlushDiskType.ASYNC_FLUSH
    assert config.store_path_commit_log == Path.home() / "store" / "commitlog"
    assert check_properties("nameserver", {}, "n.conf").config.listen_port == 9876


def test_every_value_of_a_broker_reaches_its_field() -> None:
    loaded = check_properties(
        "broker",
        {
            "namesrvAddr": "10.0.0.1:9876; nameserver:9877,[::1]:9878;10.0.0.1:9876",
            "brokerIP1": "10.0.0.5",
            "brokerRole": "SLAVE",
            "brokerId": "+007",
            "listenPort": "20911",
            "haListenPort": "20912",
            "autoCreateTopicEnable": "FALSE",
            "deleteWhen": "04;16",
            "storePathRootDir": "/data/store",
            "storePathCommitLog": "/log",
            "bindAddress": "10.0.0.5;127.0.0.1",
            "haMasterAddress": "",
        },
        "broker.conf",
    )
    config = loaded.config
    assert loaded.notices == []
    assert config.namesrv_addr == ("10.0.0.1:9876", "nameserver:9877", "[::1]:9878")
    assert (config.broker_ip1, config.broker_ip2) == ("10.0.0.5", "10.0.0.5")
    assert config.is_slave
    assert config.broker_id == 7
    assert config.auto_create_topic_enable is False
    assert config.delete_when == (4, 16)
    assert config.store_path_commit_log == Path("/log")
    assert config.bind_address == ("10.0.0.5", "127.0.0.1")
    assert config.ha_master_address is None


def test_what_unknown_keys_were_meant_to_be_is_guessed_for_the_first_ones_only() -> None:
    problems = broker_problems({f"brokerNam{number}": "x" for number in range(200)})
    assert len(problems) == 200
    assert sum("did you mean 'brokerName'?" in problem for problem in problems) == 50


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("listenPort", "abc", "listenPort must be 1..65535, got 'abc'"),
        ("listenPort", "0", "listenPort must be 1..65535, got '0'"),
        ("listenPort", "", "listenPort must be 1..65535, got ''"),
        ("listenPort", "2", "listenPort must be 3..65534, got '2': the broker also listens 2 below"),
        (
            "maxMessageSize",
            "4k",
            "maxMessageSize must be 512..15728640 bytes, got '4k': plain integers only, write 4096",
        ),
        ("fileReservedTime", "2*24", "got '2*24': plain integers only, no units and no arithmetic"),
        ("maxMessageSize", "2147483648", "maxMessageSize must be 512..15728640 bytes, got '2147483648'"),
        ("traceOn", "yes", "traceOn must be true or false, got 'yes': Apache's nodes would take it as false"),
        ("brokerRole", "slave", "brokerRole must be one of ASYNC_MASTER, SYNC_MASTER, SLAVE, got 'slave': upper and"),
        ("flushDiskType", "SYNC", "flushDiskType must be one of SYNC_FLUSH, ASYNC_FLUSH, got 'SYNC'"),
        ("namesrvAddr", "10.0.0.1", "'10.0.0.1' has no port"),
        ("namesrvAddr", "10.0.0.1:99999", "port '99999' is not 1..65535"),
        ("namesrvAddr", "10.0.0.256:9876", "'10.0.0.256' is neither an IP address nor a host name"),
        ("namesrvAddr", "http://n:9876", "'http://n' is neither an IP address nor a host name"),
        ("namesrvAddr", ";", "namesrvAddr must be addresses host:port separated by ';', got ';'"),
        ("brokerIP1", "0.0.0.0", "clients cannot connect to that"),
        ("brokerIP1", "fe80::1", "an IPv6 address is written in brackets: [fe80::1]"),
        (
            "brokerIP1",
            "1.2.3.4 #change you own IP",
            "properties files have no inline comments, move '#change you own IP'",
        ),
        ("brokerIP1", "1.2.3.4#change", "properties files have no inline comments, '#' is part of the value"),
        ("brokerName", "a:b", "brokerName must be 1..127 characters out of"),
        ("deleteWhen", "24", "deleteWhen must be hours of the day 00..23"),
        ("messageDelayLevel", "1s 5x", "messageDelayLevel must be durations such as"),
        ("storePathRootDir", "~/store", "'~' and '$…' are not expanded, write the whole path"),
        ("storePathRootDir", "${user.home}/store", "'~' and '$…' are not expanded, write the whole path"),
        ("storePathCommitLog", "/a,/b", "storePathCommitLog must be one folder"),
        ("haListenPort", "31999", "haListenPort must be listenPort + 1 = 10912, got '31999'"),
        ("brokerIp1", "1.2.3.4", "unknown key 'brokerIp1': did you mean 'brokerIP1'?"),
        ("nameSrvAdr", "1.2.3.4:1", "unknown key 'nameSrvAdr': did you mean 'namesrvAddr'?"),
        ("quite.unlike", "1", "unknown key 'quite.unlike'"),
        ("kvConfigPath", "/x", "kvConfigPath is a key of the nameserver, not of the broker"),
        ("sendMessageThreadPoolNums", "many", "sendMessageThreadPoolNums must be"),
        ("warmMapedFileEnable", "1", "warmMapedFileEnable must be true or false"),
    ],
)
def test_a_bad_value_is_one_sentence_with_its_place(key: str, value: str, problem: str) -> None:
    problems = broker_problems({key: value})
    assert len(problems) == 1
    assert problems[0].startswith("broker.conf: ")
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aclEnable", "true"),
        ("authenticationEnabled", "TRUE"),
        ("tls.server.mode", "enforcing"),
        ("tls.enable", "true"),
        ("useTLS", "true"),
        ("enableDLegerCommitLog", "true"),
        ("enableControllerMode", "true"),
        ("enableConsumeQueueExt", "true"),
        ("duplicationEnable", "true"),
        ("inSyncReplicas", "2"),
        ("allAckInSyncStateSet", "true"),
        ("storeType", "defaultRocksDB"),
        ("readOnlyCommitLogStorePaths", "/old"),
        ("forceVerifyPropCRC", "true"),
    ],
)
def test_a_promise_of_safety_that_is_not_kept_refuses_the_start(key: str, value: str) -> None:
    (problem,) = broker_problems({key: value})
    assert problem.startswith(f"broker.conf: {key}={value} is refused: ")


def test_refused_keys_with_harmless_values_are_accepted_silently() -> None:
    harmless = {key: refusal.allowed[0] for key, refusal in key_table("broker").refused.items()}
    assert check_properties("broker", harmless, "broker.conf").notices == []
    assert check_properties("nameserver", {"tls.server.mode": "permissive"}, "n.conf").notices == []


def test_keys_without_effect_are_named_in_one_line() -> None:
    properties = {"sendMessageThreadPoolNums": "16", "transientStorePoolEnable": "true", "metricsExporterType": "PROM"}
    assert check_properties("broker", properties, "broker.conf").notices == [
        "broker.conf: no effect here: sendMessageThreadPoolNums, transientStorePoolEnable, metricsExporterType"
    ]


def test_all_problems_come_at_once_and_rules_about_bad_values_stay_silent() -> None:
    problems = broker_problems({"listenPort": "x", "haListenPort": "31999", "brokerRole": "SLAVE", "foo": "1"})
    assert [problem.split()[1] for problem in problems] == ["listenPort", "unknown", "brokerRole=SLAVE"]


def test_a_slave_needs_an_id_and_a_master_has_none() -> None:
    assert "above 0" in broker_problems({"brokerRole": "SLAVE"})[0]
    loaded = check_properties("broker", {"brokerId": "3"}, "broker.conf")
    assert loaded.config.broker_id == 0
    assert loaded.notices == ["broker.conf: brokerId=3 ignored: a master has id 0"]


def test_consume_queue_files_hold_whole_entries() -> None:
    loaded = check_properties("broker", {"mappedFileSizeConsumeQueue": "41"}, "broker.conf")
    assert loaded.config.mapped_file_size_consume_queue_bytes == 60
    assert "rounded up to 60" in loaded.notices[0]


def test_a_commit_log_folder_that_follows_from_the_root_is_said() -> None:
    loaded = check_properties("broker", {"storePathRootDir": "/s"}, "broker.conf")
    assert loaded.config.store_path_commit_log == Path("/s/commitlog")
    assert "/s/commitlog is used" in loaded.notices[0]


def test_the_key_classes_do_not_overlap_and_cover_4_5_2() -> None:
    for node in ("broker", "nameserver"):
        table = key_table(node)
        assert len(table.all_keys()) == len(set(table.all_keys()))
    known = set(key_table("broker").all_keys())
    assert {"rocketmqHome", "dLegerSelfId", "useEpollNativeSelector", "connectTimeoutMillis", "maxDelayTime"} <= known


ports = st.integers(3, 65534)
brokers = st.builds(
    BrokerConfig,
    listen_port=ports,
    broker_role=st.sampled_from([BrokerRole.ASYNC_MASTER, BrokerRole.SYNC_MASTER]),
    flush_disk_type=st.sampled_from(FlushDiskType),
    namesrv_addr=st.lists(ports.map(lambda port: f"10.0.0.1:{port}"), unique=True).map(tuple),
    delete_when=st.lists(st.integers(0, 23), min_size=1).map(tuple),
    trace_on=st.booleans(),
    region_id=st.text(st.characters(categories=["L", "N"])),
    broker_ip1=st.none() | st.just("10.0.0.5"),
)


@given(brokers)
def test_a_config_written_as_properties_reads_back_equal(config: BrokerConfig) -> None:
    loaded = check_properties("broker", config_properties(config), "broker.conf")
    assert loaded.config == config
    assert loaded.notices == []


def test_a_nameserver_config_written_as_properties_reads_back_equal() -> None:
    config = NameserverConfig(listen_port=19876, order_message_enable=True, kv_config_path=Path("/k.json"))
    assert check_properties("nameserver", config_properties(config), "n.conf").config == config


@given(st.sampled_from(key_table("broker").all_keys()), st.text())
def test_any_value_of_any_key_gives_a_config_or_a_config_error(key: str, value: str) -> None:
    with suppress(ConfigError):
        assert check_properties("broker", {key: value}, "broker.conf").config
