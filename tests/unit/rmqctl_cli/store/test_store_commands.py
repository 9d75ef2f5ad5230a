"""`rmqctl store inspect` and `store verify` on real store folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rmqctl.cli.app import run
from rmqctl.errors import ExitCode
from rmqnode.store import MessageStore, StoreOptions

HOST = bytes((127, 0, 0, 1)) + (10911).to_bytes(4, "big")


def opened_store(root: Path, **more: Any) -> MessageStore:
    options = StoreOptions(
        root=root,
        commit_log_dir=root / "commitlog",
        store_host=HOST,
        in_memory_bytes_max=1 << 40,
        mapped_file_size_commit_log=64 * 1024,
        mapped_file_size_consume_queue=1000,
        message_size_bytes_max=32 * 1024,
        index_slot_count=10,
        index_entry_count_max=50,
        **more,
    )
    store = MessageStore(options, lambda: 1_700_000_000_000)
    store.open()
    return store


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    """A stopped store with 20 messages in two topics."""
    root = tmp_path / "store"
    store = opened_store(root)
    for index in range(20):
        topic = "orders" if index % 2 else "payments"
        properties = b"UNIQ_KEY\x01u%d\x02KEYS\x01k%d\x02" % (index, index)
        store.put(topic, 0, 0, 0, 1_700_000_000_000, HOST, b"body-%d" % index, properties, 0)
    store.close()
    return root


def test_inspect_shows_files_offsets_and_topics(store_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["store", "inspect", str(store_folder)]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "not in use, stopped cleanly" in out
    assert "1 file of 65536 bytes, from 00000000000000000000 to 00000000000000000000" in out
    assert "40 entries" in out
    assert [line.split()[:4] for line in out.splitlines()[-2:]] == [
        ["orders", "0", "0", "10"],
        ["payments", "0", "0", "10"],
    ]
    assert run(["store", "inspect", str(store_folder), "--json"]) == ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["stopped_cleanly"], document["pid"], document["min_offset"]) == (True, None, 0)
    assert document["queues"][0] == {
        "topic": "orders",
        "queue_id": 0,
        "min_offset": 0,
        "max_offset": 10,
        "last_store_timestamp": 1_700_000_000_000,
    }
    assert document["index_files"][0]["entries"] == 40


def test_inspect_shows_messages_of_a_queue(store_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["store", "inspect", str(store_folder), "--topic", "orders", "--queue", "0", "--offset", "3", "-n", "2"]
    assert run([*arguments, "--json"]) == ExitCode.DONE
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["queue_offset"], line["body"], line["keys"]) for line in lines] == [
        (3, "body-7", ["k7"]),
        (4, "body-9", ["k9"]),
    ]
    assert run(arguments) == ExitCode.DONE
    assert "keys=k7  body-7" in capsys.readouterr().out
    assert run(["store", "inspect", str(store_folder), "--topic", "nobody's"]) == ExitCode.REFUSED
    assert "there are queues of: orders, payments" in capsys.readouterr().err


def test_inspect_says_which_body_is_damaged_and_ends_with_1(
    store_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = store_folder / "commitlog" / f"{0:020d}"
    log.write_bytes(log.read_bytes().replace(b"body-7", b"body-8"))
    arguments = ["store", "inspect", str(store_folder), "--topic", "orders", "-n", "100"]
    assert run([*arguments, "--json"]) == ExitCode.REFUSED
    output = capsys.readouterr()
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert [line["queue_offset"] for line in lines if line["body_damaged"]] == [3]
    assert "1 message has a damaged body" in output.err
    assert run(arguments) == ExitCode.REFUSED
    assert "<body damaged: " in capsys.readouterr().out


def test_verify_of_a_sound_store_says_ok(store_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["store", "verify", str(store_folder)]) == ExitCode.DONE
    assert capsys.readouterr().out.startswith(f"{store_folder}: ok, 20 records up to physical offset ")


def test_verify_names_the_place_and_repairs_what_is_derived(
    store_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store_folder / "consumequeue" / "orders" / "0" / f"{0:020d}"
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b"\xff" * 4 + whole[44:])
    assert run(["store", "verify", str(store_folder)]) == ExitCode.REFUSED
    assert capsys.readouterr().out.startswith(f"{path}:40: ")
    assert run(["store", "verify", str(store_folder), "--repair", "--json"]) == ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["repaired"]) == (True, ["1 consume queues built anew, 10 units"])
    assert path.read_bytes() == whole


def test_queues_of_delayed_messages_are_repaired_with_the_delays_of_their_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, topic = tmp_path / "store", "SCHEDULE_TOPIC_XXXX"
    store = opened_store(root)
    due = 1_700_000_000_000 + 7_000
    for _ in range(3):
        store.put(topic, 1, 0, 0, 1_700_000_000_000, HOST, b"later", b"DELAY\x012\x02UNIQ_KEY\x01u\x02", due)
    store.close()
    path = root / "consumequeue" / topic / "1" / f"{0:020d}"
    whole = path.read_bytes()
    damaged = whole[:20] + bytes(8) + b"\0\0\0\1" + whole[32:]
    repair = ["store", "verify", str(root), "--repair"]

    path.write_bytes(damaged)
    assert run(repair) == ExitCode.DONE
    assert "Apache's default messageDelayLevel" in capsys.readouterr().err
    assert path.read_bytes()[12:20] == (1_700_000_000_000 + 5_000).to_bytes(8, "big")

    (tmp_path / "broker.conf").write_text("brokerName=b\nmessageDelayLevel=1s 7s\nofAnotherVersion=true\n")
    path.write_bytes(damaged)
    assert run(repair) == ExitCode.DONE
    assert path.read_bytes() == whole

    elsewhere = tmp_path / "other.conf"
    elsewhere.write_text("messageDelayLevel=1s 7")
    path.write_bytes(damaged)
    assert run([*repair, "--broker-conf", str(elsewhere)]) == ExitCode.USAGE
    assert "messageDelayLevel must be durations such as '1s 5m 2h 1d'" in capsys.readouterr().err
    elsewhere.write_text("messageDelayLevel=1s 7s")
    (tmp_path / "broker.conf").unlink()
    assert run([*repair, "--broker-conf", str(elsewhere)]) == ExitCode.DONE
    assert path.read_bytes() == whole


def test_a_torn_tail_is_cut_only_with_a_confirmation(store_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = store_folder / "commitlog" / f"{0:020d}"
    content = bytearray(path.read_bytes())
    end = len(bytes(content).rstrip(b"\0"))
    content[end + 8 : end + 12] = b"torn"
    path.write_bytes(content)
    assert run(["store", "verify", str(store_folder)]) == ExitCode.DONE
    assert "12 bytes behind physical offset" in capsys.readouterr().err
    assert run(["store", "verify", str(store_folder), "--repair"]) == ExitCode.USAGE
    assert "add --yes" in capsys.readouterr().err
    assert path.read_bytes() == content
    assert run(["store", "verify", str(store_folder), "--repair", "--yes"]) == ExitCode.DONE
    assert b"torn" not in path.read_bytes()


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_folder_that_is_no_store_is_said(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["store", command, str(tmp_path)]) == ExitCode.USAGE
    assert "there is no commit log file" in capsys.readouterr().err


def test_verify_takes_damaged_bytes_from_a_replica_once_it_has_said_what_it_will_do(
    store_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = store_folder.parent / "home"
    own, replica = home / "broker-a-0" / "store", home / "broker-a-1" / "store"
    for folder in (own, replica):
        shutil.copytree(store_folder, folder)
    log = own / "commitlog" / f"{0:020d}"
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b"body-7", b"body-8"))
    command = ["store", "verify", str(own), "--from", "broker-a-1"]
    assert run(command) == ExitCode.REFUSED
    output = capsys.readouterr()
    assert "are no record, others follow" in output.out
    assert "lost with them: orders queue 0 offset 3" in output.out
    assert "replace 123 damaged bytes of the commit log by the 1 record that the replica has there" in output.err
    assert run([*command, "--repair"]) == ExitCode.USAGE, "nobody to ask"
    assert log.read_bytes() != whole
    capsys.readouterr()
    assert run([*command, "--repair", "--yes", "--json"]) == ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["damaged"]) == (True, [])
    assert document["repaired"][0] == f"123 damaged bytes of the commit log replaced by those of {replica}"
    assert log.read_bytes() == whole
    assert run(["store", "verify", str(own), "--from", "nobody-1"]) == ExitCode.USAGE
    assert "there is no store of nobody-1" in capsys.readouterr().err
    assert run(["store", "verify", str(own), "--from", str(own)]) == ExitCode.USAGE
    assert "is the store itself" in capsys.readouterr().err


def test_verify_names_what_a_replica_does_not_have_either(
    store_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = store_folder.parent / "replica"
    for folder in (store_folder, replica):
        if folder is replica:
            shutil.copytree(store_folder, replica)
        log = folder / "commitlog" / f"{0:020d}"
        log.write_bytes(log.read_bytes().replace(b"body-7", b"body-8"))
    command = ["store", "verify", str(store_folder), "--from", str(replica), "--repair", "--yes"]
    assert run([*command, "--json"]) == ExitCode.REFUSED
    document = json.loads(capsys.readouterr().out)
    assert "no whole record at physical offset" in document["damaged"][0]["replica"]
    assert document["damaged"][0]["queues"] == [{"topic": "orders", "queue_id": 0, "from_offset": 3, "to_offset": 4}]
    assert document["repaired"] == []


@pytest.mark.parametrize(
    ("line", "position", "what"),
    [
        ("mappedFileSizeCommitLog=32768", 0, "the files have 65536 bytes: the broker does not start"),
        ("maxMessageSize=huge", None, "maxMessageSize must be"),
        ("neverHeardOf=1", None, "neverHeardOf"),
    ],
)
def test_a_configuration_that_the_broker_does_not_take_or_that_does_not_fit_the_files_is_no_ok(
    store_folder: Path, capsys: pytest.CaptureFixture[str], line: str, position: int | None, what: str
) -> None:
    conf = store_folder.parent / "broker.conf"
    first = f"storePathRootDir={store_folder}\nbrokerIP1=127.0.0.1\n"
    sizes = "mappedFileSizeConsumeQueue=1000\nmaxMessageSize=16384\n"
    size = "" if line.startswith("mapped") else "mappedFileSizeCommitLog=65536\n"
    conf.write_text(f"{first}{sizes}{size}")
    if size:
        assert run(["store", "verify", str(store_folder)]) == ExitCode.DONE
    conf.write_text(f"{first}{sizes}{size}{line}\n")
    capsys.readouterr()
    assert run(["store", "verify", str(store_folder)]) == ExitCode.REFUSED
    out = capsys.readouterr().out
    at = len(first + sizes + size) if position is None else position
    assert out.startswith(f"{conf}:{at}: ")
    assert what in out.splitlines()[0]


def test_verify_of_a_store_whose_log_is_gone_says_so(store_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(store_folder / "commitlog")
    assert run(["store", "verify", str(store_folder)]) == ExitCode.REFUSED
    assert "there is no commit log, and the consume queues speak of 20 messages" in capsys.readouterr().out
