"""Remarks and refusals that several handlers answer with; the wording is Apache's, for tools look for it."""

from typing import Final

from rmqnode.broker import system_topics
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


def system_topic_conflict(topic: str) -> str:
    """Remark of a change of a topic that brokers need for themselves (since 4.9)."""
    return f"The topic[{topic}] is conflict with system topic."


def refuse_system_group(group: str) -> None:
    """Refuse to change or delete a group that brokers and tools need.

    Raises:
        RequestError: It is one.
    """
    if system_topics.is_system_group(group):
        raise RequestError(ResponseCode.SYSTEM_ERROR, f"The group[{group}] is conflict with system group.")


def refuse_broker_offsets(group: str) -> None:
    """Refuse to change offsets that are the broker's own: after a restart they say which transactions are done with.

    Raises:
        RequestError: They are.
    """
    if group == system_topics.TRANS_GROUP:
        remark = f"offsets of the group[{group}] are the broker's own, nobody else may change them"
        raise RequestError(ResponseCode.NO_PERMISSION, remark)


def sending_forbidden(broker_ip: str | None) -> str:
    """Remark of NO_PERMISSION when the broker itself takes no messages."""
    return f"the broker[{broker_ip}] sending message is forbidden"


def not_writable(broker: Broker) -> str:
    """Remark of SERVICE_NOT_AVAILABLE: Apache's, and if a disk is full, which one; or which folder has gone.

    Source: SendMessageProcessor#handlePutMessageResult, #diskUtil.
    """
    if broker.store.gone is not None:
        return f"service not available: {broker.store.gone} was deleted or moved under the running broker"
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
