import zlib
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol import bodies, fastjson
from rmqnode.protocol.bodies import (
    ConsumerConnection,
    ConsumeType,
    DataVersion,
    HeartbeatData,
    MalformedRegistration,
    MessageModel,
    MessageQueue,
    QueueData,
    RegisterBrokerBody,
    SubscriptionData,
    SubscriptionGroupConfig,
    TopicConfig,
    TopicConfigSerializeWrapper,
    TopicFilterType,
    TopicRouteData,
    TopicStatsTable,
    decode_compressed_registration,
)
from rmqnode.protocol.codes import LanguageCode
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.fastjson import FastjsonError

GOLDEN = Path(__file__).parents[2] / "golden" / "fastjson"

WRITTEN_BY_JAVA = {
    "check_client": bodies.CheckClientRequestBody,
    "cluster_info": bodies.ClusterInfo,
    "consume_stats": bodies.ConsumeStats,
    "consumer_connection": bodies.ConsumerConnection,
    "consumer_list": bodies.GetConsumerListByGroupResponseBody,
    "consumer_offsets": bodies.ConsumerOffsetSerializeWrapper,
    "delay_offsets": bodies.DelayOffsetSerializeWrapper,
    "group_list": bodies.GroupList,
    "heartbeat": bodies.HeartbeatData,
    "kv_config": bodies.KVConfigSerializeWrapper,
    "kv_table": bodies.KVTable,
    "lock_batch": bodies.LockBatchRequestBody,
    "lock_batch_response": bodies.LockBatchResponseBody,
    "offset_moved_event": bodies.OffsetMovedEvent,
    "producer_connection": bodies.ProducerConnection,
    "register_broker": bodies.RegisterBrokerBody,
    "subscription_groups": bodies.SubscriptionGroupWrapper,
    "topic_list": bodies.TopicList,
    "topic_stats": bodies.TopicStatsTable,
    "topics": bodies.TopicConfigSerializeWrapper,
    "topics_empty": bodies.TopicConfigSerializeWrapper,
}
ALL_BODIES = sorted(
    (body for body in vars(bodies).values() if isinstance(body, type) and issubclass(body, bodies.Body)),
    key=lambda body: body.__name__,
)


@pytest.mark.parametrize(("name", "body"), WRITTEN_BY_JAVA.items())
def test_body_written_by_java_is_read_and_written_byte_for_byte(name, body):
    text = (GOLDEN / f"{name}.compact.json").read_bytes()
    assert fastjson.dumps(body.decode(text), bare_keys=True) == text


@pytest.mark.parametrize("name", [name for name in WRITTEN_BY_JAVA if (GOLDEN / f"{name}.pretty.json").exists()])
def test_config_file_written_by_java_is_read_and_written_byte_for_byte(name):
    text = (GOLDEN / f"{name}.pretty.json").read_bytes()
    assert fastjson.dumps(WRITTEN_BY_JAVA[name].decode(text), pretty=True) == text


def test_route_written_by_java_gets_the_flag_under_its_new_name_too():
    text = (GOLDEN / "topic_route.compact.json").read_bytes()
    expected = text.replace(b'"topicSynFlag":0', b'"topicSynFlag":0,"topicSysFlag":0')
    assert fastjson.dumps(TopicRouteData.decode(text), bare_keys=True) == expected


def test_a_body_without_any_value_is_written_as_java_writes_it():
    class ProducerData(msgspec.Struct):
        group_name: str | None = None

    assert fastjson.dumps(ProducerData()) == (GOLDEN / "nothing_set.compact.json").read_bytes()
    assert fastjson.dumps(ProducerData(), pretty=True) == (GOLDEN / "nothing_set.pretty.json").read_bytes()


@pytest.mark.parametrize("body", ALL_BODIES)
def test_missing_members_have_defaults_and_unknown_ones_are_ignored(body):
    assert body.decode(b"{}") == body() == body.decode(b'{"unknown":{"a":[1]},1:2}')


@pytest.mark.parametrize("body", ALL_BODIES)
def test_bodies_have_no_blanks_and_come_back(body):
    text = body().encode()
    assert b" " not in text
    assert body.decode(text) == body()


@pytest.mark.parametrize("body", ALL_BODIES)
@given(data=st.binary(max_size=80) | st.text(st.sampled_from("{}[]:,'\"01 atopicNmeSet"), max_size=60))
def test_any_bytes_are_a_body_or_a_protocol_error(body, data):
    with suppress(ProtocolError):
        body.decode(data)


@given(st.sampled_from(sorted(WRITTEN_BY_JAVA.items())), st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_gives_a_body_or_a_protocol_error(named, position, byte):
    name, body = named
    text = bytearray((GOLDEN / f"{name}.compact.json").read_bytes())
    text[position % len(text)] = byte
    with suppress(ProtocolError):
        body.decode(text).encode()


def test_defaults_are_javas():
    assert TopicConfig(topic_name="T").encode() == (
        b'{"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG",'
        b'"topicName":"T","topicSysFlag":0,"writeQueueNums":16}'
    )
    assert SubscriptionGroupConfig(group_name="G").encode() == (
        b'{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,'
        b'"groupName":"G","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,'
        b'"whichBrokerWhenConsumeSlowly":1}'
    )


@pytest.mark.parametrize("text", [b'{"topicSynFlag":3}', b'{"topicSysFlag":3}', b'{"topicSynFlag":1,"topicSysFlag":3}'])
def test_queue_data_reads_either_name_of_the_flag_and_writes_both(text):
    queue_data = QueueData.decode(text)
    assert queue_data.topic_sys_flag == 3
    assert b'"topicSynFlag":3,"topicSysFlag":3' in queue_data.encode()


def test_numbers_as_texts_and_texts_as_numbers_are_accepted():
    topic = TopicConfig.decode(b'{"topicName":7,"perm":"4","order":"true"}')
    assert topic == TopicConfig(topic_name="7", perm=4, order=True)
    assert DataVersion.decode(b'{"counter":"7"}').counter == 7


def test_enums_are_read_by_name_and_by_ordinal():
    by_ordinal = b'{"consumerDataSet":[{"consumeType":1,"messageModel":0,"groupName":"G"}]}'
    (consumer,) = HeartbeatData.decode(by_ordinal).consumer_data_set
    assert consumer.consume_type is ConsumeType.CONSUME_PASSIVELY
    assert consumer.message_model is MessageModel.BROADCASTING
    connection = ConsumerConnection.decode(b'{"connectionSet":[{"language":"GO"},{"language":3}]}').connection_set
    assert [peer.language for peer in connection] == [LanguageCode.GO, LanguageCode.PYTHON]


@pytest.mark.parametrize("value", [b'"THREE_TAGS"', b"99", b"-1", b"null", b"[]"])
def test_an_unknown_enum_is_the_default(value):
    topic = TopicConfig.decode(b'{"topicName":"T","topicFilterType":' + value + b"}")
    assert topic.topic_filter_type is TopicFilterType.SINGLE_TAG


def test_null_is_the_default():
    text = b'{"topic":null,"tagsSet":null,"codeSet":[1,null],"subVersion":null,"subString":null}'
    assert SubscriptionData.decode(text) == SubscriptionData(code_set=[1])
    assert TopicConfigSerializeWrapper.decode(b'{"topicConfigTable":null,"dataVersion":null}') == (
        TopicConfigSerializeWrapper()
    )
    assert TopicConfigSerializeWrapper.decode(b'{"topicConfigTable":{"T":null}}').topic_config_table == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"perm":2147483648}', "perm"),
        (b'{"perm":"six"}', "perm"),
        (b'{"topicName":[1]}', "topicName"),
        (b"[]", "object"),
        (b"null", "object"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_body_and_member(text, place):
    with pytest.raises(FastjsonError, match=f"(?s)TopicConfig: .*{place}"):
        TopicConfig.decode(text)


def test_maps_with_queues_as_keys_are_read_from_any_order_of_members():
    text = b'{"offsetTable":{{"topic":"T","queueId":"2","brokerName":"b"}:{"maxOffset":9}}}'
    table = TopicStatsTable.decode(text).offset_table
    assert table[MessageQueue(topic="T", broker_name="b", queue_id=2)].max_offset == 9


def test_a_map_with_queues_as_escaped_texts_is_refused():
    with pytest.raises(FastjsonError, match="TopicStatsTable"):
        TopicStatsTable.decode(b'{"offsetTable":{"{\\"topic\\":\\"T\\"}":{"maxOffset":9}}}')


def test_queues_are_sorted_by_topic_broker_and_id():
    queues = [
        MessageQueue(topic=topic, broker_name=broker, queue_id=i) for topic in "ab" for broker in "xy" for i in (1, 2)
    ]
    assert sorted(queues) == queues


def test_next_version_counts_and_takes_the_time():
    assert DataVersion(timestamp=5, counter=7).next_version(9) == DataVersion(timestamp=9, counter=8)


def test_compressed_registration_of_java_is_read():
    plain = RegisterBrokerBody.decode((GOLDEN / "register_broker.compact.json").read_bytes())
    assert decode_compressed_registration((GOLDEN / "register_broker.compressed.bin").read_bytes()) == plain


def compressed_registration(*topic_lines, rest=b""):
    def text(content):
        return len(content).to_bytes(4) + content

    topics = len(topic_lines).to_bytes(4) + b"".join(map(text, topic_lines))
    return zlib.compress(text(b'{"counter":1,"timestamp":2}') + topics + text(b'["1.2.3.4:5"]') + rest)


def test_compressed_registration_of_a_5x_broker_is_read():
    data = compressed_registration(
        b'T 4 8 6 MULTI_TAG {"+queue.type": "BatchCQ"}', b"U 1 1 2 SINGLE_TAG", rest=bytes(4)
    )
    body = decode_compressed_registration(data)
    assert body.filter_server_list == ["1.2.3.4:5"]
    table = body.topic_config_serialize_wrapper.topic_config_table
    assert table["T"] == TopicConfig(
        topic_name="T", read_queue_nums=4, write_queue_nums=8, perm=6, topic_filter_type=TopicFilterType.MULTI_TAG
    )
    assert table["U"].perm == 2


@pytest.mark.parametrize("line", [b"", b"T", b"T 4 8 6", b"T 4 8 six SINGLE_TAG", b"T 4 8 6 NO_TAG"])
def test_compressed_registration_with_a_wrong_topic_line_is_refused(line):
    with pytest.raises(MalformedRegistration, match="wrong topic line"):
        decode_compressed_registration(compressed_registration(line))


def test_compressed_registration_cut_anywhere_is_refused():
    inflated = zlib.decompress((GOLDEN / "register_broker.compressed.bin").read_bytes())
    for end in range(len(inflated)):
        with pytest.raises(ProtocolError):
            decode_compressed_registration(zlib.compress(inflated[:end]))


def test_compressed_registration_that_inflates_beyond_the_limit_is_refused():
    with pytest.raises(MalformedRegistration, match="above"):
        decode_compressed_registration(zlib.compress(bytes(65 * 1024 * 1024), 9))


@given(st.binary(max_size=60))
def test_random_bytes_are_a_registration_or_a_protocol_error(data):
    for candidate in (data, zlib.compress(data)):
        with suppress(ProtocolError):
            decode_compressed_registration(candidate)
