"""Who may copy this broker's log: the stream has neither names nor passwords, so the address decides.

    from                                                slaves at once
    ---------------------------------------------------------------------------------------
    this machine (loopback, or our own end's address)   16, more if the route knows more
    a slave of this broker name in a nameserver         as many as are registered there
    an address of `haAllowedAddresses`                  4
    anywhere else                                       none; the nameservers are asked first

What nameservers said is remembered while they are away. Differs from 4.5.2, whose master serves whoever connects.
"""

import ipaddress
import logging
import socket
from collections import Counter
from typing import Final

import trio

from rmqnode.config import BrokerConfig
from rmqnode.ha.slave_slots import IpAddress, parse_ip
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import ClusterInfo
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError

logger = logging.getLogger(__name__)

_ON_THIS_MACHINE: Final = 16
"""Several slaves on one machine are one profile; they have one address."""
_ALLOWED: Final = 4
"""Behind one allowed address may be a few: a container host, for instance."""
_ASK_SECONDS: Final = 2.0
_ASK_AGAIN_SECONDS: Final = 1.0
"""Strangers that keep connecting make the nameservers be asked no more often than this."""
_KNOWN_MAX: Final = 256
_REPORTED_MAX: Final = 1000
"""Addresses that are in the log; afterwards refusals are only counted."""


class SlaveAdmission:
    """Decides about the connections to one master's HA port.

    Args:
        config: Of this broker.
        client: For requests to the nameservers.
    """

    def __init__(self, config: BrokerConfig, client: RemotingClient) -> None:
        self._config = config
        self._client = client
        self._networks = [ipaddress.ip_network(each, strict=False) for each in config.ha_allowed_addresses]
        self._known: dict[IpAddress, int] = {}
        self._reported: set[IpAddress] = set()
        self._asked_at = -_ASK_AGAIN_SECONDS
        self._asking = trio.Lock()
        self.refused_count = 0
        """Connections of strangers that were closed."""

    async def slaves_at(self, peer: IpAddress, own: IpAddress, connected: int) -> int:
        """How many slaves may be connected from an address; 0 for a stranger's, which is counted and logged once."""
        allowed = self._allowed(peer, own)
        if connected >= allowed:
            # A stranger, or one slave more than was registered when the nameservers were asked last.
            await self._ask_nameservers()
        found = max(allowed, self._known.get(peer, 0))
        if not found:
            self._refuse(peer)
        return found

    def _allowed(self, peer: IpAddress, own: IpAddress) -> int:
        known = self._known.get(peer, 0)
        if peer.is_loopback or peer == own:
            return max(_ON_THIS_MACHINE, known)
        if any(peer.version == network.version and peer in network for network in self._networks):
            return max(_ALLOWED, known)
        return known

    def _refuse(self, peer: IpAddress) -> None:
        self.refused_count += 1
        if peer in self._reported or len(self._reported) >= _REPORTED_MAX:
            return
        self._reported.add(peer)
        logger.warning(
            "replication refused peer=%s refused=%d reason=no slave of %s is registered at this address; "
            "if it is one, name it in haAllowedAddresses",
            peer,
            self.refused_count,
            self._config.broker_name,
        )

    async def _ask_nameservers(self) -> None:
        """Learn where slaves of this broker name are; the addresses that are known stay."""
        async with self._asking:
            if trio.current_time() - self._asked_at < _ASK_AGAIN_SECONDS:
                return
            with trio.move_on_after(_ASK_SECONDS):
                async with trio.open_nursery() as nursery:
                    for address in self._config.namesrv_addr:
                        nursery.start_soon(self._ask, address)
            self._asked_at = trio.current_time()

    async def _ask(self, nameserver: str) -> None:
        command = Command(code=RequestCode.GET_BROKER_CLUSTER_INFO)
        try:
            answer = await self._client.request(nameserver, command, timeout_seconds=_ASK_SECONDS)
            if answer.code != ResponseCode.SUCCESS:
                return
            broker = ClusterInfo.decode(answer.body).broker_addr_table.get(self._config.broker_name)
        except (RemotingError, ProtocolError) as error:
            logger.info("slaves not learnt nameserver=%s reason=%s", nameserver, error)
            return
        addresses = {} if broker is None else broker.broker_addrs
        slaves = [address.rpartition(":")[0] for broker_id, address in addresses.items() if broker_id]
        counts: Counter[IpAddress] = Counter()
        for host in slaves[:_KNOWN_MAX]:
            for ip in await _resolve(host):
                counts[ip] += 1
        for ip, count in counts.items():
            if ip in self._known or len(self._known) < _KNOWN_MAX:
                self._known[ip] = count


async def _resolve(host: str) -> set[IpAddress]:
    """The addresses of a slave as it is registered; none for a name that nobody knows."""
    try:
        return {parse_ip(host.strip("[]"))}
    except ValueError:
        pass
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {parse_ip(str(entry[4][0])) for entry in found}
