"""The admin of our client on Apache's own nodes. The same cases run on our nodes in tests/cluster."""

import pytest

from tests.clients.admin_cases import AdminCases
from tests.interop.clusters import engines
from tests.interop.conftest import ClusterOf


@pytest.fixture(scope="module")
def nameserver(cluster_of: ClusterOf) -> str:
    """Apache's 4.5.2."""
    if "apache" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves Apache's nodes out")
    return cluster_of("apache").nameserver_address


class TestAdmin(AdminCases):
    """On Apache's nodes."""
