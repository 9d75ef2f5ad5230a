"""Message traces: what clients with trace switched on write about the sending and consuming of each message.

    contexts, each ended by 0x02; its fields separated by 0x01; the first one names its kind:
    Pub             time, region, group, topic, message id, tag, keys, store host, body length, cost, message type,
                    offset message id, success; since 4.9 client host
    SubBefore       time, region, group, request id, message id, redeliveries, keys
    SubAfter        request id, message id, cost, success, keys, code; since 4.9 time, group
    EndTransaction  time, region, group, topic, message id, tag, keys, store host, message type, transaction id, state,
                    whether it answers a check; since 4.9

Source: `TraceDataEncoder` (RocketMQ 4.5.2, 4.9.7). No I/O.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

TRACE_TOPIC: Final = "RMQ_SYS_TRACE_TOPIC"

_CONTEXT_END: Final = "\x02"
_FIELD_END: Final = "\x01"

_MESSAGE_TYPES: Final = ("normal", "half", "committed", "delayed")
"""`MessageType` in Java's order."""

_RESULTS: Final = ("success", "timeout", "exception", "returned null", "failed")
"""`ConsumeReturnType` in Java's order."""


class TraceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a client did with a message. Its members are JSON of `rmqctl message trace --json`."""

    kind: str
    """`sent`, `consuming`, `consumed` or `transaction`."""
    message_id: str
    timestamp: int | None
    """Of the client's clock, ms of the epoch; None when it did not say (`consumed`, before 4.9)."""
    group: str | None
    success: bool | None = None
    cost_ms: int | None = None
    result: str | None = None
    """How consuming or the transaction ended, in a word."""
    topic: str | None = None
    tag: str | None = None
    keys: tuple[str, ...] = ()
    client_host: str | None = None
    store_host: str | None = None
    body_size_bytes: int | None = None
    message_type: str | None = None
    redeliveries: int | None = None
    request_id: str | None = None
    """Ties `consuming` and `consumed` of one delivery together."""


def decode_trace(body: bytes) -> list[TraceEvent]:
    """Return the events in the body of a message of the trace topic; what can't be read is left out."""
    return list(_events(body.decode("utf-8", "replace")))


def events_of(bodies: Sequence[bytes], message_id: str) -> list[TraceEvent]:
    """Return what the bodies tell about one message, in the order of time.

    An event without a time and a group takes the group of the delivery that it ends, and comes right behind it.
    """
    found = [event for body in bodies for event in decode_trace(body) if event.message_id == message_id]
    begun = {event.request_id: event for event in found if event.kind == "consuming"}
    completed = [_complete(event, begun.get(event.request_id)) for event in found]
    # Sorting keeps the order of equals: `sent` before `consuming` before `consumed`.
    order = ("sent", "transaction", "consuming", "consumed")
    return sorted(dict.fromkeys(completed), key=lambda event: (event.timestamp or 0, order.index(event.kind)))


def _complete(event: TraceEvent, begun: TraceEvent | None) -> TraceEvent:
    if event.kind != "consumed" or begun is None:
        return event
    timestamp = event.timestamp
    if timestamp is None and begun.timestamp is not None:
        timestamp = begun.timestamp + (event.cost_ms or 0)
    return msgspec.structs.replace(
        event, timestamp=timestamp, group=event.group or begun.group, redeliveries=begun.redeliveries
    )


def _events(text: str) -> Iterator[TraceEvent]:
    for context in text.split(_CONTEXT_END):
        kind, *fields = context.split(_FIELD_END)
        read = _KINDS.get(kind)
        if read is None:
            continue
        try:
            yield read(fields)
        except (IndexError, ValueError):
            # A client of another make may write another form: its other contexts may be readable.
            continue


def _sent(fields: Sequence[str]) -> TraceEvent:
    # Before 4.5 there was no offset message id in front of the success.
    success = fields[11] if len(fields) == 12 else fields[12]
    return TraceEvent(
        kind="sent",
        timestamp=int(fields[0]),
        group=fields[2],
        topic=fields[3],
        message_id=fields[4],
        tag=_said(fields[5]),
        keys=tuple((_said(fields[6]) or "").split()),
        store_host=_said(fields[7]),
        body_size_bytes=int(fields[8]),
        cost_ms=int(fields[9]),
        message_type=_name(_MESSAGE_TYPES, fields[10]),
        success=success == "true",
        client_host=_said(fields[13]) if len(fields) > 13 else None,
    )


def _consuming(fields: Sequence[str]) -> TraceEvent:
    return TraceEvent(
        kind="consuming",
        timestamp=int(fields[0]),
        group=fields[2],
        request_id=fields[3],
        message_id=fields[4],
        redeliveries=int(fields[5]),
        keys=tuple((_said(fields[6]) or "").split()) if len(fields) > 6 else (),
    )


def _consumed(fields: Sequence[str]) -> TraceEvent:
    return TraceEvent(
        kind="consumed",
        request_id=fields[0],
        message_id=fields[1],
        cost_ms=int(fields[2]),
        success=fields[3] == "true",
        keys=tuple((_said(fields[4]) or "").split()),
        result=_name(_RESULTS, fields[5]) if len(fields) > 5 else None,
        timestamp=int(fields[6]) if len(fields) > 7 else None,
        group=_said(fields[7]) if len(fields) > 7 else None,
    )


def _transaction(fields: Sequence[str]) -> TraceEvent:
    return TraceEvent(
        kind="transaction",
        timestamp=int(fields[0]),
        group=fields[2],
        topic=fields[3],
        message_id=fields[4],
        tag=_said(fields[5]),
        keys=tuple((_said(fields[6]) or "").split()),
        store_host=_said(fields[7]),
        message_type=_name(_MESSAGE_TYPES, fields[8]),
        result=fields[10].removesuffix("_MESSAGE").lower(),
        success=True,
    )


_KINDS: Final[dict[str, Callable[[Sequence[str]], TraceEvent]]] = {
    "Pub": _sent,
    "SubBefore": _consuming,
    "SubAfter": _consumed,
    "EndTransaction": _transaction,
}


def _said(text: str) -> str | None:
    """Java writes what it does not have as the word null."""
    return None if text in ("", "null") else text


def _name(names: Sequence[str], ordinal: str) -> str:
    return names[int(ordinal)] if int(ordinal) in range(len(names)) else ordinal
