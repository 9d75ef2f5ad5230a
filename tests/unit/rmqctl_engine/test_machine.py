"""What would harm machine or store is found before a Java node starts; and why one ended is said in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from rmqctl.engine.apache.diagnosis import explain_java_exit
from rmqctl.engine.apache.memory import Room, available_memory, check_memory
from rmqctl.engine.apache.messages_cut import check_no_messages_cut
from rmqctl.engine.apache.store_lock import check_stores_free, is_locked
from rmqctl.errors import RmqctlError
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.supervisor.exit_status import describe_exit
from rmqnode.store import MessageStore, StoreOptions

HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
print("locked", flush=True)
sys.stdin.read()
"""


def model_of(tmp_path: Path, profile: str = "2m-2s", engine: str = "apache") -> ClusterModel:
    options = EngineOptions(engine=engine)
    return plan_cluster(UpOptions(home=tmp_path, profile=profile, broker_ip="127.0.0.1", engine_options=options)).model


def test_heaps_that_do_not_fit_are_refused_with_sum_limit_and_cure(tmp_path: Path) -> None:
    with pytest.raises(RmqctlError, match="6 Java nodes can take 1920 MiB of memory, and 900 MiB") as caught:
        check_memory(model_of(tmp_path), Room(900, "that is what this machine has free"))
    assert "each 128 MiB of heap, 128 MiB of direct memory and 64 MiB" in str(caught.value.why)
    assert "--engine embedded" in str(caught.value.cure)


def test_heaps_that_fit_are_fine_and_embedded_nodes_do_not_count(tmp_path: Path) -> None:
    check_memory(model_of(tmp_path), Room(1920, "just enough"))
    check_memory(model_of(tmp_path, engine="embedded"), Room(1, "nothing"))


def test_this_machine_has_some_memory() -> None:
    assert available_memory().mib > 0


def test_store_that_another_broker_has_is_refused_with_its_pid(tmp_path: Path) -> None:
    model = model_of(tmp_path, "single")
    lock = Path(model.brokers[0].properties["storePathRootDir"]) / "lock"
    lock.parent.mkdir(parents=True)
    lock.write_bytes(b"lock")
    check_stores_free(model)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_locked(lock)
        with pytest.raises(RmqctlError, match="broker-a-0 cannot start") as caught:
            check_stores_free(model)
        if Path("/proc/locks").exists():
            assert f"is in use by pid {holder.pid}" in str(caught.value.why)
        holder.communicate()
    assert not is_locked(lock)


def test_store_that_was_never_used_is_free(tmp_path: Path) -> None:
    check_stores_free(model_of(tmp_path, "single"))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            [
                "2026-11-23 05:00:00,123 WARN RocketmqStore - /a store/00000000000000000000\t5 length not matched"
                " message store config value, please check it manually",
                "2026-11-23 05:00:00,124 ERROR RocketmqBroker - something else",
            ],
            "/a store/00000000000000000000 has another size than the settings say: mappedFileSizeCommitLog or"
            " mappedFileSizeConsumeQueue must be what the store was made with",
        ),
        (["java.lang.RuntimeException: Lock failed,MQ already started"], "another broker has its store"),
        (["Unrecognized VM option 'UseConcMarkSweepGC'"], "this Java does not know the option UseConcMarkSweepGC"),
        (
            ["java.net.BindException: Cannot assign requested address", "\tat sun.nio.ch.Net.bind0(Native Method)"],
            "Cannot assign requested address (BindException)",
        ),
        (["2026-11-23 05:00:00,123 ERROR RocketmqBroker - load failed"], "load failed"),
        (
            ["2026-11-23 05:00:00,123 ERROR RocketmqCommon - load /s/topics.json failed, and try to load backup"],
            "/s/topics.json cannot be read; its copy ends in .bak",
        ),
        (["IOException: /s/checkpoint (Is a directory)"], "IOException: /s/checkpoint (Is a directory)"),
        (["all is well"], None),
    ],
)
def test_lines_of_a_java_node_become_one_sentence(lines: list[str], sentence: str | None) -> None:
    assert explain_java_exit(lines) == sentence


@pytest.mark.parametrize(("code", "word"), [(253, "store could not be loaded"), (255, "in use"), (143, "SIGTERM")])
def test_exit_codes_of_java_nodes_are_decoded(code: int, word: str) -> None:
    assert word in describe_exit(code << 8, "apache")
    assert word not in describe_exit(code << 8, "embedded")


def damaged_store(root: Path) -> None:
    """A store of 50 messages whose eleventh is damaged, as our broker leaves it after stepping over that."""
    options = StoreOptions(
        root=root,
        commit_log_dir=root / "commitlog",
        store_host=bytes(8),
        in_memory_bytes_max=1 << 40,
        mapped_file_size_commit_log=64 * 1024,
        mapped_file_size_consume_queue=1000,
        message_size_bytes_max=32 * 1024,
    )
    store = MessageStore(options, lambda: 1_700_000_000_000)
    store.open()
    for index in range(50):
        store.put("orders", 0, 0, 0, 1, bytes(8), b"message %02d" % index, b"", 0)
    store.close()
    log = root / "commitlog" / f"{0:020d}"
    log.write_bytes(log.read_bytes().replace(b"message 10", b"message 1x"))
    for name in ("coverage", "checkpoint"):
        (root / name).unlink()
    (root / "abort").touch()
    store = MessageStore(options, lambda: 1_700_000_000_000)
    store.open()
    store.close()


def test_apache_s_broker_is_refused_on_a_store_of_which_it_would_cut_messages_unless_that_is_accepted(
    tmp_path: Path,
) -> None:
    model = model_of(tmp_path, "single")
    root = Path(model.brokers[0].properties["storePathRootDir"])
    damaged_store(root)
    with pytest.raises(
        RmqctlError, match="broker-a-0 is not started on Apache's engine: it would cut 39 messages"
    ) as it:
        check_no_messages_cut(model.nodes, accept_loss=False, cluster="rmqctl")
    assert f"rmqctl store verify {root} --repair --from NODE" in str(it.value.cure)
    assert "--accept-loss" in str(it.value.cure)
    check_no_messages_cut(model.nodes, accept_loss=True, cluster="rmqctl")
    check_no_messages_cut(model_of(tmp_path, "single", engine="embedded").nodes, accept_loss=False, cluster="rmqctl")
    (root / "lock").write_bytes(b"lock")  # as Java's broker does at its start: what it cuts, it has cut by now
    check_no_messages_cut(model.nodes, accept_loss=False, cluster="rmqctl")
