"""An expression that does not compile is refused from memory, again and again, and nothing grows with it."""

import gc
import tracemalloc
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import pytest

from rmqnode.broker.filters.compiled import CompiledFilters
from rmqnode.filter import InvalidExpression, UnknownExpressionType
from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.errors import FrameTooLarge, fresh
from rmqnode.protocol.frame import FrameDecoder

REPEATS = 10_000


def kept_frames() -> int:
    gc.collect()
    return sum(isinstance(each, FrameType | TracebackType) for each in gc.get_objects())


def test_a_wrong_expression_pulled_ten_thousand_times_leaves_no_tracebacks_and_no_memory(
    make_rig: Callable[..., Any],
) -> None:
    rig = make_rig(enable_property_filter=True)
    rig.create_topic()

    def pull() -> None:
        reply = rig.pull(subscription="a > > 5", expression_type="SQL92", sys_flag=4)
        assert reply.code == ResponseCode.SUBSCRIPTION_PARSE_FAILED
        assert "line 1, column 5" in reply.remark

    for _ in range(100):
        pull()
    frames = kept_frames()
    tracemalloc.start()
    try:
        for _ in range(REPEATS):
            pull()
        gc.collect()
        grown_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_frames() <= frames + 10
    assert grown_bytes < 100_000


@pytest.mark.parametrize(("kind", "error"), [("SQL92", InvalidExpression), ("SQL93", UnknownExpressionType)])
def test_each_refusal_is_another_exception_with_the_same_sentence(kind: str, error: type[Exception]) -> None:
    filters = CompiledFilters()
    raised = []
    for _ in range(3):
        with pytest.raises(error) as caught:
            filters.get(kind, "a >")
        raised.append(caught.value)
    assert len({id(each) for each in raised}) == 3
    assert len({str(each) for each in raised}) == 1
    assert vars(raised[0]) == vars(raised[2])


def test_a_decoder_refuses_each_time_with_another_exception() -> None:
    decoder = FrameDecoder(100)
    raised = []
    for _ in range(3):
        with pytest.raises(FrameTooLarge) as caught:
            decoder.feed(b"\x00\x01\x00\x00\x00\x00\x00\x10")
        raised.append(caught.value)
    assert len({id(each) for each in raised}) == 3
    assert raised[2].limit_bytes == 100


def test_a_fresh_exception_has_the_values_and_neither_traceback_nor_context() -> None:
    try:
        try:
            raise ValueError("first")
        except ValueError:
            raise FrameTooLarge(5, 4)  # noqa: B904
    except FrameTooLarge as error:
        again = fresh(error)
    assert (type(again), again.size_bytes, str(again)) == (FrameTooLarge, 5, str(FrameTooLarge(5, 4)))
    assert again.__traceback__ is None
    assert again.__context__ is None
