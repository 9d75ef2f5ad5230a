"""The trace of one message for people: a table in the order of time."""

from rmqctl.cli.output import print_result, print_table
from rmqctl.client.admin.trace import TraceEvent
from rmqctl.client.start_position import format_time


def print_trace(events: list[TraceEvent]) -> None:
    """Print what happened to a message, and what it is."""
    sent = next((event for event in events if event.kind == "sent"), None)
    if sent is not None:
        facts = [f"topic {sent.topic}"]
        facts += [f"tag {sent.tag}"] if sent.tag else []
        facts += [f"keys {','.join(sent.keys)}"] if sent.keys else []
        facts += [f"{sent.body_size_bytes} bytes"] if sent.body_size_bytes is not None else []
        facts += [f"{sent.message_type} message"] if sent.message_type else []
        print_result(f"{sent.message_id}: {', '.join(facts)}")
    print_table(["TIME", "WHAT", "GROUP", "TOOK", "HOW"], [_row(event) for event in events])


def _row(event: TraceEvent) -> list[str]:
    return [
        "-" if event.timestamp is None else format_time(event.timestamp),
        event.kind,
        event.group or "-",
        "-" if event.cost_ms is None else f"{event.cost_ms} ms",
        ", ".join(_facts(event)) or "-",
    ]


def _facts(event: TraceEvent) -> list[str]:
    facts = []
    if event.success is not None:
        facts.append("success" if event.success else "failed")
    if event.result is not None and event.result not in facts:
        facts.append(event.result)
    if event.redeliveries:
        facts.append(f"redelivery {event.redeliveries}")
    if event.client_host:
        facts.append(f"by {event.client_host}")
    if event.store_host and event.kind == "sent":
        facts.append(f"to {event.store_host}")
    return facts
