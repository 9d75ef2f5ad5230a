"""Names for completion: those of this machine's files at once, those of a cluster asked with little patience.

A trio client takes longer to load than a user waits for a Tab: here one plain socket asks one question. Nothing is
reported; without a cluster, or with a slow one, there are no names.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, Self

from rmqctl.errors import RmqctlError
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command, decode_command, encode_command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.frame import FrameDecoder

_PATIENCE_SECONDS: Final = 0.5
_READ_BYTES: Final = 65_536
_SYSTEM_TOPIC_PREFIX: Final = "rmq_sys_"


class NameKind(Enum):
    """What is being named."""

    CLUSTER = "cluster"
    PROFILE = "profile"
    NODE = "node"
    TOPIC = "topic"
    GROUP = "group"
    BROKER = "broker"


def names_of(kind: NameKind, words: Sequence[str]) -> list[str]:
    """Return the names of a kind, sorted; none when they can't be had quickly.

    Args:
        kind: What is being named.
        words: The words of the command, for `--cluster`, `--nameserver` and `--home`.
    """
    finders: Mapping[NameKind, Callable[[Sequence[str]], list[str]]] = {
        NameKind.CLUSTER: _clusters,
        NameKind.PROFILE: _profiles,
        NameKind.NODE: _nodes,
        NameKind.TOPIC: _topics,
        NameKind.GROUP: _groups,
        NameKind.BROKER: _brokers,
    }
    with suppress(RmqctlError, ProtocolError, OSError):
        return sorted(finders[kind](words))
    return []


def _clusters(words: Sequence[str]) -> list[str]:
    from rmqctl.home import all_cluster_homes, homes_roots

    return [home.name for home in all_cluster_homes(homes_roots(_home(words)))]


def _profiles(words: Sequence[str]) -> list[str]:
    from rmqctl.profile.library import profile_names

    return list(profile_names())


def _nodes(words: Sequence[str]) -> list[str]:
    from rmqctl.home import DEFAULT_CLUSTER
    from rmqctl.profile.stored import load_cluster
    from rmqctl.target import choose_local_home

    home = choose_local_home(_option(words, "--cluster"), _home(words), DEFAULT_CLUSTER)
    return [node.name for node in load_cluster(home).model.nodes] if home.cluster_file.exists() else []


def _topics(words: Sequence[str]) -> list[str]:
    from rmqnode.broker import system_topics
    from rmqnode.protocol.bodies import ClusterInfo, TopicList

    with _Connection(_nameserver(words)) as nameserver:
        names = TopicList.decode(nameserver.ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).topic_list
        info = ClusterInfo.decode(nameserver.ask(RequestCode.GET_BROKER_CLUSTER_INFO))
    reserved = {
        *info.broker_addr_table,
        *info.cluster_addr_table,
        *system_topics.CLOSED_TO_PRODUCERS,
        system_topics.AUTO_CREATE_TOPIC_KEY_TOPIC,
        system_topics.BENCHMARK_TOPIC,
    }
    return [
        name
        for name in names
        if name not in reserved and not name.startswith("%") and not name.lower().startswith(_SYSTEM_TOPIC_PREFIX)
    ]


def _groups(words: Sequence[str]) -> list[str]:
    from rmqnode.broker import system_topics
    from rmqnode.protocol.bodies import ClusterInfo, SubscriptionGroupWrapper

    with _Connection(_nameserver(words)) as nameserver:
        info = ClusterInfo.decode(nameserver.ask(RequestCode.GET_BROKER_CLUSTER_INFO))
    masters = [broker.broker_addrs[0] for broker in info.broker_addr_table.values() if 0 in broker.broker_addrs]
    groups: set[str] = set()
    for address in masters[:1]:
        # Groups are on all masters, unless somebody wanted otherwise: one is enough for a Tab.
        with _Connection(address) as master:
            body = master.ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)
        groups |= SubscriptionGroupWrapper.decode(body).subscription_group_table.keys()
    return [
        name
        for name in groups.difference(system_topics.BUILT_IN_GROUPS)
        if not name.startswith(system_topics.SYSTEM_GROUP_PREFIX)
    ]


def _brokers(words: Sequence[str]) -> list[str]:
    from rmqnode.protocol.bodies import ClusterInfo

    with _Connection(_nameserver(words)) as nameserver:
        info = ClusterInfo.decode(nameserver.ask(RequestCode.GET_BROKER_CLUSTER_INFO))
    return ["all", *info.broker_addr_table]


class _Connection:
    """One blocking connection, for a moment. What goes wrong is an OSError or a ProtocolError."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._sock = socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_SECONDS)
        self._deadline = time.monotonic() + _PATIENCE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def ask(self, code: RequestCode) -> bytes:
        """Return the body of the answer to a request without a header."""
        self._sock.sendall(encode_command(Command(code=code)))
        decoder = FrameDecoder()
        while True:
            self._sock.settimeout(max(0.001, self._deadline - time.monotonic()))
            data = self._sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("closed before the answer")
            for frame in decoder.feed(data):
                return decode_command(frame).body


def _nameserver(words: Sequence[str]) -> str:
    from rmqctl.target import resolve_target

    target = resolve_target(
        cluster=_option(words, "--cluster"), nameserver=_option(words, "--nameserver"), home=_home(words)
    )
    return target.nameservers[0]


def _home(words: Sequence[str]) -> Path | None:
    home = _option(words, "--home")
    return None if home is None else Path(home)


def _option(words: Sequence[str], name: str) -> str | None:
    for index, word in enumerate(words):
        if word == name:
            return words[index + 1] if index + 1 < len(words) else None
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
