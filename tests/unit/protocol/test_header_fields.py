"""Custom headers: typed values to texts and back by Java's rules, for every header that the protocol has."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmqnode.protocol.errors import HeaderFieldError
from rmqnode.protocol.header_fields import Header, boolean_fields, header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.headers import (
    CreateTopicRequestHeader,
    GetRouteInfoRequestHeader,
    PullMessageResponseHeader,
    QueryConsumerOffsetRequestHeader,
    QueueRequestHeader,
    RegisterBrokerRequestHeader,
    SearchOffsetRequestHeader,
    SendMessageRequestHeaderV2,
    SendMessageResponseHeader,
    UnregisterClientRequestHeader,
)

AnyHeader = Callable[[type[Header]], st.SearchStrategy[Any]]
QUEUE = {"topic": "t", "queueId": "3"}


def test_the_protocol_has_the_headers_that_these_tests_are_about(header_types: list[type[Header]]) -> None:
    assert len(header_types) > 35


@given(data=st.data())
@settings(max_examples=15)
def test_every_header_round_trips(header_type: type[Header], any_header: AnyHeader, data: st.DataObject) -> None:
    header = data.draw(any_header(header_type))
    ext_fields = header_to_ext_fields(header)
    assert all(isinstance(value, str) for value in ext_fields.values())
    assert header_from_ext_fields(header_type, ext_fields) == header


@given(data=st.data())
@settings(max_examples=15)
def test_arbitrary_texts_give_a_header_or_name_the_field(header_type: type[Header], data: st.DataObject) -> None:
    names = header_type.__struct_encode_fields__
    texts = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys((*names, "other"), st.text(max_size=9))))
    problem = None
    try:
        header_from_ext_fields(header_type, texts)
    except HeaderFieldError as error:
        problem = error
    assert problem is None or problem.field in names


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("007", 7), ("+5", 5), ("-0", 0), ("-2147483648", -(2**31)), ("2147483647", 2**31 - 1), ("٣", 3)],
)
def test_an_int_is_read_as_java_reads_it(text: str, value: int) -> None:
    assert header_from_ext_fields(QueueRequestHeader, QUEUE | {"queueId": text}).queue_id == value


@pytest.mark.parametrize(
    "text", ["", " 5", "5 ", "5.0", "1e3", "0x10", "2147483648", "-2147483649", "+", "-", "1_000", "null", "NaN", "𝟗"]
)
def test_a_required_int_that_java_does_not_read_is_named(text: str) -> None:
    with pytest.raises(HeaderFieldError) as caught:
        header_from_ext_fields(QueueRequestHeader, QUEUE | {"queueId": text})
    assert str(caught.value) == f"QueueRequestHeader: field 'queueId' is not a decimal int: {text!r}"


def test_a_long_text_is_not_repeated_whole() -> None:
    with pytest.raises(HeaderFieldError) as caught:
        header_from_ext_fields(QueueRequestHeader, QUEUE | {"queueId": "x" * 100_000})
    assert len(str(caught.value)) < 200


def test_a_missing_required_field_is_named() -> None:
    with pytest.raises(HeaderFieldError, match="QueueRequestHeader: field 'queueId' is missing"):
        header_from_ext_fields(QueueRequestHeader, {"topic": "t"})


def test_longs_have_64_bits() -> None:
    fields = QUEUE | {"timestamp": "9223372036854775807"}
    assert header_from_ext_fields(SearchOffsetRequestHeader, fields).timestamp == 2**63 - 1
    with pytest.raises(HeaderFieldError, match="is not a decimal long"):
        header_from_ext_fields(SearchOffsetRequestHeader, QUEUE | {"timestamp": "9223372036854775808"})


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("TRUE", True), ("True", True), ("1", False), ("yes", False), ("", False)]
)
def test_a_boolean_is_read_as_java_reads_it(text: str, value: bool) -> None:
    header = header_from_ext_fields(GetRouteInfoRequestHeader, {"topic": "t", "acceptStandardJsonOnly": text})
    assert header.accept_standard_json_only is value


def test_an_optional_field_that_cannot_be_read_has_its_default() -> None:
    fields = dict.fromkeys("abcdefgh", "1") | {"j": "five"}
    assert header_from_ext_fields(SendMessageRequestHeaderV2, fields).reconsume_times is None
    fields = {"brokerName": "b", "brokerAddr": "a", "clusterName": "c", "haServerAddr": "h", "brokerId": "0"}
    assert header_from_ext_fields(RegisterBrokerRequestHeader, fields | {"bodyCrc32": "x"}).body_crc32 == 0


def test_fields_that_are_none_are_left_out_and_booleans_are_javas_words() -> None:
    header = SendMessageResponseHeader(queue_id=1, msg_region="DefaultRegion", trace_on=True)
    assert header_to_ext_fields(header) == {"queueId": "1", "MSG_REGION": "DefaultRegion", "TRACE_ON": "true"}
    header = SendMessageResponseHeader(msg_region="r", trace_on=False)
    assert header_to_ext_fields(header) == {"MSG_REGION": "r", "TRACE_ON": "false"}


def test_numbers_are_written_in_decimal() -> None:
    header = PullMessageResponseHeader(0, -1, 2**63 - 1, 7)
    assert header_to_ext_fields(header) == {
        "suggestWhichBrokerId": "0",
        "nextBeginOffset": "-1",
        "minOffset": "9223372036854775807",
        "maxOffset": "7",
    }


@pytest.mark.parametrize(
    ("header_type", "names"),
    [
        (SendMessageRequestHeaderV2, tuple("abcdefghijklm")),
        (UnregisterClientRequestHeader, ("clientID", "producerGroup", "consumerGroup")),
        (
            CreateTopicRequestHeader,
            (
                "topic",
                "defaultTopic",
                "readQueueNums",
                "writeQueueNums",
                "perm",
                "topicFilterType",
                "topicSysFlag",
                "order",
            ),
        ),
    ],
)
def test_wire_names_are_apaches(header_type: type[Header], names: tuple[str, ...]) -> None:
    assert header_type.__struct_encode_fields__ == names


def test_boolean_fields_are_known_by_name() -> None:
    assert boolean_fields(SendMessageRequestHeaderV2) == ("unit_mode", "batch")
    assert boolean_fields(QueryConsumerOffsetRequestHeader) == ("set_zero_if_not_found",)
    assert boolean_fields(QueueRequestHeader) == ()
