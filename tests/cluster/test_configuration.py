"""What tools change in running brokers: it survives the next `up`, and everybody is told."""

from typing import Any

import trio

from rmqnode.config import parse_properties
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command


def ask(address: str, code: RequestCode, body: bytes = b"") -> Command:
    async def request() -> Command:
        async with RemotingClient() as client:
            return await client.request(address, Command(code=code, body=body), timeout_seconds=10)

    return trio.run(request)


def shown(address: str) -> dict[str, str]:
    return parse_properties(ask(address, RequestCode.GET_BROKER_CONFIG).body).as_mapping()


def test_a_change_survives_down_and_up_and_is_shown_as_drift(cli: Any) -> None:
    cli.up("--profile", "single", "--set", "brokers:traceOn=true")
    assert cli.status()["drift"] == []
    address = f"127.0.0.1:{10911 + cli.port_offset}"
    change = b"traceOn=false\nmaxMessageSize=65536\n"
    assert ask(address, RequestCode.UPDATE_BROKER_CONFIG, change).code == 0
    assert (shown(address)["traceOn"], shown(address)["maxMessageSize"]) == ("false", "4194304")
    drift = [
        {"node": "broker-a-0", "key": "traceOn", "value": "false", "profile_value": "true"},
        {"node": "broker-a-0", "key": "maxMessageSize", "value": "65536", "profile_value": None},
    ]
    assert cli.status()["drift"] == drift
    told = cli.run("status").stderr
    assert "  broker-a-0: traceOn=false (profile: true)\n" in told
    assert "  broker-a-0: maxMessageSize=65536 (profile: the default)\n" in told

    cli.run("down")
    assert cli.up()["drift"] == drift
    assert (shown(address)["traceOn"], shown(address)["maxMessageSize"]) == ("false", "65536")
    file = cli.run("conf", "show", "broker-a-0")
    assert "traceOn=true" in file.stdout
    assert "  broker-a-0: traceOn=false (profile: true)\n" in file.stderr

    assert ask(address, RequestCode.UPDATE_BROKER_CONFIG, b"traceOn=true").code == 0
    assert cli.status()["drift"] == drift[1:]
    cli.run("down")
