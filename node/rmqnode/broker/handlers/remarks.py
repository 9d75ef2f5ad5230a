"""Remarks that several handlers answer with; the wording is Apache's, for tools in the field look for it."""

from typing import Final

FAQ: Final = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
"""The end of many of Apache's remarks."""


def topic_not_exist(topic: str) -> str:
    """Remark of TOPIC_NOT_EXIST in administration."""
    return f"topic[{topic}] not exist"


def sending_forbidden(broker_ip: str | None) -> str:
    """Remark of NO_PERMISSION when the broker itself takes no messages."""
    return f"the broker[{broker_ip}] sending message is forbidden"
