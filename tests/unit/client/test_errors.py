"""The sentences of client errors: who, what, why, what to do."""

import pytest

from rmqctl.client.errors import (
    BrokerUnreachable,
    NameserverUnreachable,
    RequestRefused,
    RequestTimedOut,
    TopicNotFound,
    first_line,
)
from rmqctl.errors import ExitCode
from rmqnode.protocol.codes import ResponseCode


def test_a_refusal_names_server_request_topic_code_remark_cause_and_cure() -> None:
    remark = "service not available now, maybe disk full, CL: 0.91\nSee http://example.invalid/faq for further details."
    error = RequestRefused("broker-a", "10.0.0.1:10911", 310, 14, remark, "orders")
    assert error.what == (
        "broker-a at 10.0.0.1:10911 answered SEND_MESSAGE_V2 (310) for topic orders with SERVICE_NOT_AVAILABLE (14)"
    )
    assert error.why == (
        "service not available now, maybe disk full, CL: 0.91; "
        "the broker takes no writes now: it is a slave, it is shutting down, or its disk is full"
    )
    assert error.cure
    assert error.exit_code == ExitCode.REFUSED


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (ResponseCode.SYSTEM_BUSY, "sheds load"),
        (ResponseCode.SUBSCRIPTION_NOT_EXIST, "no member of the group subscribes"),
        (ResponseCode.CONSUMER_NOT_ONLINE, "no such consumer is connected"),
        (ResponseCode.FLOW_CONTROL, "slows its clients down"),
        (ResponseCode.GO_AWAY, "is shutting down"),
    ],
)
def test_a_code_that_says_little_is_explained_with_what_to_do(code: ResponseCode, cause: str) -> None:
    error = RequestRefused("broker-a", "10.0.0.1:10911", 310, code, None)
    assert code.name in error.what
    assert cause in (error.why or "")
    assert error.cure


def test_every_error_about_a_broker_names_the_topic() -> None:
    refused = RequestRefused("broker-a", "a:1", 310, 14, None, "orders")
    gone = BrokerUnreachable("broker-a", "a:1", 310, "refused", "orders", maybe_done=False)
    late = RequestTimedOut("broker-a", "a:1", 310, 3, "orders")
    for error in (refused, gone, late):
        assert "broker-a at a:1" in error.what
        assert "SEND_MESSAGE_V2 (310) for topic orders" in error.what
        assert error.topic == "orders"


def test_an_unknown_code_without_a_remark_is_still_a_sentence() -> None:
    error = RequestRefused("nameserver", "127.0.0.1:9876", 4711, 999, None)
    assert error.what == "nameserver at 127.0.0.1:9876 answered request 4711 with response 999"
    assert error.why is None


def test_a_message_that_is_too_large_is_not_told_the_limit_that_apaches_remark_has_wrong() -> None:
    remark = "the message is illegal, maybe msg body or properties length not matched. msg body length limit 128k"
    error = RequestRefused("broker-a", "10.0.0.1:10911", 310, ResponseCode.MESSAGE_ILLEGAL, remark, "orders")
    assert error.why == "the message or its properties are too large, or the topic name is too long"
    assert "maxMessageSize (4 MiB)" in (error.cure or "")


def test_unreachable_nameservers_are_all_named_with_their_reasons() -> None:
    error = NameserverUnreachable({"a:1": "a:1: refused", "b:2": "b:2: no answer within 3 s"})
    assert error.what == "no answer from nameserver a:1 or b:2"
    assert error.why == "a:1: refused\nb:2: no answer within 3 s"
    assert error.exit_code == ExitCode.UNREACHABLE


def test_only_a_request_that_may_have_left_warns_against_repeating_it() -> None:
    sent = BrokerUnreachable("broker-a", "a:1", 310, "a:1: the peer closed it", maybe_done=True)
    not_sent = BrokerUnreachable("broker-a", "a:1", 310, "a:1: refused", maybe_done=False)
    assert "before you repeat" in (sent.cure or "")
    assert "before you repeat" not in (not_sent.cure or "")
    assert "brokerIP1" in (not_sent.cure or "")


def test_a_timeout_has_its_own_exit_code_and_does_not_claim_failure() -> None:
    error = RequestTimedOut("broker-a", "a:1", 310, 3)
    assert error.what == "broker-a at a:1 did not answer SEND_MESSAGE_V2 (310) within 3 s"
    assert error.exit_code == ExitCode.TIMEOUT
    assert "may have been carried out" in (error.cure or "")


def test_a_topic_without_a_route_says_how_to_create_it() -> None:
    error = TopicNotFound("orders", ("a:1", "b:2"))
    assert error.what == "topic orders has no route"
    assert "as far as a:1 and b:2 know" in (error.why or "")
    assert "rmqctl topic create orders" in (error.cure or "")


def test_the_first_line_of_a_remark_leaves_the_rest_out() -> None:
    assert first_line("a\nb") == "a"
    assert first_line(" \n ") is None
    assert first_line(None) is None
