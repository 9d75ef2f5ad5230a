"""Names that Tab offers while a cluster runs."""

import subprocess
import sys
from typing import Any


def offered(cluster: Any, line: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "rmqctl", f"rmqctl {line}"],
        env={**cluster.environment, "_RMQCTL_COMPLETE": "bash"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_topics_groups_nodes_and_brokers_are_completed_live(shared_cluster: Any, topic: str) -> None:
    shared_cluster.run("group", "create", "billing")
    assert topic in offered(shared_cluster, "tail ")
    assert not [name for name in offered(shared_cluster, "tail ") if name.isupper() or name.startswith(("%", "broker"))]
    assert offered(shared_cluster, f"send {topic[:-2]}") == [topic]
    assert offered(shared_cluster, "group describe ") == ["billing"]
    assert offered(shared_cluster, "group lag b") == ["billing"]
    assert offered(shared_cluster, "group create x --broker ") == ["all", "broker-a", "broker-b"]
    assert offered(shared_cluster, "conf show broker") == ["broker-a-0", "broker-b-0"]
    assert offered(shared_cluster, "logs nam") == ["nameserver-0", "nameserver-1"]
    assert offered(shared_cluster, "down --cluster ") == ["rmqctl"]
    nameserver = shared_cluster.status()["nodes"][0]["address"]
    assert topic in offered(shared_cluster, f"tail --nameserver {nameserver} ")
