"""`NameserverConfig`: every nameserver key that this engine acts on, with its default and bounds.

Source: `NamesrvConfig` and `NettyServerConfig` (RocketMQ 4.5.2; `bindAddress` and
`scanNotActiveBrokerInterval` from 5.3).
"""

# ruff: noqa: RUF009  (prop() declares a field, it is not evaluated per instance)

from dataclasses import dataclass
from pathlib import Path

from rmqnode.config import kinds
from rmqnode.config.broker import HOUR_MS
from rmqnode.config.limits import NameserverLimits
from rmqnode.config.setting import AT_ONCE, DERIVED, prop


@dataclass(frozen=True, kw_only=True, slots=True)
class NameserverConfig(NameserverLimits):
    """Configuration of one nameserver."""

    listen_port: int = prop("listenPort", 9876, kinds.integer(1, 65535))
    """Port for brokers and clients."""
    bind_address: tuple[str, ...] = prop("bindAddress", ("0.0.0.0",), kinds.bind_addresses())
    """Addresses to listen on (a key of 5.3; 4.x ignores it and listens on all)."""
    server_channel_max_idle_time_seconds: int = prop("serverChannelMaxIdleTimeSeconds", 120, kinds.integer(30, 86_400))
    """A connection without traffic for so long is closed, in seconds; a broker on it is removed."""
    scan_not_active_broker_interval_ms: int = prop(
        "scanNotActiveBrokerInterval", 10_000, kinds.duration_ms(100, HOUR_MS), AT_ONCE
    )
    """Time between two searches for brokers that stopped registering (fixed in 4.x)."""
    kv_config_path: Path = prop("kvConfigPath", DERIVED, kinds.path())
    """File of the KV table. Default: `namesrv/kvConfig.json` in the user's home folder."""
    config_store_path: Path = prop("configStorePath", DERIVED, kinds.path())
    """File that a configuration update writes: the file the nameserver was started with."""
    order_message_enable: bool = prop("orderMessageEnable", False, kinds.boolean(), AT_ONCE)
    """Put the order configuration of a topic into its route."""
    product_env_name: str = prop("productEnvName", "center", kinds.text(), AT_ONCE)
    """Name of the environment; only reported."""
    cluster_test: bool = prop("clusterTest", False, kinds.boolean(), AT_ONCE)
    """Test-cluster mode of Apache's nameserver; only reported."""

    def __post_init__(self) -> None:
        """Compute the paths whose default lies in the user's home folder."""
        home = Path.home() / "namesrv"
        if self.kv_config_path is DERIVED:
            object.__setattr__(self, "kv_config_path", home / "kvConfig.json")
        if self.config_store_path is DERIVED:
            object.__setattr__(self, "config_store_path", home / "namesrv.properties")
