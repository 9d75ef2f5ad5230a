"""Rules between several keys, and the values that follow from others.

Source: `BrokerStartup#createBrokerController` (RocketMQ 4.5.2) for role, id and HA port.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.nameserver import NameserverConfig

CONSUME_QUEUE_ENTRY_BYTES = 20


@dataclass(slots=True)
class Settled:
    """A config after its rules were applied, with what was found on the way."""

    config: Any
    notices: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BrokerRule:
    """What must hold between some keys of a broker.

    Attributes:
        keys: Keys it looks at; the place of the first one that is set is where a problem is reported.
        problem: What is wrong with a config, or None.
    """

    keys: tuple[str, ...]
    problem: Callable[[BrokerConfig], str | None]


def settle(config: BrokerConfig | NameserverConfig, places: Mapping[str, str], failed: set[str]) -> Settled:
    """Apply the rules of a node.

    Args:
        config: Built from every value that was good.
        places: Where each key that is set stands.
        failed: Keys whose value was bad: rules that look at them stay silent.
    """
    settled = Settled(config)
    if isinstance(config, NameserverConfig):
        _notice_cluster_test(settled, places)
        return settled
    for rule in BROKER_RULES:
        problem = None if failed.intersection(rule.keys) else rule.problem(config)
        if problem is not None:
            first_place = next((places[key] for key in rule.keys if key in places), "broker")
            settled.problems.append(f"{first_place}: {problem}")
    for adjust in (_force_master_id, _round_consume_queue_size, _notice_commit_log_folder):
        adjust(settled, places)
    return settled


def _slave_has_an_id(config: BrokerConfig) -> str | None:
    if config.is_slave and config.broker_id == 0:
        return "brokerRole=SLAVE needs a brokerId above 0, 0 is the master's"
    return None


def _vip_and_ha_ports_fit(config: BrokerConfig) -> str | None:
    if not 3 <= config.listen_port <= 65534:
        return (
            f"listenPort must be 3..65534, got '{config.listen_port}':"
            " the broker also listens 2 below (VIP) and 1 above (HA)"
        )
    return None


def _ha_port_follows_listen_port(config: BrokerConfig) -> str | None:
    expected = config.listen_port + 1
    if config.ha_listen_port != expected:
        return (
            f"haListenPort must be listenPort + 1 = {expected}, got '{config.ha_listen_port}':"
            " brokers of 4.x override any other value"
        )
    return None


def _one_commit_log_folder(config: BrokerConfig) -> str | None:
    if "," in str(config.store_path_commit_log):
        return "storePathCommitLog must be one folder: a commit log in several folders is not supported"
    return None


BROKER_RULES: tuple[BrokerRule, ...] = (
    BrokerRule(("brokerRole", "brokerId"), _slave_has_an_id),
    BrokerRule(("listenPort",), _vip_and_ha_ports_fit),
    BrokerRule(("haListenPort", "listenPort"), _ha_port_follows_listen_port),
    BrokerRule(("storePathCommitLog", "storePathRootDir"), _one_commit_log_folder),
)
"""Every rule between keys of a broker."""


def _force_master_id(settled: Settled, places: Mapping[str, str]) -> None:
    config = settled.config
    if not config.is_slave and config.broker_id != 0:
        settled.notices.append(f"{places['brokerId']}: brokerId={config.broker_id} ignored: a master has id 0")
        settled.config = replace(config, broker_id=0)


def _round_consume_queue_size(settled: Settled, places: Mapping[str, str]) -> None:
    size = settled.config.mapped_file_size_consume_queue_bytes
    rounded = -(-size // CONSUME_QUEUE_ENTRY_BYTES) * CONSUME_QUEUE_ENTRY_BYTES
    if rounded != size:
        settled.notices.append(
            f"{places['mappedFileSizeConsumeQueue']}: mappedFileSizeConsumeQueue={size} rounded up to {rounded},"
            f" a multiple of {CONSUME_QUEUE_ENTRY_BYTES}"
        )
        settled.config = replace(settled.config, mapped_file_size_consume_queue_bytes=rounded)


def _notice_commit_log_folder(settled: Settled, places: Mapping[str, str]) -> None:
    if "storePathRootDir" in places and "storePathCommitLog" not in places:
        settled.notices.append(
            f"{places['storePathRootDir']}: storePathCommitLog is not set: {settled.config.store_path_commit_log}"
            " is used, as by 4.9 and later (4.5 would use ~/store/commitlog)"
        )


def _notice_cluster_test(settled: Settled, places: Mapping[str, str]) -> None:
    if settled.config.cluster_test:
        settled.notices.append(
            f"{places['clusterTest']}: clusterTest=true: routes of a production environment are not looked up here"
        )
