"""Which brokers a cluster has: all names, masters and slaves that the nameservers know. Values, no I/O."""

from collections.abc import Sequence

import msgspec

from rmqctl.client.errors import InvalidArgument, NoMaster
from rmqctl.client.routes import MASTER_ID
from rmqnode.protocol.bodies import ClusterInfo

ALL_BROKERS = "all"
"""In place of a broker name: every master of every cluster."""


class BrokerGroup(msgspec.Struct, frozen=True):
    """One broker name: a master and its slaves."""

    name: str
    cluster: str
    addresses: dict[int, str]
    """`ip:port` by broker id; 0 is the master."""


class Topology(msgspec.Struct, frozen=True):
    """All broker names, in order."""

    groups: tuple[BrokerGroup, ...]

    @property
    def clusters(self) -> list[str]:
        """Names of the clusters that register at these nameservers."""
        return sorted({group.cluster for group in self.groups})

    def masters_of(self, broker: str | None) -> dict[str, str]:
        """Return the masters that a change of a topic goes to: address by broker name.

        Args:
            broker: A broker name; `all` for those of all clusters; None for those of the only cluster.

        Raises:
            InvalidArgument: No such broker, or None was given and there are several clusters.
            NoMaster: There is no broker at all, or one of them has no master now.
        """
        chosen = self._chosen(broker)
        missing = [group.name for group in chosen if MASTER_ID not in group.addresses]
        if missing or not chosen:
            what = f"{' and '.join(missing)} has no master now" if missing else "no broker is registered"
            raise NoMaster(
                what,
                "a topic is created on masters, and none may be left out unnoticed" if missing else None,
                "start the missing brokers (rmqctl status), or name those to use: --broker NAME",
            )
        return {group.name: group.addresses[MASTER_ID] for group in chosen}

    def _chosen(self, broker: str | None) -> Sequence[BrokerGroup]:
        if broker == ALL_BROKERS:
            return self.groups
        if broker is not None:
            chosen = [group for group in self.groups if group.name == broker]
            if not chosen:
                names = ", ".join(group.name for group in self.groups) or "none"
                raise InvalidArgument(
                    f"there is no broker {broker}", f"registered are: {names}", "name one of them, or --broker all"
                )
            return chosen
        if len(self.clusters) > 1:
            raise InvalidArgument(
                "several clusters register at this nameserver, and no broker was named",
                f"they are: {', '.join(self.clusters)}",
                "--broker NAME, or --broker all for every master of all of them",
            )
        return self.groups


def topology_of(info: ClusterInfo) -> Topology:
    """Make the topology of a nameserver's GET_BROKER_CLUSTER_INFO."""
    groups = [
        BrokerGroup(name, broker.cluster, dict(sorted(broker.broker_addrs.items())))
        for name, broker in sorted(info.broker_addr_table.items())
    ]
    return Topology(tuple(groups))
