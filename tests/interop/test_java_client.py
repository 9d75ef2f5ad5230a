"""The official Java client, three versions of it and both serializations, against a running cluster.

Each test judges what one case of the Java program saw. On Apache's own nodes every one of them passes: a case that
fails on its judge is a wrong case.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from tests.interop.java_client import Line
from tests.interop.java_run import LITE_PULL, Run

MASTERS = ["broker-a", "broker-b"]
NAMESERVERS = 2


def routed(brokers: Iterable[str], *, read: int, write: int) -> list[Line]:
    """The routes that every nameserver gives for a topic with these queue counts on each of the brokers."""
    return [{name: {"read": read, "write": write, "perm": 6} for name in brokers}] * NAMESERVERS


def check_stored(saw: dict[str, Any]) -> None:
    """Every message that was sent is stored where its answer said, each queue without gaps and nothing else."""
    assert {sent["status"] for sent in saw["sent"]} == {"SEND_OK"}
    wanted: dict[str, dict[int, str]] = {}
    for sent in saw["sent"]:
        wanted.setdefault(sent["queue"], {})[sent["offset"]] = sent["body"]
    stored = {queue: dict(enumerate(bodies)) for queue, bodies in saw["stored"].items() if bodies}
    assert stored == wanted
    assert len({sent["msg_id"] for sent in saw["sent"]}) == len(saw["sent"])
    assert len({sent["offset_msg_id"] for sent in saw["sent"]}) == len(saw["sent"])


def check_each_once(received: list[str], sent: list[str]) -> None:
    """Every message was received exactly once, in whatever order."""
    assert Counter(received) == Counter(sent)


def check_in_order(per_queue: dict[str, list[str]], sent: list[str]) -> None:
    """The queues together hold what was sent, each in the order of sending."""
    assert sum(map(len, per_queue.values())) == len(sent)
    position = {body: index for index, body in enumerate(sent)}
    for bodies in per_queue.values():
        assert bodies == sorted(bodies, key=position.__getitem__)


def test_topic_created_by_a_producer_is_routed_with_its_queues(run: Run) -> None:
    saw = run.saw("create_topic_by_producer")
    assert saw["routes"] == routed(MASTERS, read=3, write=3)


def test_topic_created_by_an_admin_has_its_own_read_and_write_queue_counts(run: Run) -> None:
    saw = run.saw("create_topic_by_admin")
    assert saw["created"] == routed(MASTERS, read=5, write=3)
    assert saw["changed"] == routed(MASTERS, read=6, write=7)
    assert (saw["publish_queues"], saw["subscribe_queues"]) == (14, 12)


def test_deleted_topic_leaves_route_and_list(run: Run) -> None:
    saw = run.saw("delete_topic")
    assert saw == {"listed_before": True, "routes": [{}] * NAMESERVERS, "listed_after": False}


def test_first_send_creates_an_unknown_topic_from_tbw102(run: Run) -> None:
    saw = run.saw("auto_created_topic")
    check_stored(saw)
    used = {sent["queue"].split(":")[0] for sent in saw["sent"]}
    assert saw["routes"] == routed(used, read=4, write=4)


def test_client_refuses_an_illegal_topic_name(run: Run) -> None:
    assert run.saw("illegal_topic_name")["refused"] == ["订单", "white space", "slash/ed", ""]


def test_cluster_info_names_every_broker(run: Run) -> None:
    saw = run.saw("cluster_info")
    assert {name: sorted(brokers) for name, brokers in saw["clusters"].items()} == {"DefaultCluster": MASTERS}
    ids = ["0", "1"] if run.engine == "embedded" else ["0"]
    assert {name: list(addresses) for name, addresses in saw["brokers"].items()} == dict.fromkeys(MASTERS, ids)


@pytest.mark.parametrize("case", ["send_sync", "send_async", "send_over_vip_channel"])
def test_sent_message_is_stored_where_the_answer_says(run: Run, case: str) -> None:
    saw = run.saw(case)
    assert saw.get("errors", []) == []
    check_stored(saw)
    used = {sent["queue"] for sent in saw["sent"]}
    queues = {f"{name}:{queue}" for name in MASTERS for queue in range(4)}
    # The client goes round the queues per thread, each from a random start; asynchronous sends have many threads.
    assert used <= queues if case == "send_async" else used == queues


def test_oneway_messages_arrive(run: Run) -> None:
    saw = run.saw("send_oneway")
    assert Counter(saw["stored"][saw["queue"]]) == Counter(saw["bodies"])


def test_batch_is_stored_as_single_messages_in_order(run: Run) -> None:
    saw = run.saw("send_batch")
    assert [batch["result"]["status"] for batch in saw["batches"]] == ["SEND_OK", "SEND_OK"]
    assert [batch["result"]["offset"] for batch in saw["batches"]] == [0, 60]
    queue = saw["batches"][0]["result"]["queue"]
    assert saw["stored"][queue] == saw["batches"][0]["bodies"] + saw["batches"][1]["bodies"]
    for batch in saw["batches"]:
        assert len(set(batch["result"]["offset_msg_id"].split(","))) == 60


def test_push_consumer_gets_old_and_new_messages_once(run: Run) -> None:
    saw = run.saw("push_concurrently")
    check_each_once(saw["received"], saw["sent_before_start"] + saw["sent_after_start"])


@pytest.mark.parametrize(("case", "suspended"), [("push_orderly", 0), ("orderly_suspend", 20)])
def test_orderly_consumers_keep_the_order_of_each_queue(run: Run, case: str, suspended: int) -> None:
    saw = run.saw(case)
    assert sum(map(len, saw["sent"].values())) == 200
    assert len(saw["sent"]) == 6
    assert saw["consumed"] == saw["sent"]
    assert saw["overlaps"] == 0
    assert saw["suspended"] == suspended


def test_a_global_order_is_kept_when_a_consumer_leaves(run: Run) -> None:
    saw = run.saw("orderly_takeover")
    ((queue, sent),) = saw["sent"].items()
    # The one that takes over may see again what the other had not yet committed, but from there on in order.
    consumed = saw["consumed"][queue]
    assert list(dict.fromkeys(consumed)) == sent
    again = len(consumed) - len(sent)
    assert sum(later != earlier + 1 for earlier, later in pairwise(map(sent.index, consumed))) <= (1 if again else 0)
    assert saw["overlaps"] == 0


def test_two_consumers_share_2000_messages_over_8_queues(run: Run) -> None:
    saw = run.saw("two_consumers_share_a_backlog")
    assert saw["sent"] == 2000
    assert saw["distinct"] == 2000
    assert saw["foreign"] == []
    assert saw["queues_together"] == 8
    assert sum(saw["received"]) == 2000, "duplicates in a quiet group"
    assert min(saw["received"]) == 1000


def test_consumer_takes_over_the_queues_of_one_that_left(run: Run) -> None:
    # A client looks for itself only every 20 s: sooner means that the broker told it.
    assert run.saw("two_consumers_share_a_backlog")["takeover_seconds"] < 15


def test_consumer_goes_on_where_it_stopped(run: Run) -> None:
    saw = run.saw("offsets_survive_a_restart")
    check_each_once(saw["received_first"], saw["first"])
    check_each_once(saw["received_second"], saw["second"])


def test_broadcast_reaches_every_consumer_of_the_group(run: Run) -> None:
    saw = run.saw("broadcasting")
    for received in saw["received"]:
        check_each_once(received, saw["sent"])


def test_clients_write_and_read_message_traces(run: Run) -> None:
    saw = run.saw("message_trace")
    # Why the others trace no consumption here: TraceCases.java.
    assert saw["kinds"] == ["Pub", "SubBefore", "SubAfter"][: 3 if run.client.version == "4.9.7" else 1]
    assert saw["received"] == ["traced"]


def test_tag_filter_lets_only_its_tags_through(run: Run) -> None:
    saw = run.saw("tag_filter")
    check_each_once(saw["received"], [f"tagged-{i}" for i in range(30) if i % 4 in (0, 2)])
    check_each_once(saw["colliding"], [f"tagged-{i}" for i in range(30) if i % 4 == 1])


def test_chinese_text_in_body_keys_tag_and_properties_survives(run: Run) -> None:
    saw = run.saw("properties")
    assert saw["body"] == '{"note": "已付款"}'
    assert (saw["keys"], saw["tags"], saw["flag"], saw["buyer"]) == ("订单-7 k2", "支付", 42, "买家")
    assert saw["note"] == '第七号订单 = ok; "quoted"'
    assert saw["same_id"]
    assert saw["offset"] == saw["sent"]["offset"]


def test_compressed_body_is_stored_compressed_and_received_whole(run: Run) -> None:
    saw = run.saw("compressed_body")
    assert saw["same_body"]
    assert saw["sys_flag"] & 0x701  # the 5.3 client clears bit 0 when it decompresses and leaves the algorithm's bits
    assert saw["store_size"] < saw["body_size"] / 10


def test_pull_consumer_reads_every_queue_and_commits_its_offsets(run: Run) -> None:
    saw = run.saw("pull_consumer")
    assert len(saw["pulled"]) == 4
    check_in_order(saw["pulled"], saw["sent"])
    assert saw["committed"] == {queue: len(bodies) for queue, bodies in saw["pulled"].items()}
    assert saw["found"] == saw["committed"]


def test_pull_answers_with_status_and_next_offset(run: Run) -> None:
    saw = run.saw("pull_statuses")
    found = {"min": 0, "max": 10}
    assert saw["empty_queue"] == {"status": "NO_NEW_MSG", "next": 0, "min": 0, "max": 0, "bodies": []}
    assert saw["found"] == found | {"status": "FOUND", "next": 7, "bodies": ["m-4", "m-5", "m-6"]}
    odd = ["m-1", "m-3", "m-5", "m-7", "m-9"]
    assert saw["one_tag"] == found | {"status": "FOUND", "next": 10, "bodies": odd}
    assert saw["no_match"] == found | {"status": "NO_MATCHED_MSG", "next": 10, "bodies": []}
    assert saw["at_the_end"] == found | {"status": "NO_NEW_MSG", "next": 10, "bodies": []}
    assert saw["beyond_the_end"]["status"] == "OFFSET_ILLEGAL"
    assert saw["beyond_the_end"]["next"] in (0, 10)  # 4.5.2 goes back to the start, later brokers to the end


def test_held_pull_is_answered_as_soon_as_a_message_arrives(run: Run) -> None:
    saw = run.saw("long_poll")
    assert saw["held_before_the_message"]
    assert saw["woken_after_seconds"] < 2
    assert saw["result"] == {"status": "FOUND", "next": 1, "min": 0, "max": 1, "bodies": ["woken"]}


def test_queue_offsets_are_found_by_end_and_by_time(run: Run) -> None:
    saw = run.saw("queue_offsets")
    assert (saw["max_when_empty"], saw["min"], saw["max"]) == (0, 0, 10)
    times = saw["store_times"]
    assert len(set(times)) == 10
    assert saw["searched"] == list(range(10))
    assert saw["searched_long_before"] == 0
    assert saw["searched_long_after"] in (9, 10)  # 4.5.2 gives the last message, 5.3 the end
    assert saw["earliest_store_time"] <= times[0]


def test_lite_pull_consumer_gets_every_message(run: Run) -> None:
    saw = run.saw(LITE_PULL)
    check_each_once(saw["received"], saw["sent"])
