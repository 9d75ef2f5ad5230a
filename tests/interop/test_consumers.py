"""Consumers of our client on Apache's own nodes. The same cases run on our nodes in tests/cluster."""

import pytest

from tests.clients.pull_consumer_cases import PullConsumerCases
from tests.clients.push_consumer_cases import PushConsumerCases
from tests.clients.remote_control_cases import RemoteControlCases
from tests.interop.clusters import engines
from tests.interop.conftest import ClusterOf


@pytest.fixture(scope="module")
def nameserver(cluster_of: ClusterOf) -> str:
    """Apache's 4.5.2."""
    if "apache" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves Apache's nodes out")
    return cluster_of("apache").nameserver_address


class TestPushConsumer(PushConsumerCases):
    """On Apache's nodes."""


class TestPullConsumer(PullConsumerCases):
    """On Apache's nodes."""


class TestRemoteControl(RemoteControlCases):
    """Through Apache's nodes."""
