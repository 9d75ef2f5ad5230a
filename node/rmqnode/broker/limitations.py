"""Why a broker serves less than it should: the reasons that `rmqctl status` shows with the state `limited`.

A service that meets a limit reports it here and takes it back when it is over. `runtime_info` hands the reasons out.
"""

import logging
from enum import StrEnum

logger = logging.getLogger(__name__)


class Limit(StrEnum):
    """What limits a broker. The value is part of a key in GET_BROKER_RUNTIME_INFO, `limited.disk`."""

    DISK = "disk"
    """No space for messages: reads go on, sends are refused."""
    MEMORY = "memory"
    """A budget of bytes or entries is used up."""
    DESCRIPTORS = "descriptors"
    """New connections are refused."""
    REPLICATION = "replication"
    """The slave stopped following its master, or cannot start to."""
    STORE = "store"
    """Part of the store is damaged or gone."""
    CONFIGURATION = "configuration"
    """Keys were set aside because a start could not take them."""


class Limitations:
    """The reasons of one broker, one sentence for each limit."""

    def __init__(self) -> None:
        self._sentences: dict[Limit, str] = {}

    def report(self, limit: Limit, sentence: str) -> None:
        """Note a limit; a sentence that is new is logged once at WARNING.

        Args:
            limit: What limits the broker.
            sentence: Without a full stop, without control characters: `no space on /data (0 bytes free): …`.
        """
        if self._sentences.get(limit) != sentence:
            self._sentences[limit] = sentence
            logger.warning("limited by=%s reason=%s", limit.value, sentence)

    def clear(self, limit: Limit) -> None:
        """Take a limit back; logged once."""
        if self._sentences.pop(limit, None) is not None:
            logger.info("no longer limited by=%s", limit.value)

    def table(self) -> dict[str, str]:
        """Key of GET_BROKER_RUNTIME_INFO → sentence; empty when nothing limits the broker."""
        return {f"limited.{limit.value}": sentence for limit, sentence in self._sentences.items()}
