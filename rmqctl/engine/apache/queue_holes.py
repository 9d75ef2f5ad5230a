"""Holes in consume queues that our nodes leave and Apache's broker would take for the end of the queue.

A clean stop of our broker fills up to 512 MiB of them; what is left, or what a kill left, is filled before a Java
node opens the store. Costs a look at the first file of each queue.
"""

from pathlib import Path

from rmqctl.profile.model import ClusterModel
from rmqnode.config import BrokerConfig
from rmqnode.store import StoreError
from rmqnode.store.mapped_file import MappingBudget
from rmqnode.store.queue_table import QueueTable

_MAPPED_MAX = 16


def fill_queue_holes(model: ClusterModel) -> None:
    """Fill them in the stores of all Java brokers; nobody may have these stores open."""
    default_size = str(BrokerConfig().mapped_file_size_consume_queue_bytes)
    for node in model.brokers:
        if node.java is None:
            continue
        folder = Path(node.properties["storePathRootDir"]) / "consumequeue"
        size = int(node.properties.get("mappedFileSizeConsumeQueue", default_size))
        table = QueueTable(folder, size, MappingBudget(_MAPPED_MAX))
        try:
            table.load_untouched()
            table.fill_holes()
        except (StoreError, OSError):
            # What is wrong with the store is the node's to say.
            continue
