"""The producer of our client on our own nodes. The same cases run on Apache's nodes in tests/interop."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.producer_cases import ProducerCases
from tests.clients.request_reply_cases import RequestReplyCases
from tests.cluster.conftest import Cli


@pytest.fixture(scope="module")
def nameserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two masters, for all tests of this module."""
    cli: Any = Cli(tmp_path_factory.mktemp("producer"))
    cli.up("--profile", "2m-noslave")
    yield ";".join(f"127.0.0.1:{port + cli.port_offset}" for port in (9876, 9877))
    assert cli.run("down").returncode == 0
    assert cli.leftover() == []


class TestProducer(ProducerCases):
    """On our nodes."""


class TestRequestReply(RequestReplyCases):
    """On our nodes."""
