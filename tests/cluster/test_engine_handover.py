"""A whole 2m-2s goes from our engine to Apache's and back, on the same home: the way to outgrow one engine."""

import json
from functools import partial
from typing import Any

import pytest
import trio

from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from tests.cluster.java import nothing_runs, require_apache, tail

GROUP = "billing"


@pytest.mark.long
def test_2m_2s_goes_to_the_other_engine_and_back_with_nothing_lost(cli: Any) -> None:
    require_apache("4.5.2")
    cli.up("--profile", "2m-2s")
    assert cli.run("topic", "create", "orders", "--queues", "2").returncode == 0
    assert cli.run("send", "orders:paid", "by ours", "--count", "20").returncode == 0
    commit_offset(master_address(cli), 7)
    down_and_verify(cli)

    cli.up("--profile", "2m-2s", "--engine", "apache")
    assert tail(cli, 20).count("by ours") == 20
    assert committed_offset(master_address(cli)) == 7
    assert cli.run("send", "orders:paid", "by apache", "--count", "5").returncode == 0
    commit_offset(master_address(cli), 9)
    down_and_verify(cli)

    cli.up("--profile", "2m-2s", "--engine", "embedded")
    received = tail(cli, 25)
    assert (received.count("by ours"), received.count("by apache")) == (20, 5)
    assert committed_offset(master_address(cli)) == 9
    down_and_verify(cli)


def down_and_verify(cli: Any) -> None:
    assert cli.run("down").returncode == 0
    assert nothing_runs(cli)
    for node in ("broker-a-0", "broker-a-1", "broker-b-0", "broker-b-1"):
        verified = cli.run("store", "verify", str(cli.home / "rmqctl" / node / "store"))
        assert verified.returncode == 0, f"{node}: {verified.stdout}{verified.stderr}"


def master_address(cli: Any) -> str:
    status = json.loads(cli.run("status", "--json").stdout)
    (address,) = [node["address"] for node in status["nodes"] if node["name"] == "broker-a-0"]
    return str(address)


def commit_offset(address: str, offset: int) -> None:
    fields = {"consumerGroup": GROUP, "topic": "orders", "queueId": "0", "commitOffset": str(offset)}
    assert ask(address, RequestCode.UPDATE_CONSUMER_OFFSET, fields).code == ResponseCode.SUCCESS


def committed_offset(address: str) -> int:
    fields = {"consumerGroup": GROUP, "topic": "orders", "queueId": "0"}
    answer = ask(address, RequestCode.QUERY_CONSUMER_OFFSET, fields)
    assert answer.ext_fields is not None, answer.remark
    return int(answer.ext_fields["offset"])


def ask(address: str, code: RequestCode, fields: dict[str, str]) -> Command:
    async def request() -> Command:
        async with RemotingClient() as client:
            return await client.request(address, Command(code=code, ext_fields=fields), timeout_seconds=10)

    return trio.run(partial(request))
