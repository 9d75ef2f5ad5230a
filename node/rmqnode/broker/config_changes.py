"""Changing a running broker's configuration: which keys may change, which count at once, and where changes are kept.

    counts at once      LIVE_KEYS: read each time they are used
    from the next start every other key that the broker knows
    never               FIXED_KEYS: who and where the broker is, and the form of its files

Source: `AdminBrokerProcessor#updateBrokerConfig`, `Configuration#update` (RocketMQ 4.5.2). Differs: an unknown key, a
bad value or a fixed key is refused, where Apache's says yes and drops it or writes it into `broker.conf`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rmqnode.config import (
    BrokerConfig,
    check_properties,
    config_properties,
    overlay_path,
    parse_properties,
    read_overlay,
    render_properties,
)
from rmqnode.store.config_file import ConfigFile

logger = logging.getLogger(__name__)

LIVE_KEYS: Final = frozenset(
    {
        "brokerPermission",
        "traceOn",
        "regionId",
        "autoCreateTopicEnable",
        "autoCreateSubscriptionGroup",
        "rejectTransactionMessage",
        "startAcceptSendRequestTimeStamp",
        "longPollingEnable",
        "shortPollingTimeMills",
        "notifyConsumerIdsChangedEnable",
        "enablePropertyFilter",
        "filterSupportRetry",
        "slaveReadEnable",
        "offsetCheckInSlave",
        "defaultQueryMaxNum",
        "fileReservedTime",
        "deleteWhen",
        "diskMaxUsedSpaceRatio",
        "cleanFileForciblyEnable",
        "diskSpaceCleanForciblyRatio",
        "diskSpaceWarningLevelRatio",
    }
)

FIXED_KEYS: Final = frozenset(
    {
        "namesrvAddr",
        "brokerIP1",
        "brokerIP2",
        "brokerName",
        "brokerClusterName",
        "brokerId",
        "brokerRole",
        "listenPort",
        "bindAddress",
        "haListenPort",
        "haMasterAddress",
        "storePathRootDir",
        "storePathCommitLog",
        "mappedFileSizeCommitLog",
        "mappedFileSizeConsumeQueue",
        "maxHashSlotNum",
        "maxIndexNum",
        "brokerConfigPath",
    }
)


class NotChangeable(Exception):
    """A change names keys that never change while a broker exists."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        super().__init__(
            f"{', '.join(keys)} cannot be changed in a running broker: change the configuration file and restart it"
        )


class ConfigChanges:
    """The overlay of one broker.

    Args:
        config: As the broker started with it.
    """

    def __init__(self, config: BrokerConfig) -> None:
        # A broker that was not started from a file keeps its changes with its tables.
        self._conf = config.broker_config_path or config.store_path_root_dir / "config" / "broker.conf"
        self._pending: dict[str, str] = {}

    @property
    def path(self) -> Path:
        """The file that holds the changes."""
        return overlay_path(self._conf)

    def apply(self, config: BrokerConfig, changes: Mapping[str, str]) -> BrokerConfig:
        """Keep changes, all or none, and return the configuration that counts from now on.

        Repeating a value that counts already, now or from the next start, is no change.

        Raises:
            ConfigError: An unknown key, a bad value, or the file itself is damaged.
            NotChangeable: A key of `FIXED_KEYS`.
            OSError: The file can't be read or written.
        """
        present = {**config_properties(config), **self._pending}
        if fixed := sorted(key for key in FIXED_KEYS & changes.keys() if changes[key] != present.get(key)):
            raise NotChangeable(fixed)
        wanted = {**present, **changes}
        # The form in which values are compared and kept: `TRUE` and `true` are one.
        formatted = {**wanted, **config_properties(check_properties("broker", wanted, "update").config)}
        changed = {key: formatted[key] for key in changes if formatted[key] != present.get(key)}
        if not changed:
            return config
        self._keep(changed)
        live = {key: value for key, value in changed.items() if key in LIVE_KEYS}
        self._pending.update((key, value) for key, value in changed.items() if key not in LIVE_KEYS)
        logger.info(
            "configuration changed keys=%s from_next_start=%s", ",".join(changed), ",".join(changed - live.keys())
        )
        return check_properties("broker", {**config_properties(config), **live}, "update").config

    def _keep(self, changed: Mapping[str, str]) -> None:
        overlay = {**read_overlay(self._conf), **changed}
        original = self._original()
        kept = {key: value for key, value in overlay.items() if original.get(key) != value}
        header = "# Changed while the broker ran (updateBrokerConfig); wins over the file beside it.\n"
        ConfigFile(self.path).save(header + render_properties(kept))

    def _original(self) -> dict[str, str]:
        try:
            return parse_properties(self._conf.read_bytes(), str(self._conf)).as_mapping()
        except FileNotFoundError:
            return {}
