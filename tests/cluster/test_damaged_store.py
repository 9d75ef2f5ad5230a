"""A byte of a commit log changes: what users see, how a replica mends it, and what Apache's engine would do."""

import json
from pathlib import Path
from typing import Any

import pytest

from rmqnode.protocol.message import decode_record
from rmqnode.store.damage import Damage
from tests.cluster.java import require_apache

COUNT = 60


def store_of(cli: Any, node: str) -> Path:
    return Path(cli.home / "rmqctl" / node / "store")


def flip_body_byte(store: Path, body: bytes) -> None:
    log = store / "commitlog" / f"{0:020d}"
    with log.open("r+b") as file:
        content = file.read(1 << 20)
        at = content.index(body)
        file.seek(at)
        file.write(bytes((content[at] ^ 0x55,)))


def fill(cli: Any, count: int = COUNT) -> None:
    assert cli.run("topic", "create", "orders", "--queues", "1").returncode == 0
    lines = "".join(f"message {index:03d} of all\n" for index in range(count))
    sent = cli.run("send", "orders", "-", "--lines", "-q", stdin=lines)
    assert sent.returncode == 0, sent.stderr


def received(cli: Any, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    done = cli.run("tail", "orders", "--from", "earliest", "--until", "now", *arguments, "--json")
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_damaged_body_is_said_by_every_command_and_mended_from_the_slave(cli: Any, wait_until: Any) -> None:
    cli.up("--profile", "1m-1s")
    fill(cli)
    master, slave = store_of(cli, "broker-a-0"), store_of(cli, "broker-a-1")
    wait_until(lambda: replicated(master, slave), "the slave has everything")
    flip_body_byte(master, b"message 007 of all")

    code, messages, errors = received(cli)
    assert (code, len(messages)) == (1, COUNT), "the broker does not look, the client does"
    assert [message["queue_offset"] for message in messages if message["body_damaged"]] == [7]
    assert "1 message has a damaged body" in errors
    found = cli.run("message", "get", "--topic", "orders", "--queue", "0", "--offset", "7")
    assert (found.returncode, "body=body damaged" in found.stdout) == (1, True)
    message_id = messages[7]["message_id"]
    resent = cli.run("message", "resend", message_id, "--topic", "orders", "--group", "g", "--retry")
    assert (resent.returncode, "body damaged" in resent.stderr) == (1, True)
    piped = cli.run("send", "elsewhere", "-", "--format", "jsonl", "--create", stdin=json.dumps(messages[7]))
    assert (piped.returncode, "body damaged" in piped.stderr) == (2, True)

    # The slave goes on running: its log is read beside it.
    assert cli.run("stop", "broker-a-0").returncode == 0
    verify = ("store", "verify", str(master), "--from", "broker-a-1")
    looked = cli.run(*verify)
    assert looked.returncode == 1
    assert "lost with them: orders queue 0 offset 7" in looked.stdout
    assert "by the 1 record that the replica has there" in looked.stderr
    mended = cli.run(*verify, "--repair", "--yes")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert ": ok, " in mended.stdout
    assert cli.run("start", "broker-a-0").returncode == 0
    code, messages, errors = received(cli)
    assert (code, [message["body"] for message in messages]) == (
        0,
        [f"message {index:03d} of all" for index in range(COUNT)],
    ), errors
    assert cli.run("down").returncode == 0


def replicated(master: Path, slave: Path) -> bool:
    name = f"commitlog/{0:020d}"
    if not (slave / name).exists():
        return False
    with (master / name).open("rb") as ours, (slave / name).open("rb") as theirs:
        return ours.read(1 << 16) == theirs.read(1 << 16)


@pytest.mark.long
@pytest.mark.parametrize("stop", ["clean", "crash"])
def test_apache_s_engine_is_refused_where_it_would_cut_messages_and_cuts_as_many_as_was_said(
    cli: Any, stop: str
) -> None:
    require_apache("4.5.2")
    cli.up("--profile", "single")
    fill(cli)
    store = store_of(cli, "broker-a-0")
    assert cli.run("down").returncode == 0
    flip_body_byte(store, b"message 020 of all")
    for name in ("coverage", "checkpoint"):
        (store / name).unlink()  # then our broker looks at the whole log, and meets it
    cli.up("--profile", "single")
    code, messages, _ = received(cli)
    assert (code, len(messages)) == (0, COUNT - 1)
    (extent,) = Damage.of(store).extents
    assert extent.queues[0][1:] == (0, 20, 21)
    if stop == "crash":
        assert cli.run("kill", "broker-a-0", "--stay-down").returncode == 0
    assert cli.run("down").returncode == 0

    apache = ("up", *cli.place(), "--profile", "single", "--engine", "apache")
    refused = cli.run(*apache)
    assert refused.returncode == 1
    assert f"it would cut {COUNT - 21} messages" in refused.stderr
    assert "--accept-loss" in refused.stderr
    assert len(received_from_disk(store)) == COUNT - 1, "nothing was changed"

    accepted = cli.run(*apache, "--accept-loss")
    assert accepted.returncode == 0, accepted.stderr
    code, messages, _ = received(cli)
    assert len(messages) == 20, "as many as were said are gone"
    assert cli.run("down").returncode == 0
    again = cli.run(*apache)
    assert again.returncode == 0, f"there is nothing more to lose: {again.stderr}"
    assert cli.run("down").returncode == 0


def received_from_disk(store: Path) -> list[bytes]:
    content = (store / "commitlog" / f"{0:020d}").read_bytes()
    found = []
    at = content.find(b"\xda\xa3\x20\xa7")
    while at >= 0:
        message = decode_record(content, at - 4)
        if message.topic == "orders" and not message.has_damaged_body:
            found.append(message.body)
        at = content.find(b"\xda\xa3\x20\xa7", at + 1)
    return found
