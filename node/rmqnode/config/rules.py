"""Rules between several keys, and the values that follow from others.

Source: `BrokerStartup#createBrokerController` (RocketMQ 4.5.2) for role, id and HA port.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.errors import shown
from rmqnode.config.nameserver import NameserverConfig

CONSUME_QUEUE_ENTRY_BYTES = 20
END_MARK_BYTES = 8
"""What closes a commit log file that has no room for the next message."""

_STORE_FOLDERS = ("config", "consumequeue", "index", "damaged")


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
        is_ours: Whether a broker of Apache's would start and serve all the same.
    """

    keys: tuple[str, ...]
    problem: Callable[[BrokerConfig], str | None]
    is_ours: bool = False


def settle(
    config: BrokerConfig | NameserverConfig, places: Mapping[str, str], failed: set[str], *, with_ours: bool = True
) -> Settled:
    """Apply the rules of a node.

    Args:
        config: Built from every value that was good.
        places: Where each key that is set stands.
        failed: Keys whose value was bad: rules that look at them stay silent.
        with_ours: False for a node of Apache's: rules that only our nodes need are left out.
    """
    settled = Settled(config)
    if isinstance(config, NameserverConfig):
        _notice_cluster_test(settled, places)
        return settled
    for rule, problem in broken_rules(config, failed):
        if rule.is_ours and not with_ours:
            continue
        first_place = next((places[key] for key in rule.keys if key in places), "broker")
        settled.problems.append(f"{first_place}: {problem}")
    for adjust in (_force_master_id, _round_consume_queue_size, _notice_commit_log_folder):
        adjust(settled, places)
    return settled


def broken_rules(config: BrokerConfig | NameserverConfig, failed: set[str]) -> list[tuple[BrokerRule, str]]:
    """The rules that a config breaks, each with its sentence; without those that look at keys in `failed`."""
    if isinstance(config, NameserverConfig):
        return []
    looked_at = (rule for rule in BROKER_RULES if not failed.intersection(rule.keys))
    found = ((rule, rule.problem(config)) for rule in looked_at)
    return [(rule, problem) for rule, problem in found if problem is not None]


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


def _commit_log_has_a_folder_of_its_own(config: BrokerConfig) -> str | None:
    root, log = config.store_path_root_dir.absolute(), config.store_path_commit_log.absolute()
    if log == root or any(log == each or each in log.parents for each in (root / name for name in _STORE_FOLDERS)):
        return (
            f"storePathCommitLog must not be {shown(str(log))}: the broker keeps other files there,"
            f" {shown(str(root / 'commitlog'))} is the usual folder"
        )
    return None


def _largest_message_fits_into_a_file(config: BrokerConfig) -> str | None:
    size, largest = config.mapped_file_size_commit_log_bytes, config.max_message_size_bytes
    if size <= largest + END_MARK_BYTES:
        return (
            f"maxMessageSize={largest} does not fit into a commit log file of mappedFileSizeCommitLog={size} bytes:"
            f" a file must be larger than the largest message and {END_MARK_BYTES} bytes"
        )
    return None


def _ha_is_not_silent_for_too_long(config: BrokerConfig) -> str | None:
    heartbeat, silence = config.ha_send_heartbeat_interval_ms, config.ha_housekeeping_interval_ms
    if heartbeat >= silence:
        return (
            f"haSendHeartbeatInterval={heartbeat} must be below haHousekeepingInterval={silence}:"
            " a replication stream would be closed before its next sign of life"
        )
    return None


def _forced_cleaning_comes_before_refusal(config: BrokerConfig) -> str | None:
    refusal, cleaning = config.disk_space_warning_level_ratio, config.disk_max_used_space_ratio
    forced = config.disk_space_clean_forcibly_ratio
    if refusal < min(forced, cleaning):
        return (
            f"diskSpaceWarningLevelRatio={refusal} is below both diskMaxUsedSpaceRatio={cleaning} and"
            f" diskSpaceCleanForciblyRatio={forced}: messages would be refused before old files are deleted"
        )
    return None


BROKER_RULES: tuple[BrokerRule, ...] = (
    BrokerRule(("brokerRole", "brokerId"), _slave_has_an_id),
    BrokerRule(("listenPort",), _vip_and_ha_ports_fit),
    BrokerRule(("haListenPort", "listenPort"), _ha_port_follows_listen_port),
    BrokerRule(("storePathCommitLog", "storePathRootDir"), _one_commit_log_folder),
    BrokerRule(("storePathCommitLog", "storePathRootDir"), _commit_log_has_a_folder_of_its_own),
    BrokerRule(("maxMessageSize", "mappedFileSizeCommitLog"), _largest_message_fits_into_a_file, is_ours=True),
    BrokerRule(("haSendHeartbeatInterval", "haHousekeepingInterval"), _ha_is_not_silent_for_too_long),
    BrokerRule(
        ("diskSpaceWarningLevelRatio", "diskMaxUsedSpaceRatio", "diskSpaceCleanForciblyRatio"),
        _forced_cleaning_comes_before_refusal,
    ),
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
