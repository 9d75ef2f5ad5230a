"""What can go wrong between a client and a cluster: one hierarchy, values first, the sentence made here.

Every error knows, as far as it applies, the server (broker name and address), the topic, the request and the
response code by name, the server's remark, the likely cause and what to do about it. Nothing here does I/O.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rmqctl.errors import ExitCode, RmqctlError
from rmqnode.protocol.codes import ResponseCode, request_name, response_name

if TYPE_CHECKING:
    from rmqnode.protocol.bodies import MessageQueue
    from rmqnode.protocol.message import StoredMessage


class ClientError(RmqctlError):
    """Base of everything that `rmqctl.client` raises."""

    exit_code = ExitCode.REFUSED


class InvalidArgument(ClientError):
    """A name, destination, property or time is refused before anything is sent."""

    exit_code = ExitCode.USAGE


class NameserverUnreachable(ClientError):
    """None of the nameservers answers, or one that must answer does not.

    Args:
        reasons: Per address, in the order of the list, why it gave no answer.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        super().__init__(
            f"no answer from nameserver {' or '.join(self.reasons)}",
            "\n".join(dict.fromkeys(self.reasons.values())),
            "check the address and that the cluster is up (rmqctl status), or name another: --nameserver IP:PORT",
        )


class BrokerUnreachable(ClientError):
    """A connection to a broker's advertised address can't be made, or broke before the answer came.

    Args:
        broker: Broker name.
        address: `ip:port` that it advertises.
        request_code: What was to be asked.
        reason: What the system said.
        topic: The topic that the request was about.
        maybe_done: Whether the request had left, so that it may have been carried out.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(
        self, broker: str, address: str, request_code: int, reason: str, topic: str | None = None, *, maybe_done: bool
    ) -> None:
        self.broker = broker
        self.address = address
        self.request_code = request_code
        self.topic = topic
        self.maybe_done = maybe_done
        cure = (
            "check that the broker is up, and that the address which it advertises (brokerIP1) is reachable from here;"
            " if it is reachable under another one, say so by remap"
        )
        if maybe_done:
            cure = "the request may have been carried out: look before you repeat it, once the broker is up"
        super().__init__(
            f"{broker} at {address} can't be reached for {request_name(request_code)}{_about(topic)}", reason, cure
        )


class RequestTimedOut(ClientError):
    """A broker took the request and gave no answer in time; whether it was carried out is unknown.

    Args:
        server: Broker name.
        address: `ip:port` that was asked.
        request_code: What was asked.
        timeout_seconds: How long the answer was waited for.
        topic: The topic that the request was about.
    """

    exit_code = ExitCode.TIMEOUT

    def __init__(
        self, server: str, address: str, request_code: int, timeout_seconds: float, topic: str | None = None
    ) -> None:
        self.server = server
        self.address = address
        self.request_code = request_code
        self.topic = topic
        super().__init__(
            f"{server} at {address} did not answer {request_name(request_code)}{_about(topic)}"
            f" within {timeout_seconds:g} s",
            "it is overloaded or frozen, or the path to its address is cut",
            "the request may have been carried out: look before you repeat it; the broker's log says more",
        )


class RequestRefused(ClientError):
    """A server answered with a code that is no success.

    Args:
        server: Broker name, or `nameserver`.
        address: `ip:port` that answered.
        request_code: What was asked.
        response_code: What came back; unknown codes are kept.
        remark: The server's own words.
        topic: The topic that the request was about.
    """

    def __init__(
        self,
        server: str,
        address: str,
        request_code: int,
        response_code: int,
        remark: str | None,
        topic: str | None = None,
    ) -> None:
        self.server = server
        self.address = address
        self.request_code = request_code
        self.response_code = response_code
        self.remark = remark
        self.topic = topic
        cause, cure = _LIKELY.get(response_code, (None, "the log of that node says more"))
        said = None if response_code in _MISLEADING else first_line(remark)
        reasons = [reason for reason in (said, cause) if reason]
        super().__init__(
            f"{server} at {address} answered {request_name(request_code)}{_about(topic)}"
            f" with {response_name(response_code)}",
            "; ".join(reasons) or None,
            cure,
        )


class TopicNotFound(ClientError):
    """No nameserver routes the topic."""

    def __init__(self, topic: str, nameservers: tuple[str, ...]) -> None:
        self.topic = topic
        self.nameservers = nameservers
        super().__init__(
            f"topic {topic} has no route",
            "it was never created, it was deleted, or its brokers are down, as far as"
            f" {' and '.join(nameservers)} {'know' if len(nameservers) > 1 else 'knows'}",
            f"create it: rmqctl topic create {topic} --queues 4; or look: rmqctl topic list",
        )


class GroupNotFound(ClientError):
    """No broker has the consumer group."""

    def __init__(self, group: str) -> None:
        self.group = group
        super().__init__(
            f"no broker has a group {group}",
            "it was never created, and no consumer of it has connected yet",
            f"see which there are: rmqctl group list; or create it: rmqctl group create {group}",
        )


class NoQueue(ClientError):
    """A topic is routed, but it has no queue for what is asked."""


class NoMaster(ClientError):
    """A broker that the request needs has no master in the route."""


class NotRoutedInTime(ClientError):
    """The brokers accepted a change of a topic, but a nameserver does not show it yet."""

    exit_code = ExitCode.TIMEOUT


class BadReply(ClientError):
    """A server's answer breaks the protocol."""

    def __init__(self, server: str, address: str, request_code: int, problem: str) -> None:
        self.server = server
        self.address = address
        self.request_code = request_code
        super().__init__(
            f"{server} at {address} answered {request_name(request_code)} in a form that can't be read",
            problem,
            "check that the address is one of a RocketMQ 4.5 or later server",
        )


class BodyDamaged(ClientError):
    """The body of a message is not the one that was stored: its bytes differ from the CRC in its record.

    Keys, tag and properties have no checksum in this format; they are what the broker handed out.
    """

    def __init__(self, stored: "StoredMessage", queue: "MessageQueue") -> None:
        self.stored = stored
        """As the broker handed it out, the damaged body included."""
        self.queue = queue
        place = f"offset {stored.queue_offset} of queue {queue.queue_id} on {queue.broker_name or stored.store_host}"
        super().__init__(
            f"body damaged: message {stored.message_id} of topic {stored.topic} at {place}",
            f"its {len(stored.body)} bytes do not have the CRC-32 that was stored with them: they changed on the"
            " broker's disk",
            "take the broker down and mend its store from a replica: rmqctl store verify DIR --repair --from NODE",
        )


def _about(topic: str | None) -> str:
    return f" for topic {topic}" if topic else ""


def first_line(remark: str | None) -> str | None:
    """Return the first line of a remark: what follows it is a link to the FAQ or a Java stack frame."""
    if not remark or not remark.strip():
        return None
    return remark.strip().splitlines()[0].strip()


_MISLEADING: Final = frozenset({ResponseCode.MESSAGE_ILLEGAL})
"""Codes whose remark is better not repeated: Apache's speaks of a limit of 128k that no broker has."""

_LIKELY: Final[dict[int, tuple[str | None, str]]] = {
    ResponseCode.SYSTEM_ERROR: (None, "the log of that node says more"),
    ResponseCode.SYSTEM_BUSY: ("the broker sheds load", "wait a moment and repeat it, more slowly"),
    ResponseCode.REQUEST_CODE_NOT_SUPPORTED: (
        "this server does not know the request: it is of another version or kind",
        "check that the address is the right one: nameservers listen on 9876, brokers on 10911",
    ),
    ResponseCode.MESSAGE_ILLEGAL: (
        "the message or its properties are too large, or the topic name is too long",
        "keep bodies below the broker's maxMessageSize (4 MiB) and properties below 32767 characters",
    ),
    ResponseCode.SERVICE_NOT_AVAILABLE: (
        "the broker takes no writes now: it is a slave, it is shutting down, or its disk is full",
        "look at its state and disk (rmqctl status, rmqctl logs), then repeat it",
    ),
    ResponseCode.NO_PERMISSION: (
        "the permission of the broker, the topic or the group does not allow it",
        "look at the topic's permission: rmqctl topic route TOPIC",
    ),
    ResponseCode.TOPIC_NOT_EXIST: (
        "this broker does not have the topic, though another may",
        "create it on every master: rmqctl topic create TOPIC --queues 4",
    ),
    ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST: (
        "the group is unknown and the broker creates none by itself",
        "create the group, or set autoCreateSubscriptionGroup=true",
    ),
    ResponseCode.SUBSCRIPTION_PARSE_FAILED: (None, "correct the SQL92 expression, or write tags as a||b"),
    ResponseCode.SUBSCRIPTION_NOT_EXIST: (
        "no member of the group subscribes the topic, as far as this broker has heard",
        "a broker that was just started hears of members by their next heartbeat; members must subscribe alike",
    ),
    ResponseCode.SUBSCRIPTION_NOT_LATEST: (
        "the broker has an older subscription of the group",
        "wait for the next heartbeat; all members of a group must subscribe the same",
    ),
    ResponseCode.CONSUMER_NOT_ONLINE: (
        "no such consumer is connected to this broker now",
        "see who is: rmqctl group describe GROUP",
    ),
    ResponseCode.FLOW_CONTROL: ("the broker slows its clients down", "repeat it, more slowly"),
    ResponseCode.GO_AWAY: ("the broker is shutting down", "repeat it: another broker, or the restarted one, takes it"),
    ResponseCode.INVALID_PARAMETER: (None, "correct the name or value that the server names"),
}
