"""Remarks that several handlers answer with; the wording is Apache's, for tools in the field look for it."""

from typing import Final

from rmqnode.broker.state import Broker
from rmqnode.store.disk import describe_full, used_ratio

FAQ: Final = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
"""The end of many of Apache's remarks."""

NO_SUCH_FILTER: Final = "The broker does not support consumer to filter message by {}"
"""About a language of filters that is off."""


def topic_not_exist(topic: str) -> str:
    """Remark of TOPIC_NOT_EXIST in administration."""
    return f"topic[{topic}] not exist"


def sending_forbidden(broker_ip: str | None) -> str:
    """Remark of NO_PERMISSION when the broker itself takes no messages."""
    return f"the broker[{broker_ip}] sending message is forbidden"


def not_writable(broker: Broker) -> str:
    """Remark of SERVICE_NOT_AVAILABLE: Apache's, and if a disk is full, which one.

    Source: SendMessageProcessor#handlePutMessageResult, #diskUtil.
    """
    folders = (
        ("CL", broker.config.store_path_commit_log),
        ("CQ", broker.config.store_path_root_dir / "consumequeue"),
        ("INDEX", broker.config.store_path_root_dir / "index"),
    )
    usage = " ".join(f"{name}: {used_ratio(folder):5.2f}" for name, folder in folders)
    full_folder = broker.store.full_folder
    which = f" {describe_full(full_folder)}" if full_folder is not None else ""
    return f"service not available now, maybe disk full, {usage}, maybe your broker machine memory too small.{which}"
