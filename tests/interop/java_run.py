"""Which cases of the Java program each client runs on which engine, and what it saw: shared by all tests of one run.

By default one Java client proves the cases on Apache's nodes; `--long` lets all of them.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.interop.clusters import DEFAULT_JUDGE, engines
from tests.interop.java_client import CLIENTS, JavaClient, Line

LITE_PULL = "lite_pull_consumer"
REQUEST_REPLY = "request_reply"
JUDGES = {LITE_PULL: "5.3.3", REQUEST_REPLY: "5.3.3"}
"""The version of Apache's nodes that judges a case, if it is not 4.5.2: it asks what only newer brokers answer."""
SINCE = {LITE_PULL: "4.9.7", REQUEST_REPLY: "4.9.7"}
"""The first of our clients that has what a case uses, if it is not 4.5.2."""
# The long waits come first, so that the program ends early.
CASES = [
    "transactions",
    "transaction_immunity",
    "failing_listener",
    "dead_letter",
    "configured_group",
    "orderly_takeover",
    "namespaces",
    REQUEST_REPLY,
    "delay_levels",
    "delayed_message",
    "delivery_time",
    "message_trace",
    "two_consumers_share_a_backlog",
    "push_orderly",
    "orderly_suspend",
    "offsets_survive_a_restart",
    "sql_resubscribe",
    "sql_retry",
    "sql_push",
    "push_concurrently",
    "broadcasting",
    "tag_filter",
    "properties",
    "compressed_body",
    LITE_PULL,
    "create_topic_by_producer",
    "create_topic_by_admin",
    "delete_topic",
    "auto_created_topic",
    "illegal_topic_name",
    "cluster_info",
    "send_sync",
    "send_async",
    "send_oneway",
    "send_batch",
    "send_over_vip_channel",
    "pull_consumer",
    "pull_statuses",
    "long_poll",
    "queue_offsets",
    "sql_pull",
    "sql_bad_expression",
]


def runs() -> list[Any]:
    """Every pair of engine and client; the tests of one pair share a run."""
    return [
        pytest.param(
            (engine, client),
            id=f"{engine}-{client}",
            marks=[pytest.mark.long] if engine == "apache" and client != CLIENTS[0] else [],
        )
        for engine in engines()
        for client in CLIENTS
    ]


def cases_of(client: JavaClient) -> list[str]:
    """The cases that a client can carry out."""
    return [case for case in CASES if client.version >= SINCE.get(case, client.version)]


def cases_by_judge(engine: str, cases: Iterable[str]) -> dict[str, list[str]]:
    """Version of Apache's nodes → the cases that it judges; our own nodes have to pass all of them."""
    judged: dict[str, list[str]] = {}
    for case in cases:
        judge = JUDGES.get(case, DEFAULT_JUDGE) if engine == "apache" else DEFAULT_JUDGE
        judged.setdefault(judge, []).append(case)
    return judged


class Run:
    """What one client saw on one engine's cluster."""

    def __init__(self, engine: str, client: JavaClient, lines: dict[str, Line]) -> None:
        self.engine = engine
        self.client = client
        self._lines = lines

    def saw(self, case: str) -> dict[str, Any]:
        """What the case saw; a case that could not be carried out fails the test with its reason."""
        if case not in cases_of(self.client):
            pytest.skip(f"client {self.client} cannot do that, {SINCE[case]} can")
        line = self._lines[case]
        if not line["ok"]:
            pytest.fail(f"{case} with client {self.client}: {line['error']}", pytrace=False)
        return dict(line["saw"])
