"""A broker that is killed under load: what it acknowledged is there when it is back, once and in order."""

import os
import signal
from typing import Any

import trio

from tests.cluster.steady_load import Load, check_nothing_lost

QUEUES = 4
KILLS = 3
ACKNOWLEDGED_BETWEEN_KILLS = 400


async def test_every_acknowledged_message_survives_a_killed_broker_once_and_in_order(cli: Any) -> None:
    nameserver = cli.up("--profile", "single")["nameserver"]
    assert cli.run("topic", "create", "orders", "--queues", str(QUEUES)).returncode == 0
    load = Load(nameserver, QUEUES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        for _ in range(KILLS):
            await load.wait_for_more(ACKNOWLEDGED_BETWEEN_KILLS)
            os.kill((await trio.to_thread.run_sync(cli.pids))["broker-a-0"], signal.SIGKILL)
        await load.wait_for_more(ACKNOWLEDGED_BETWEEN_KILLS)
        nursery.cancel_scope.cancel()

    check_nothing_lost(cli, load)
