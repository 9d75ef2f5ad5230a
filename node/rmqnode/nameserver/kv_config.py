"""The KV table of a nameserver: namespace → key → value, the only thing it keeps on disk.

In practice it holds the order configuration of topics (namespace `ORDER_TOPIC_CONFIG`).

Source: `KVConfigManager` (RocketMQ 4.5.2); the file is `{"configTable":{namespace:{key:value}}}`.
"""

from pathlib import Path

from rmqnode.protocol.bodies import KVConfigSerializeWrapper
from rmqnode.store.config_file import ConfigFile

ORDER_TOPIC_CONFIG = "ORDER_TOPIC_CONFIG"
"""Namespace of the order configuration: topic → `broker-a:4;broker-b:4`."""


class KVConfigManager:
    """The KV table and its file. Every change is on disk when the method returns.

    Raises:
        ConfigFileCorrupt: From the constructor, when neither the file nor its backup can be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = ConfigFile(path)
        loaded = self._file.load(KVConfigSerializeWrapper.decode)
        self._table: dict[str, dict[str, str]] = {} if loaded is None else loaded.config_table

    @property
    def pair_count(self) -> int:
        """How many keys there are in all namespaces."""
        return sum(map(len, self._table.values()))

    def put(self, namespace: str, key: str, value: str) -> None:
        """Set a value.

        Raises:
            OSError: It could not be written; the table is as before.
        """
        self._replace(namespace, {**self._table.get(namespace, {}), key: value})

    def delete(self, namespace: str, key: str) -> None:
        """Remove a value, if it is there.

        Raises:
            OSError: It could not be written; the table is as before.
        """
        if key in self._table.get(namespace, {}):
            self._replace(namespace, {each: value for each, value in self._table[namespace].items() if each != key})

    def get(self, namespace: str, key: str) -> str | None:
        """One value."""
        return self._table.get(namespace, {}).get(key)

    def namespace(self, namespace: str) -> dict[str, str] | None:
        """All pairs of a namespace; None when nothing was ever put into it."""
        return self._table.get(namespace)

    def _replace(self, namespace: str, pairs: dict[str, str]) -> None:
        # fsync in the event loop: changes come from operators, a few a day, and must be durable when answered.
        table = {**self._table, namespace: pairs}
        self._file.save(KVConfigSerializeWrapper(config_table=table).encode().decode())
        self._table = table
