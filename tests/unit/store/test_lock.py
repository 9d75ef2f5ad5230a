import subprocess
import sys
from typing import Any

import pytest

from rmqnode.store import StoreLocked

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_store_that_another_process_has_open_is_refused_untouched(kit: Any) -> None:
    store = kit.open()
    kit.put(store, "T", 0, b"x")
    store.close()
    content = {path: path.read_bytes() for path in kit.root.rglob("*") if path.is_file()}
    lock = kit.root / "lock"
    assert content[lock] == b"lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):
            with pytest.raises(StoreLocked) as caught:
                kit.make().open()
            assert caught.value.pid == holder.pid
            assert f"process {holder.pid}" in str(caught.value)
        assert {path: path.read_bytes() for path in kit.root.rglob("*") if path.is_file()} == content
        holder.communicate("")
    assert kit.open().max_offset("T", 0) == 1


def test_an_open_store_holds_the_lock_that_java_asks_for(kit: Any) -> None:
    store = kit.open()

    def try_lock() -> int:
        return subprocess.run([sys.executable, "-c", HOLDER, str(kit.root / "lock")], input=b"", check=False).returncode

    assert try_lock() != 0
    store.close()
    assert try_lock() == 0
