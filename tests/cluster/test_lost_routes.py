"""Routes that a stranger deletes at a nameserver come back by themselves; what is wiped stays so meanwhile."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command
from tests.cluster.java import nothing_runs, require_apache
from tests.cluster.profiles import write_profile
from tests.cluster.routes import write_permitted

WaitUntil = Callable[..., None]

OFTEN = "[properties.masters]\nregisterNameServerPeriod = 10000\n"
PERIOD_SECONDS = 10


def ask_nameserver(cli: Any, code: RequestCode, **fields: str) -> int:
    """Ask as anybody can who reaches the port; the response code."""

    async def ask() -> int:
        async with RemotingClient() as client:
            answer = await client.request(f"127.0.0.1:{9876 + cli.port_offset}", Command(code=code, ext_fields=fields))
            return answer.code

    return trio.run(ask)


def has_route(cli: Any, topic: str) -> bool:
    return ask_nameserver(cli, RequestCode.GET_ROUTEINTO_BY_TOPIC, topic=topic) == 0


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "apache"])
def test_a_topic_that_a_stranger_deleted_from_the_nameserver_is_sent_to_again(
    cli: Any, tmp_path: Path, wait_until: WaitUntil, engine: str
) -> None:
    if engine == "apache":
        require_apache("4.5.2")
    more = f'{OFTEN}[nodes.nameserver-0]\nengine = "{engine}"\n'
    cli.up("--profile", write_profile(tmp_path, more=more))
    assert cli.run("topic", "create", "orders", "--queues", "2").returncode == 0
    assert ask_nameserver(cli, RequestCode.DELETE_TOPIC_IN_NAMESRV, topic="orders") == 0
    # The registration of each period brings it back, or a look at the nameserver that finds it missing.
    wait_until(lambda: has_route(cli, "orders"), "the route is back", 4 * PERIOD_SECONDS)
    (route,) = json.loads(cli.run("topic", "route", "orders", "--json").stdout)["brokers"]
    assert (route["broker"], route["write_queues"]) == ("broker-a", 2)
    assert cli.run("send", "orders", "again").returncode == 0
    log = (cli.home / "rmqctl" / "broker-a-0" / "logs" / "broker-a-0.log").read_text()
    assert ("announced again" in log) == (engine == "apache")
    cli.run("down")
    assert nothing_runs(cli)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "apache"])
def test_a_broker_whose_write_permission_is_wiped_stays_out_of_use_over_registrations_until_it_is_drained(
    cli: Any, tmp_path: Path, engine: str
) -> None:
    if engine == "apache":
        require_apache("4.5.2")
    more = f'{OFTEN}[nodes.nameserver-0]\nengine = "{engine}"\n'
    cli.up("--profile", write_profile(tmp_path, more=more))
    assert ask_nameserver(cli, RequestCode.WIPE_WRITE_PERM_OF_BROKER, brokerName="broker-a") == 0
    end = time.monotonic() + 2.2 * PERIOD_SECONDS
    while time.monotonic() < end:
        assert not write_permitted(cli, "broker-a")
        time.sleep(0.5)
    assert cli.run("restart", "broker-a-0", "--drain-seconds", "2").returncode == 0
    assert write_permitted(cli, "broker-a")
    cli.run("down")
    assert nothing_runs(cli)
