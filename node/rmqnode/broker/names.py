"""Which names and numbers of queues a broker takes: they become folders and keys of files.

Source: `TopicValidator`, `Validators` (RocketMQ 4.9.7): 4.5.2 leaves the check to its clients.
"""

import re
from typing import Final

from rmqnode.broker import system_topics

PATTERN: Final = "^[%|a-zA-Z0-9_-]+$"
TOPIC_LENGTH_MAX: Final = 127
GROUP_LENGTH_MAX: Final = 255
"""The longest name of a group that Apache's clients take, and that a heartbeat may bring."""
RETRY_GROUP_LENGTH_MAX: Final = TOPIC_LENGTH_MAX - len(system_topics.RETRY_GROUP_TOPIC_PREFIX)
"""The longest with which a group can have a retry topic, and so the longest that is created on purpose: 120."""
QUEUE_NUMS_MAX: Final = 65_536
"""Each queue is a folder and up to two open files: a typing error must not fill the disk with them."""

_legal: Final = re.compile(r"[%|a-zA-Z0-9_-]+").fullmatch


def topic_problem(topic: str) -> str | None:
    """Return the remark for an illegal topic name, None for a legal one."""
    if not topic.strip():
        return "The specified topic is blank."
    if len(topic) > TOPIC_LENGTH_MAX:
        return f"The specified topic is longer than topic max length {TOPIC_LENGTH_MAX}."
    if _legal(topic) is None:
        return f"The specified topic contains illegal characters, allowing only {PATTERN}"
    return None


def is_legal_group(group: str) -> bool:
    """Whether a consumer group may have this name."""
    return len(group) <= GROUP_LENGTH_MAX and _legal(group) is not None
