"""No file below a home is opened through a link, and none is for everybody, whatever the umask."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqctl.home import ClusterHome, write_atomically
from rmqctl.home_mode import secure_home
from rmqctl.supervisor.files.ledger import Ledger
from rmqctl.supervisor.files.rotating_log import RotatingLog, cut_if_full
from rmqctl.supervisor.messages import Notice
from rmqnode.files import keep_private, open_below
from rmqnode.store.config_file import ConfigFile
from rmqnode.store.lock import StoreLock

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A file of somebody else's that a link leads to."""
    target = tmp_path / "somebody else's"
    target.write_bytes(b"precious")
    return target


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_is_not_followed_and_named_as_one(tmp_path: Path, planted: Path) -> None:
    link = tmp_path / "lock"
    link.symlink_to(planted)
    with pytest.raises(OSError, match="it is a link, which is not followed here") as caught:
        open_below(link, os.O_RDWR | os.O_CREAT)
    assert caught.value.filename == str(link)
    with pytest.raises(OSError, match="it is a link"):
        StoreLock(link).acquire()
    assert planted.read_bytes() == b"precious"


def test_a_ledger_behind_a_link_is_lost_and_nothing_else(tmp_path: Path, planted: Path) -> None:
    link = tmp_path / "events.jsonl"
    link.symlink_to(planted)
    Ledger(link).write(Notice("hello"))
    assert planted.read_bytes() == b"precious"


def test_a_link_in_the_place_of_a_temporary_file_is_replaced(tmp_path: Path, planted: Path) -> None:
    for name in (f".supervisor.json.{os.getpid()}", "topics.json.tmp", "topics.json.bak.tmp"):
        (tmp_path / name).symlink_to(planted)
    write_atomically(tmp_path / "supervisor.json", b"{}")
    file = ConfigFile(tmp_path / "topics.json")
    file.save("1")
    file.save("2")
    assert planted.read_bytes() == b"precious"
    assert ((tmp_path / "supervisor.json").read_bytes(), file.path.read_bytes()) == (b"{}", b"2")
    assert not (tmp_path / "supervisor.json").is_symlink()


def test_a_log_is_never_cut_or_copied_through_a_link(tmp_path: Path, planted: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"l" * 100)
    (tmp_path / "x.log.1").symlink_to(planted)
    cut_if_full(log, 10, 1)
    assert ((tmp_path / "x.log.1").read_bytes(), log.read_bytes()) == (b"l" * 100, b"")
    log.unlink()
    log.symlink_to(planted)
    cut_if_full(log, 1, 0)
    assert planted.read_bytes() == b"precious"
    RotatingLog(str(log), 1000, 1, descriptors=()).write("lost, and counted\n")
    assert planted.read_bytes() == b"precious"


@pytest.mark.parametrize(("inherited", "becomes"), [(0o022, 0o077), (0o000, 0o077), (0o027, 0o027), (0o077, 0o077)])
def test_a_node_leaves_nothing_for_everybody_and_keeps_what_was_chosen(inherited: int, becomes: int) -> None:
    os.umask(inherited)
    keep_private()
    assert os.umask(0) == becomes


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o750, 0o640)])
def test_an_open_home_is_closed_with_all_that_is_in_it(tmp_path: Path, planted: Path, folder: int, file: int) -> None:
    home = ClusterHome(tmp_path, "c")
    store = home.folder / "broker-a-0" / "store" / "commitlog"
    store.mkdir(parents=True)
    log = store / "0"
    log.write_bytes(b"messages")
    (store / "link").symlink_to(planted)
    said = secure_home(home, folder)
    assert said is not None
    assert said.startswith(f"{home.folder} was open to others (0755): it is {folder:04o} now")
    assert [mode(each) for each in (home.folder, store, log, planted)] == [folder, folder, file, 0o644]
    assert secure_home(home, folder) is None, "said once"


def test_a_home_that_its_group_may_read_from_now_on_is_no_news(tmp_path: Path) -> None:
    home = ClusterHome(tmp_path, "c")
    home.folder.mkdir(mode=0o700)
    assert secure_home(home, 0o750) is None
    assert mode(home.folder) == 0o750


_OPENS = re.compile(
    r"\bos\.open\(|\.open\(\"[wa]b?\"|\.write_(?:text|bytes)\(|\bos\.(?:truncate|mkfifo)\(|copyfile\(|path\.touch\("
)
_ALLOWED = {
    "node/rmqnode/files.py": "the one place",
    "node/rmqnode/net/listening.py": "/dev/null",
    "node/rmqnode/store/disk.py": "a file without a name",
    "node/rmqnode/store/sync.py": "a folder, to sync it",
    "rmqctl/streams.py": "/dev/null",
    "node/rmqnode/store/mapped_file_queue.py": "extends a file that was found to be none of a link",
    "rmqctl/__main__.py": "/dev/null",
    "rmqctl/cli/output.py": "/dev/null",
    "rmqctl/supervisor/image/spawner.py": "/dev/null",
    "rmqctl/supervisor/image/warm_up.py": "/dev/null",
    "rmqctl/supervisor/image/zygote.py": "/dev/null and /proc",
    "rmqctl/supervisor/launch/pipe.py": "/dev/null",
    "rmqctl/supervisor/health/pulse.py": "a descriptor of a node, in /proc",
    "rmqctl/cli/nodes/log_records.py": "reads only",
    "rmqctl/cli/messages/send/body.py": "reads what a user named",
    "rmqctl/client/consumer/offset_store.py": "of a program that uses the client, where it says",
    "rmqctl/engine/apache/repository.py": "the cache of jars, not below a home",
    "rmqctl/engine/apache/cache.py": "the cache of jars, not below a home",
    "rmqctl/supervisor/image/resuming.py": "a file without a name",
}
"""Modules that open files in another way, with the reason."""


def test_files_below_a_home_are_opened_in_one_place() -> None:
    sources = [path for top in ("rmqctl", "node/rmqnode") for path in (REPOSITORY / top).rglob("*.py")]
    found = {str(path.relative_to(REPOSITORY)) for path in sources if _OPENS.search(path.read_text())}
    assert found - _ALLOWED.keys() == set(), "use rmqnode.files, or say why not"


def test_a_node_by_itself_makes_files_for_its_owner_alone(tmp_path: Path) -> None:
    conf = tmp_path / "nameserver.conf"
    conf.write_text(f"kvConfigPath={tmp_path / 'kv.json'}\nlistenPort=x\n")
    code = (
        "import os\nfrom pathlib import Path\nfrom rmqnode.run import run_node\n"
        f"run_node('nameserver', Path({str(conf)!r}))\nprint(oct(os.umask(0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0o77"
