"""The budgets of a nameserver beside those of its sockets: what brokers and operators make it keep.

What each limit means stands with its field, see `rmqnode.config.limits`. What is there already is never dropped for a
newcomer: a broker that registers again what it has is always served.
"""

import logging
from typing import Final

from rmqnode.config.limits import NameserverLimits
from rmqnode.nameserver.kv_config import KVConfigManager
from rmqnode.nameserver.route_info import Registration, RouteInfoManager
from rmqnode.net.budgets import Budget
from rmqnode.net.dispatch import RequestError
from rmqnode.net.refusals import check_names, refuse_beyond
from rmqnode.protocol.codes import ResponseCode

logger = logging.getLogger(__name__)

FILTER_SERVERS_MAX: Final = 64
"""Filter servers of one broker: it starts them on its own machine."""

VALUE_LENGTH_MAX: Final = 65_536
"""Characters of a value of the KV table; an order configuration has some 20 for each broker."""


class NameserverBudgets:
    """All budgets of one nameserver."""

    def __init__(self, limits: NameserverLimits) -> None:
        self._told: set[str] = set()
        self.brokers = Budget("brokers", limits.brokers_max, self.full)
        self.routes = Budget("routes", limits.routes_max, self.full)
        self.kv_config = Budget("kvConfig", limits.kv_config_max, self.full)

    def full(self, budget: Budget) -> None:
        """Log a budget that is full, once in the life of the process: its counters say how often."""
        if budget.name not in self._told:
            self._told.add(budget.name)
            logger.warning("limit reached key=%sMax value=%d", budget.name, budget.maximum)

    def check_registration(self, route_info: RouteInfoManager, registration: Registration) -> None:
        """Refuse a registration whose names are too long or that adds more than there is room for.

        Raises:
            RequestError: Names the limit.
        """
        name = registration.broker_name
        check_names("a name", registration.cluster_name, name, registration.broker_addr, registration.ha_server_addr)
        filter_servers = registration.filter_servers or []
        check_names("a filter server", *filter_servers)
        if len(filter_servers) > FILTER_SERVERS_MAX:
            remark = f"{len(filter_servers)} filter servers refused: a broker has {FILTER_SERVERS_MAX} at most"
            raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
        topics = registration.topics.topic_config_table
        check_names("a topic", *(topic.topic_name or key for key, topic in topics.items()))
        self.brokers.used = route_info.address_count
        if route_info.adds_address(registration):
            refuse_beyond(self.brokers, self.brokers.used, 1, f"broker {name} at {registration.broker_addr}")
        added = route_info.added_routes(registration)
        if added:
            self.routes.used = route_info.route_count()
            refuse_beyond(self.routes, self.routes.used, added, f"{added} more topics of broker {name}")
            own = route_info.route_count(name)
            half = Budget(self.routes.name, max(1, self.routes.maximum // 2), lambda _: self.routes.refuse())
            refuse_beyond(half, own, added, f"{added} more topics of broker {name}, which has {own}: half of all, and")

    def check_pair(self, kv_config: KVConfigManager, namespace: str, key: str, value: str) -> None:
        """Refuse a pair of the KV table that is too long, or a new key when there are too many.

        Raises:
            RequestError: Names the limit.
        """
        check_names("a name", namespace, key)
        if len(value) > VALUE_LENGTH_MAX:
            remark = f"a value of {len(value)} characters refused: the longest has {VALUE_LENGTH_MAX}"
            raise RequestError(ResponseCode.SYSTEM_ERROR, remark)
        self.kv_config.used = kv_config.pair_count
        if kv_config.get(namespace, key) is None:
            refuse_beyond(self.kv_config, self.kv_config.used, 1, f"key {key} of namespace {namespace}")

    def table(self, route_info: RouteInfoManager, kv_config: KVConfigManager) -> dict[str, str]:
        """Key → value for tools."""
        self.brokers.used = route_info.address_count
        self.routes.used = route_info.route_count()
        self.kv_config.used = kv_config.pair_count
        return {**self.brokers.table(), **self.routes.table(), **self.kv_config.table()}
