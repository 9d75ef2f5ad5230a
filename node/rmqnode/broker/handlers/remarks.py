"""Remarks and refusals that several handlers answer with; the wording is Apache's, for tools look for it."""

from typing import Final

from rmqnode.broker.state import Broker
from rmqnode.net.dispatch import RequestError
from rmqnode.protocol.codes import ResponseCode
from rmqnode.store import PutStatus
from rmqnode.store.disk import describe_full, used_ratio

FAQ: Final = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."
"""The end of many of Apache's remarks."""

NO_SUCH_FILTER: Final = "The broker does not support consumer to filter message by {}"
"""About a language of filters that is off."""

ILLEGAL: Final = (
    "the message is illegal, maybe msg body or properties length not matched. "
    "msg body length limit 128k, msg properties length limit 32k."
)
"""Remark of MESSAGE_ILLEGAL: too long."""


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


def put_error(broker: Broker, status: PutStatus) -> RequestError:
    """Return what a put that stored nothing is answered with."""
    if status in (PutStatus.MESSAGE_ILLEGAL, PutStatus.PROPERTIES_SIZE_EXCEEDED):
        return RequestError(ResponseCode.MESSAGE_ILLEGAL, ILLEGAL)
    if status is PutStatus.SERVICE_NOT_AVAILABLE:
        return RequestError(ResponseCode.SERVICE_NOT_AVAILABLE, not_writable(broker))
    return RequestError(ResponseCode.SYSTEM_ERROR, "create mapped file failed, server is busy or broken.")
