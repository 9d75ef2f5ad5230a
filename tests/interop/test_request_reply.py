"""Request and reply of our client on Apache's 4.9.7: brokers pass replies on since 4.6. On our nodes: tests/cluster."""

import pytest

from tests.clients.request_reply_cases import RequestReplyCases
from tests.interop.clusters import engines
from tests.interop.conftest import ClusterOf


@pytest.fixture(scope="module")
def nameserver(cluster_of: ClusterOf) -> str:
    """Apache's 4.9.7."""
    if "apache" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves Apache's nodes out")
    return cluster_of("apache", "4.9.7").nameserver_address


class TestRequestReply(RequestReplyCases):
    """On Apache's nodes."""
