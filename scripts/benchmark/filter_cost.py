"""What a SQL92 filter costs: the same half of a backlog, wanted by its tag and by an expression."""

from pathlib import Path

from rmqnode.protocol.message.batch import BatchPart, encode_batch
from scripts.benchmark.broker_probe import BrokerProbe
from scripts.benchmark.consumption import Consumption, consume_backlog
from scripts.benchmark.engines import RunningCluster

Rows = dict[str, float]

TOPIC = "scripts-bench-filter"
QUEUES = 8
BACKLOG = 400_000
BATCH = 200
"""Messages of one request while the backlog is made."""
ROUNDS = 2
"""Both consumers work the backlog off so often; in the last round everything is warm, and it counts."""
FILTERS = {"TAG": "TagA", "SQL92": "region = 'EU' AND price BETWEEN 10 AND 99"}
"""Either lets every second message through."""
BODY = bytes(128)


def filter_cost(cluster: RunningCluster, home: str) -> Rows:
    """Measure the consumers, by tag and by expression, on the one master of a cluster."""
    _fill(cluster)
    found: dict[str, Consumption] = {}
    for number in range(ROUNDS):
        for kind, expression in FILTERS.items():
            file = Path(home) / f"{kind}.filter"
            file.write_text(expression)
            group = f"scripts-bench-{kind}-{number}"
            found[kind] = consume_backlog(cluster, TOPIC, QUEUES, group, home, "-f", kind, "-e", str(file))
    rows: Rows = {}
    for kind, consumption in found.items():
        rows[f"half of the messages wanted by {kind}: passed (messages/s)"] = consumption.messages_per_second
        rows[f"half of the messages wanted by {kind}: broker CPU a message passed (µs)"] = (
            consumption.broker_cpu_seconds_per_message * 1e6
        )
    by_tag, by_sql = found["TAG"], found["SQL92"]
    rows["broker CPU, SQL92 to TAG"] = by_sql.broker_cpu_seconds_per_message / by_tag.broker_cpu_seconds_per_message
    rows["messages/s, SQL92 to TAG"] = by_sql.messages_per_second / by_tag.messages_per_second
    return rows


def _fill(cluster: RunningCluster) -> None:
    ((address, _),) = cluster.masters.values()
    with BrokerProbe(address) as broker:
        broker.create_topic(TOPIC, QUEUES)
        for index in range(BACKLOG // BATCH):
            broker.send_batch(TOPIC, index % QUEUES, encode_batch(_part(number) for number in range(BATCH)))


def _part(number: int) -> BatchPart:
    wanted = number % 2 == 0
    properties = {
        "KEYS": f"order-{number}",
        "UNIQ_KEY": f"7F0000010002265355FD{number:012X}",
        "WAIT": "true",
        "TAGS": "TagA" if wanted else "TagB",
        "region": "EU" if wanted or number % 3 else "US",
        "price": str(number % 90 + 10 if wanted else number % 10),
    }
    return BatchPart(0, BODY, "".join(f"{name}\x01{value}\x02" for name, value in properties.items()).encode())
