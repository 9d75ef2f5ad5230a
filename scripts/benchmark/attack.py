"""Section `attack`: how a well-behaved client fares beside each attack, and how much memory the broker takes."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.benchmark.attacks import ATTACKS, attack_apart
from scripts.benchmark.broker_probe import BrokerProbe
from scripts.benchmark.engines import Engine
from scripts.benchmark.ground import QUEUES, TOPIC, create_topic, master_of, temporary_home

Rows = dict[str, float]

_RATE_PER_SECOND: Final = 100
_BODY: Final = bytes(128)
_NO_ATTACK: Final = "no attack"
_AFTER_SECONDS: Final = 3
"""How long an attack goes on after it has sent everything."""

MIB: Final = 1024 * 1024


class Witness:
    """A client that sends at a steady rate beside an attack, on a connection made before it; and looks at memory."""

    def __init__(self, address: str, pid: int) -> None:
        self._address = address
        self._pid = pid
        self._stop = threading.Event()
        self.waits_ms: list[float] = []
        self.failures: list[str] = []
        self.anonymous_mib_max = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Send and look for the length of the block."""
        threads = [threading.Thread(target=target) for target in (self._send, self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        with BrokerProbe(self._address) as probe:
            due = time.monotonic()
            while not self._stop.is_set():
                due = max(due + 1 / _RATE_PER_SECOND, time.monotonic() - 1)
                self._stop.wait(max(0.0, due - time.monotonic()))
                begun = time.monotonic()
                try:
                    probe.send(TOPIC, _BODY)
                except (RuntimeError, OSError) as error:
                    self.failures.append(str(error))
                    return
                self.waits_ms.append((time.monotonic() - begun) * 1000)

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self.anonymous_mib_max = max(self.anonymous_mib_max, anonymous_bytes(self._pid) / MIB)


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that is its own and no file's, in bytes; 0 when it is gone."""
    try:
        found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def attack(engine: Engine) -> Rows:
    """Each attack on a fresh broker, with a client beside it that was there before."""
    rows: Rows = {}
    for name in (_NO_ATTACK, *ATTACKS):
        with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
            create_topic(cluster)
            address, pid = master_of(cluster)
            witness = Witness(address, pid)
            with witness.watching():
                if name == _NO_ATTACK:
                    time.sleep(2 * _AFTER_SECONDS)
                else:
                    with attack_apart(name, address):
                        time.sleep(_AFTER_SECONDS)
            if witness.failures or not anonymous_bytes(pid):
                raise RuntimeError(f"{name}: {witness.failures or 'the broker is gone'}")
            with BrokerProbe(address) as probe:
                assert probe.stored(TOPIC, QUEUES) == len(witness.waits_ms)
        waits = sorted(witness.waits_ms)
        rows[f"{name}: sends beside it, median (ms)"] = waits[len(waits) // 2]
        rows[f"{name}: sends beside it, p99 (ms)"] = waits[len(waits) * 99 // 100]
        rows[f"{name}: sends beside it, slowest (ms)"] = waits[-1]
        rows[f"{name}: anonymous memory of the broker, most (MiB)"] = witness.anonymous_mib_max
    return rows
