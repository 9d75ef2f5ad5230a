"""Changing the configuration of a running broker, and what is left of it after a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmqnode.config import (
    ConfigError,
    check_properties,
    config_properties,
    load_broker_config,
    masked_properties,
    overlay_path,
    parse_properties,
    read_overlay,
    read_refused,
    refused_path,
)
from rmqnode.config_changes import keep_set_aside
from rmqnode.protocol.bodies import DataVersion, KVTable, TopicConfig
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.frame import Serialization

UPDATE = RequestCode.UPDATE_BROKER_CONFIG


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The file that the broker was started with."""
    path = tmp_path / "broker.conf"
    path.write_text("# mine\nbrokerName=broker-a\nslaveReadEnable=false\nsendThreadPoolQueueCapacity=9\n")
    return path


@pytest.fixture
def rig(make_rig: Callable[..., Any], conf: Path) -> Any:
    return make_rig(broker_config_path=conf)


def update(rig: Any, text: str) -> Any:
    """Update; gives code and remark, also of a change that waits for the nameservers."""
    outcome = rig.ask(UPDATE, body=text.encode())
    reply = getattr(outcome, "reply", outcome)
    return reply.code, reply.remark


def shown(rig: Any) -> dict[str, str]:
    reply = rig.ask(RequestCode.GET_BROKER_CONFIG)
    return parse_properties(reply.body).as_mapping()


def test_a_broker_shows_its_configuration_with_a_version(rig: Any, conf: Path) -> None:
    reply = rig.ask(RequestCode.GET_BROKER_CONFIG)
    assert DataVersion.decode(reply.header.version) == DataVersion(timestamp=rig.clock.now_ms, counter=0)
    assert shown(rig) == config_properties(rig.config)
    assert (shown(rig)["brokerName"], shown(rig)["brokerConfigPath"]) == ("broker-a", str(conf))
    rig.clock.now_ms += 5
    update(rig, "traceOn=false")
    reply = rig.ask(RequestCode.GET_BROKER_CONFIG)
    assert DataVersion.decode(reply.header.version) == DataVersion(timestamp=rig.clock.now_ms, counter=1)


def test_the_next_answer_to_a_send_follows_the_change(rig: Any) -> None:
    assert b'"MSG_REGION":"DefaultRegion","TRACE_ON":"true"' in rig.send().frame(Serialization.JSON, 1)
    update(rig, "traceOn=false\nregionId=Mars")
    assert b'"MSG_REGION":"Mars","TRACE_ON":"false"' in rig.send().frame(Serialization.JSON, 2)


def test_a_change_counts_at_once_and_survives_in_a_file_of_its_own(rig: Any, conf: Path) -> None:
    before = conf.read_text()
    assert update(rig, "slaveReadEnable=TRUE\n") == (ResponseCode.SUCCESS, None)
    assert rig.broker.config.slave_read_enable is True
    assert shown(rig)["slaveReadEnable"] == "true"
    assert conf.read_text() == before
    assert read_overlay(conf) == {"slaveReadEnable": "true"}
    loaded = load_broker_config(conf)
    assert loaded.config.slave_read_enable is True
    assert f"{overlay_path(conf)}: changed while the broker ran, and kept: slaveReadEnable=true" in loaded.notices


def test_a_key_that_is_read_at_the_start_counts_from_the_next_one(rig: Any, conf: Path) -> None:
    assert update(rig, "maxMessageSize=1000\nmaxErrorRateOfBloomFilter=10")[0] == ResponseCode.SUCCESS
    assert rig.broker.config.max_message_size_bytes == 4 * 1024 * 1024
    assert read_overlay(conf) == {"maxMessageSize": "1000", "maxErrorRateOfBloomFilter": "10"}
    assert load_broker_config(conf).config.max_message_size_bytes == 1000
    assert update(rig, "maxMessageSize=1000")[0] == ResponseCode.SUCCESS


def test_setting_a_key_back_ends_the_change(rig: Any, conf: Path) -> None:
    update(rig, "slaveReadEnable=true\ntraceOn=false")
    update(rig, "slaveReadEnable=false")
    assert read_overlay(conf) == {"traceOn": "false"}
    assert rig.broker.config.slave_read_enable is False


def test_sending_the_whole_configuration_back_is_no_change(rig: Any, conf: Path) -> None:
    text = rig.ask(RequestCode.GET_BROKER_CONFIG).body.decode()
    assert update(rig, text) == (ResponseCode.SUCCESS, None)
    assert update(rig, "") == (ResponseCode.SUCCESS, None)
    assert not overlay_path(conf).exists()


@pytest.mark.parametrize(
    ("text", "code", "remark"),
    [
        ("listenPort=12345", ResponseCode.NO_PERMISSION, "listenPort"),
        (
            "brokerRole=SYNC_MASTER\ntraceOn=false",
            ResponseCode.NO_PERMISSION,
            "brokerRole cannot be changed",
        ),
        ("storePathRootDir=/etc", ResponseCode.NO_PERMISSION, "storePathRootDir"),
        ("slaveReadEnabled=true", ResponseCode.SYSTEM_ERROR, "did you mean 'slaveReadEnable'?"),
        ("traceOn=maybe", ResponseCode.SYSTEM_ERROR, "traceOn must be true or false"),
        ("aclEnable=true", ResponseCode.NO_PERMISSION, "aclEnable cannot be changed over the network"),
        ("aclEnable=false", ResponseCode.NO_PERMISSION, "aclEnable cannot be changed over the network"),
        ("maxMessageSize=2147483647", ResponseCode.SYSTEM_ERROR, "maxMessageSize must be 512..15728640 bytes"),
        (
            "flushDiskType=SYNC_FLUSH\nsendThreadPoolQueueCapacity=0",
            ResponseCode.NO_PERMISSION,
            "sendThreadPoolQueueCapacity cannot be changed",
        ),
        (
            "filterServerNums=1\nrocketmqHome=-c $@|sh . echo x",
            ResponseCode.NO_PERMISSION,
            "filterServerNums, rocketmqHome cannot be changed",
        ),
        ("namesrvAddr=10.6.6.6:9876", ResponseCode.NO_PERMISSION, "namesrvAddr cannot be changed"),
        ("initAuthenticationUser={}", ResponseCode.NO_PERMISSION, "initAuthenticationUser cannot be changed"),
        ("haSendHeartbeatInterval=20000", ResponseCode.SYSTEM_ERROR, "before its next sign of life"),
        ("regionId=a\\nbrokerName=x", ResponseCode.SYSTEM_ERROR, "regionId must not contain control characters"),
        ("regionId=a\\u0085x", ResponseCode.SYSTEM_ERROR, "regionId must not contain control characters"),
        ("noSuchListener\\n=1", ResponseCode.NO_PERMISSION, "noSuchListener\\n cannot be changed"),
        ("traceOn=false\nregionId=\\u12", ResponseCode.SYSTEM_ERROR, "\\u must be followed by four"),
    ],
)
def test_a_change_that_is_not_possible_changes_nothing(rig: Any, conf: Path, text: str, code: int, remark: str) -> None:
    got, said = update(rig, text)
    assert got == code
    assert remark in said
    assert rig.broker.config == rig.config
    assert not overlay_path(conf).exists()


def test_a_change_that_cannot_be_kept_is_refused(rig: Any, conf: Path) -> None:
    overlay_path(conf).mkdir()
    code, remark = update(rig, "traceOn=false")
    assert code == ResponseCode.SYSTEM_ERROR
    assert "not changed" in remark
    assert rig.broker.config.trace_on is True


def test_a_broker_without_a_file_keeps_changes_with_its_tables(make_rig: Callable[..., Any]) -> None:
    rig = make_rig()
    assert update(rig, "traceOn=false")[0] == ResponseCode.SUCCESS
    path = rig.config.store_path_root_dir / "config" / "broker.overlay.conf"
    assert parse_properties(path.read_bytes()).as_mapping() == {"traceOn": "false"}


def test_a_change_is_held_against_the_file_as_it_is_now(rig: Any, conf: Path) -> None:
    conf.write_text(conf.read_text() + "mappedFileSizeCommitLog=1048576\nmaxMessageSize=65536\n")
    code, remark = update(rig, "maxMessageSize=2097152")
    assert code == ResponseCode.SYSTEM_ERROR
    assert "does not fit into a commit log file of mappedFileSizeCommitLog=1048576 bytes" in remark
    assert not overlay_path(conf).exists()


def test_a_start_sets_aside_what_it_cannot_take_from_an_overlay_and_keeps_the_rest(conf: Path) -> None:
    overlay_path(conf).write_text(
        "traceOn=maybe\nmaxMessageSize=2147483647\nslaveReadEnable=true\naclEnable=false\n"
        "filterServerNums=1\nhaHousekeepingInterval=1000\nnoSuchKey=1\n"
    )
    loaded = load_broker_config(conf)
    assert loaded.config == load_broker_config(conf, overlay={"slaveReadEnable": "true"}).config
    assert [each.key for each in loaded.set_aside] == [
        *("traceOn", "maxMessageSize", "aclEnable", "filterServerNums", "noSuchKey", "haHousekeepingInterval")
    ]
    assert "broker.overlay.conf:1: traceOn must be true or false" in loaded.set_aside[0].reason
    assert any("set aside, without effect" in notice and "traceOn" in notice for notice in loaded.notices)
    keep_set_aside(conf, loaded.set_aside)
    assert read_overlay(conf) == {"slaveReadEnable": "true"}
    assert read_refused(conf)["maxMessageSize"] == "2147483647"
    assert "# " in refused_path(conf).read_text()
    assert load_broker_config(conf).set_aside == []


def test_an_overlay_that_is_no_text_is_kept_as_it_is_and_stops_no_start(conf: Path) -> None:
    content = b"slaveReadEnable=true\0\n"
    overlay_path(conf).write_bytes(content)
    loaded = load_broker_config(conf)
    assert loaded.config.slave_read_enable is False
    keep_set_aside(conf, loaded.set_aside)
    assert (conf.parent / "broker.overlay.conf.refused.original").read_bytes() == content
    assert load_broker_config(conf).set_aside == []


def test_a_broker_says_which_keys_were_set_aside_until_they_are_set_anew_or_the_file_is_deleted(
    make_rig: Callable[..., Any], conf: Path
) -> None:
    overlay_path(conf).write_text("maxMessageSize=1\naclEnable=false\n")
    keep_set_aside(conf, load_broker_config(conf).set_aside)
    rig = make_rig(broker_config_path=conf)

    def said() -> str | None:
        body = rig.ask(RequestCode.GET_BROKER_RUNTIME_INFO).body
        found: str | None = KVTable.decode(body).table.get("limited.configuration")
        return found

    assert "set aside from the overlay, because a start cannot take it: maxMessageSize, aclEnable" in str(said())
    assert update(rig, "maxMessageSize=4096")[0] == ResponseCode.SUCCESS
    assert "aclEnable (why:" in str(said())
    refused_path(conf).unlink()
    assert said() is None


def test_secrets_are_never_answered(rig: Any) -> None:
    assert masked_properties(
        {"objectStoreSecretKey": "x", "initAuthenticationUser": "y", "a.passWord": "z", "b": "w"}
    ) == {
        "objectStoreSecretKey": "***",
        "initAuthenticationUser": "***",
        "a.passWord": "***",
        "b": "w",
    }
    with pytest.raises(ConfigError) as caught:
        check_properties("broker", {"objectStoreSecretKey": "hush\n"}, "x")
    assert "hush" not in str(caught.value)


def test_a_changed_permission_reaches_the_nameservers(rig: Any) -> None:
    rig.create_topic("t")
    version = rig.broker.topics.data_version
    assert update(rig, "brokerPermission=4")[0] == ResponseCode.SUCCESS
    assert rig.broker.topics.data_version.counter == version.counter + 1
    announced = rig.broker.registration._announced_topics()
    assert announced.topic_config_table["t"].perm == 4
    assert rig.broker.topics.get("t").perm == 6


def test_sends_create_topics_as_the_configuration_says_now(rig: Any) -> None:
    assert update(rig, "autoCreateTopicEnable=false")[0] == ResponseCode.SUCCESS
    assert rig.send("new").code == ResponseCode.TOPIC_NOT_EXIST
    assert update(rig, "autoCreateTopicEnable=true")[0] == ResponseCode.SUCCESS
    assert rig.send("new").code == ResponseCode.SUCCESS


def test_a_template_from_earlier_creates_nothing_where_that_is_switched_off(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(auto_create_topic_enable=False)
    rig.broker.topics.put(TopicConfig(topic_name="TBW102", read_queue_nums=4, write_queue_nums=4, perm=7))
    assert rig.send("new").code == ResponseCode.TOPIC_NOT_EXIST


def test_groups_are_created_as_the_configuration_says_now(rig: Any) -> None:
    assert update(rig, "autoCreateSubscriptionGroup=false")[0] == ResponseCode.SUCCESS
    rig.create_topic("t")
    assert rig.pull().code == ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST


def test_old_files_go_as_the_configuration_says_now(rig: Any) -> None:
    assert update(rig, "fileReservedTime=1\ndeleteWhen=02;03\ndiskMaxUsedSpaceRatio=60")[0] == ResponseCode.SUCCESS
    options = rig.store.cleaner._options
    assert (options.file_reserved_time_hours, options.delete_when) == (1, (2, 3))
    assert options.disk_max_used_space_ratio == 60
