"""Encrypted connections of our client to Apache's nodes, with a certificate of our own that it checks."""

import ssl
from pathlib import Path

import pytest

from rmqctl.client import Admin, Client, NameserverUnreachable, Producer, TopicSpec
from tests.cluster.java import require_apache
from tests.interop.apache_nodes import apache_cluster
from tests.interop.clusters import DEFAULT_JUDGE, engines

TLS_FOLDER = Path(__file__).resolve().parents[1] / "unit" / "client" / "tls"
JVM_OPTIONS = (
    "-Dtls.server.mode=enforcing",
    "-Dtls.test.mode.enable=false",
    f"-Dtls.server.certPath={TLS_FOLDER / 'certificate.pem'}",
    f"-Dtls.server.keyPath={TLS_FOLDER / 'key.pem'}",
    # For the broker, which is a client of its nameserver.
    "-Dtls.enable=true",
    "-Dtls.client.authServer=false",
)


async def test_a_client_with_a_context_sends_to_nodes_that_take_encrypted_connections_only(tmp_path: Path) -> None:
    if "apache" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves Apache's nodes out")
    require_apache(DEFAULT_JUDGE)
    context = ssl.create_default_context(cafile=TLS_FOLDER / "certificate.pem")
    with apache_cluster(tmp_path / "apache", masters=1, jvm_options=JVM_OPTIONS) as cluster:
        async with Client(cluster.nameserver_address, ssl_context=context, timeout_seconds=10) as client:
            await Admin(client).topics.create(TopicSpec("orders"), timeout_seconds=30)
            async with Producer("shop", client=client) as producer:
                large = await producer.send("orders", b"x" * 3_000_000)
                pending = [await producer.send_async("orders", str(number)) for number in range(500)]
                results = [await each.result() for each in pending]
        assert len({(result.queue_id, result.queue_offset) for result in (large, *results)}) == 501
        async with Client(cluster.nameserver_address) as plain:
            with pytest.raises(NameserverUnreachable):
                await plain.routes.get("orders")
