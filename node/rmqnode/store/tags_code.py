"""The tags code of a stored record: what its consume queue unit carries beside the place of the record.

Source: CommitLog#checkMessageAndReturnSize, ScheduleMessageService#computeDeliverTimestamp (RocketMQ 4.5.2).
"""

from collections.abc import Sequence
from typing import Final

from rmqnode.protocol.java_text import parse_int, tag_hash
from rmqnode.protocol.properties import PropertyName, find_property

TAGS_START: Final = PropertyName.TAGS.encode() + b"\x01"

SCHEDULE_TOPIC: Final = "SCHEDULE_TOPIC_XXXX"


def tags_code_of(topic: str, properties: bytes, store_timestamp: int, delay_levels_ms: Sequence[int]) -> int:
    """Hash of the tags; for a delayed message in the schedule topic the time of its delivery, in milliseconds."""
    if topic == SCHEDULE_TOPIC:
        delay = find_property(properties, PropertyName.DELAY)
        level = parse_int(delay.decode("utf-8", "replace")) if delay is not None else None
        if level is not None and level > 0:
            return delivery_time(level, store_timestamp, delay_levels_ms)
    if TAGS_START not in properties:
        return 0
    tags = find_property(properties, PropertyName.TAGS)
    return tag_hash(tags.decode("utf-8", "replace")) if tags else 0


def delivery_time(level: int, store_timestamp: int, delay_levels_ms: Sequence[int]) -> int:
    """When a message of a delay level (from 1; higher ones count as the highest) is due, in milliseconds."""
    if not delay_levels_ms:
        return store_timestamp + 1000
    return store_timestamp + delay_levels_ms[min(level, len(delay_levels_ms)) - 1]
