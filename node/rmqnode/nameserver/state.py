"""`Nameserver`: everything a nameserver knows, and how its configuration changes while it runs.

Handlers get it as their first argument. No sockets and no tasks here, see `server`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rmqnode.config import NameserverConfig
from rmqnode.config_changes import ConfigChanges
from rmqnode.nameserver.budgets import NameserverBudgets
from rmqnode.nameserver.kv_config import ORDER_TOPIC_CONFIG, KVConfigManager
from rmqnode.nameserver.route_info import RouteInfoManager
from rmqnode.net.dispatch import finish_in_slices
from rmqnode.net.loop_meter import LoopMeter
from rmqnode.net.slices import InSlices, SlicedWork
from rmqnode.net.written_table import AfterWrite
from rmqnode.protocol.routes import Reply, Request


class Nameserver:
    """State of one nameserver.

    Args:
        config: Its configuration at start.
        clock_ms: Milliseconds that only go forward.
        meter: Measures the loop that the nameserver runs in.

    Raises:
        ConfigFileCorrupt: The KV table can't be read.
    """

    def __init__(self, config: NameserverConfig, clock_ms: Callable[[], float], meter: LoopMeter | None = None) -> None:
        self.config = config
        self.meter = meter or LoopMeter()
        self.sliced = SlicedWork(self.meter)
        self._changes = ConfigChanges("nameserver", config.config_store_path)
        self.route_info = RouteInfoManager(clock_ms)
        self.kv_config = KVConfigManager(config.kv_config_path)
        self.budgets = NameserverBudgets(config)

    def finish_later(self, outcome: object, request: Request[Any]) -> None:
        """See to an outcome that is not a reply."""
        if isinstance(outcome, InSlices):
            finish_in_slices(self.sliced, outcome, request, self._finish)
        elif isinstance(outcome, AfterWrite):
            outcome.finish(request, self._finish)
        else:
            raise AssertionError(f"no service finishes {outcome!r}")

    def _finish(self, outcome: object, request: Request[Any]) -> None:
        if isinstance(outcome, Reply):
            request.connection.reply(request, outcome)
        elif outcome is not None:
            self.finish_later(outcome, request)

    def order_topic_conf(self, topic: str) -> str | None:
        """Order configuration that belongs into the route of a topic, if routes carry it at all."""
        if self.config.order_message_enable or self.config.cluster_test:
            return self.kv_config.get(ORDER_TOPIC_CONFIG, topic)
        return None

    def update_config(self, changes: Mapping[str, str]) -> None:
        """Change keys of the configuration, all or none, and keep them beside its file; see `config_changes`.

        Raises:
            ConfigError: An unknown key or a bad value, or the file itself is damaged.
            NotChangeable: A key that never changes.
            OSError: The change can't be kept.
        """
        self.config = self._changes.apply(self.config, changes)
