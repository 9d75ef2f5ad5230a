"""Changing the configuration of a running broker, and what is left of it after a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmqnode.config import config_properties, load_broker_config, overlay_path, parse_properties, read_overlay
from rmqnode.protocol.bodies import DataVersion, TopicConfig
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
    assert update(rig, "maxMessageSize=1000\nsendThreadPoolQueueCapacity=77")[0] == ResponseCode.SUCCESS
    assert rig.broker.config.max_message_size_bytes == 4 * 1024 * 1024
    assert read_overlay(conf) == {"maxMessageSize": "1000", "sendThreadPoolQueueCapacity": "77"}
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
        ("aclEnable=true", ResponseCode.SYSTEM_ERROR, "aclEnable=true is refused"),
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


def test_an_overlay_that_cannot_be_read_stops_the_start(conf: Path) -> None:
    overlay_path(conf).write_text("traceOn=maybe\n")
    with pytest.raises(Exception, match=r"broker\.overlay\.conf:1: traceOn must be true or false"):
        load_broker_config(conf)


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
