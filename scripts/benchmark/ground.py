"""What sections stand on: a folder that goes, and a topic on the only master."""

import tempfile

from scripts.benchmark.broker_probe import BrokerProbe
from scripts.benchmark.engines import RunningCluster

QUEUES = 8
TOPIC = "scripts-bench"


def temporary_home() -> tempfile.TemporaryDirectory[str]:
    """A folder for one cluster, or for one after the other."""
    return tempfile.TemporaryDirectory(prefix="rmqctl-bench-")


def master_of(cluster: RunningCluster) -> tuple[str, int]:
    """Address and process id of the only master."""
    (master,) = cluster.masters.values()
    return master


def create_topic(cluster: RunningCluster) -> None:
    """Create the topic of the benchmark."""
    with BrokerProbe(master_of(cluster)[0]) as broker:
        broker.create_topic(TOPIC, QUEUES)
