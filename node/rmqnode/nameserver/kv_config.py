"""The KV table of a nameserver: namespace → key → value, the only thing it keeps on disk.

In practice it holds the order configuration of topics (namespace `ORDER_TOPIC_CONFIG`).

Source: `KVConfigManager` (RocketMQ 4.5.2); the file is `{"configTable":{namespace:{key:value}}}`.
"""

from collections.abc import Generator
from pathlib import Path

from rmqnode.net.written_table import WrittenTable
from rmqnode.protocol.bodies import KVConfigSerializeWrapper
from rmqnode.store.config_file import ConfigFile

ORDER_TOPIC_CONFIG = "ORDER_TOPIC_CONFIG"
"""Namespace of the order configuration: topic → `broker-a:4;broker-b:4`."""


class KVConfigManager(WrittenTable[dict[str, str]]):
    """The KV table and its file. A change lasts once `when_written` says so.

    Raises:
        ConfigFileCorrupt: From the constructor, when neither the file nor its backup can be read.
    """

    def __init__(self, path: Path) -> None:
        file = ConfigFile(path)
        loaded = file.load(KVConfigSerializeWrapper.decode)
        super().__init__(file, {} if loaded is None else loaded.config_table)

    @property
    def pair_count(self) -> int:
        """How many keys there are in all namespaces."""
        return sum(map(len, self._entries.values()))

    def put(self, namespace: str, key: str, value: str) -> None:
        """Set a value.

        Raises:
            OSError: It could not be written; the table is as before.
        """
        if self.get(namespace, key) != value:
            self._replace(namespace, {**self._entries.get(namespace, {}), key: value})

    def delete(self, namespace: str, key: str) -> None:
        """Remove a value, if it is there.

        Raises:
            OSError: It could not be written; the table is as before.
        """
        if key in self._entries.get(namespace, {}):
            self._replace(namespace, {each: value for each, value in self._entries[namespace].items() if each != key})

    def get(self, namespace: str, key: str) -> str | None:
        """One value."""
        return self._entries.get(namespace, {}).get(key)

    def namespace(self, namespace: str) -> dict[str, str] | None:
        """All pairs of a namespace; None when nothing was ever put into it."""
        return self._entries.get(namespace)

    def _replace(self, namespace: str, pairs: dict[str, str]) -> None:
        self.replace_entries({**self._entries, namespace: pairs}, [namespace])

    def _text_steps(self) -> Generator[None, None, bytes]:
        return KVConfigSerializeWrapper(config_table=self._entries).encode_steps(size_bytes_max=None)
