"""`Nameserver`: everything a nameserver knows, and how its configuration changes while it runs.

Handlers get it as their first argument. No sockets and no tasks here, see `server`.
"""

import logging
from collections.abc import Callable, Mapping

from rmqnode.config import (
    NameserverConfig,
    check_properties,
    config_properties,
    parse_properties,
    render_properties,
)
from rmqnode.nameserver.kv_config import ORDER_TOPIC_CONFIG, KVConfigManager
from rmqnode.nameserver.route_info import RouteInfoManager
from rmqnode.store.config_file import ConfigFile

logger = logging.getLogger(__name__)

RUNTIME_KEYS = frozenset(("orderMessageEnable", "productEnvName", "clusterTest", "scanNotActiveBrokerInterval"))
"""Keys whose value is read each time it is used; all others count from the next start only."""


class NotChangeable(Exception):
    """A configuration update names keys that cannot change while the nameserver runs."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        super().__init__(
            f"{', '.join(keys)} cannot be changed while the nameserver runs"
            f" (only {', '.join(sorted(RUNTIME_KEYS))} can): change the configuration file and restart it"
        )


class Nameserver:
    """State of one nameserver.

    Args:
        config: Its configuration at start.
        clock_ms: Milliseconds that only go forward.

    Raises:
        ConfigFileCorrupt: The KV table can't be read.
    """

    def __init__(self, config: NameserverConfig, clock_ms: Callable[[], float]) -> None:
        self.config = config
        self.route_info = RouteInfoManager(clock_ms)
        self.kv_config = KVConfigManager(config.kv_config_path)

    def order_topic_conf(self, topic: str) -> str | None:
        """Order configuration that belongs into the route of a topic, if routes carry it at all."""
        if self.config.order_message_enable or self.config.cluster_test:
            return self.kv_config.get(ORDER_TOPIC_CONFIG, topic)
        return None

    def update_config(self, changes: Mapping[str, str]) -> None:
        """Change the configuration and its file: all of the changes or none.

        Repeating the present value of a key is no change. The file keeps its other keys, but not its comments; the
        old one stays beside it as `.bak`.

        Raises:
            ConfigError: An unknown key or a bad value, or the file itself is damaged.
            NotChangeable: A key that counts at start only.
            OSError: The file can't be read or written.
        """
        present = config_properties(self.config)
        wanted = check_properties("nameserver", {**present, **changes}, "update").config
        changed = {key for key, value in config_properties(wanted).items() if present.get(key) != value}
        refused = sorted((changed | (changes.keys() - present.keys())) - RUNTIME_KEYS)
        if refused:
            raise NotChangeable(refused)
        if changed:
            self._store({key: changes[key] for key in changes if key in changed})
            self.config = wanted
            logger.info("configuration updated keys=%s", ",".join(sorted(changed)))

    def _store(self, changes: Mapping[str, str]) -> None:
        path = self.config.config_store_path
        try:
            stored = parse_properties(path.read_bytes(), str(path)).as_mapping()
        except FileNotFoundError:
            stored = config_properties(self.config)
        ConfigFile(path).save(render_properties({**stored, **changes}))
