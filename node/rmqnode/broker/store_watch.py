"""Says what is wrong with the store of a running broker: damage that a start found, and folders that vanish.

Who deletes or moves the folder of a running broker does not stop it: its files are open, and messages would go on into
files that nobody finds again. So the folders are looked at once a second, and when they are no longer those that were
opened no message is acknowledged any more. Reads go on as far as files are open.
"""

import logging
from typing import Final

import trio

from rmqnode.broker.limitations import Limit, Limitations
from rmqnode.store import MessageStore

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 1.0
"""Messages of so long, at most, are acknowledged after a folder has gone."""


class StoreWatch:
    """Watches one store.

    Args:
        store: Open.
        limitations: Where what is wrong is reported.
    """

    def __init__(self, store: MessageStore, limitations: Limitations) -> None:
        self._store = store
        self._limitations = limitations

    async def run(self) -> None:
        """Service: report damage, then look at the folders until one has gone."""
        damage = self._store.damage.describe()
        if damage is not None:
            self._limitations.report(Limit.STORE, damage)
        while True:
            gone = await trio.to_thread.run_sync(self._store.find_gone)
            if gone is not None:
                break
            await trio.sleep(CHECK_SECONDS)
        self._store.refuse_puts(gone)
        sentence = f"{gone} was deleted or moved under the running broker: sends are refused; stop it and put that back"
        logger.error("%s", sentence)
        self._limitations.report(Limit.STORE, sentence)
