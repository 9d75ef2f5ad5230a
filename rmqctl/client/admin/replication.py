"""How far the slaves of a cluster are behind their masters, as the brokers say themselves.

Asks every broker once (GET_BROKER_RUNTIME_INFO) and compares; `compare` is pure. Apache's brokers answer too, with
fewer keys: what they do not say is None.
"""

from collections.abc import Mapping

import msgspec
import trio

from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.java_text import parse_long

_ANSWER_SECONDS = 2.0

Info = Mapping[str, str]


class PairMember(msgspec.Struct, frozen=True):
    """One broker of the cluster that is asked about."""

    node: str
    broker_name: str
    broker_id: int
    address: str


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One master and one of its slaves; the keys are in `rmqctl status --json`."""

    broker: str
    """Broker name that both share."""
    master: str
    slave: str
    master_role: str | None
    """`ASYNC_MASTER` or `SYNC_MASTER`; None if the master does not answer or is Apache's."""
    sync_state: str
    """`in_sync`, `catching_up`, `refused`, `connecting`, `comparing`, `no_master`, `master_down`, `slave_down`."""
    problem: str | None
    """Why the slave does not follow, in words."""
    master_offset: int | None
    """Where the master's log ends, in bytes."""
    synchronized_offset: int | None
    """Where the slave's log ends, in bytes."""
    bytes_behind: int | None
    seconds_behind: float | None
    """Store time between the last message of the master and that of the slave; 0 when they are level."""


async def ask_replication(members: list[PairMember]) -> list[ReplicaStatus]:
    """Ask all brokers at once, and compare each slave with its master."""
    answers: dict[str, Info | None] = {}

    async def ask(member: PairMember) -> None:
        answers[member.node] = await runtime_info(client, member.address)

    async with RemotingClient() as client, trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(ask, member)
    masters = {member.broker_name: member for member in members if member.broker_id == 0}
    return [
        compare(masters[member.broker_name], answers[masters[member.broker_name].node], member, answers[member.node])
        for member in members
        if member.broker_id and member.broker_name in masters
    ]


async def runtime_info(client: RemotingClient, address: str) -> Info | None:
    """What a broker says of itself; None when it does not answer."""
    command = Command(code=RequestCode.GET_BROKER_RUNTIME_INFO)
    try:
        answer = await client.request(address, command, timeout_seconds=_ANSWER_SECONDS)
        return KVTable.decode(answer.body).table if answer.code == ResponseCode.SUCCESS else None
    except (RemotingError, ProtocolError):
        return None


def compare(master: PairMember, master_info: Info | None, slave: PairMember, slave_info: Info | None) -> ReplicaStatus:
    """Compare what a master and its slave say; None for one that does not answer."""
    master_offset = _number(master_info, "commitLogMaxOffset")
    slave_offset = _number(slave_info, "commitLogMaxOffset")
    behind = None
    if master_offset is not None and slave_offset is not None:
        # The slave was asked at another moment: it may have got more since its master answered.
        behind = max(0, master_offset - slave_offset)
    state = _sync_state(master_info, slave_info, behind)
    return ReplicaStatus(
        broker=master.broker_name,
        master=master.node,
        slave=slave.node,
        master_role=(master_info or {}).get("brokerRole"),
        sync_state=state,
        problem=(slave_info or {}).get("haProblem") or None if state != "in_sync" else None,
        master_offset=master_offset,
        synchronized_offset=slave_offset,
        bytes_behind=behind,
        seconds_behind=_seconds_behind(master_info, slave_info, behind),
    )


def _sync_state(master_info: Info | None, slave_info: Info | None, behind: int | None) -> str:
    if slave_info is None:
        return "slave_down"
    link_state = slave_info.get("haState", "following")
    if link_state == "refused":
        return "refused"
    if master_info is None:
        return "master_down"
    if link_state != "following":
        return link_state
    return "catching_up" if behind else "in_sync"


def _seconds_behind(master_info: Info | None, slave_info: Info | None, behind: int | None) -> float | None:
    if behind == 0:
        return 0.0
    times = [_number(info, "lastStoreTimestamp") for info in (master_info, slave_info)]
    if behind is None or not times[0] or not times[1]:
        return None
    return max(0, times[0] - times[1]) / 1000


def _number(info: Info | None, key: str) -> int | None:
    return parse_long((info or {}).get(key, ""))
