"""What tools change in running brokers: it survives the next `up`, and everybody is told."""

from typing import Any

import trio

from rmqnode.config import parse_properties
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command


def ask(address: str, code: RequestCode, body: bytes = b"") -> Command:
    async def request() -> Command:
        async with RemotingClient() as client:
            return await client.request(address, Command(code=code, body=body), timeout_seconds=10)

    return trio.run(request)


def shown(address: str) -> dict[str, str]:
    return parse_properties(ask(address, RequestCode.GET_BROKER_CONFIG).body).as_mapping()


def refused(cli: Any, code: int, *arguments: str) -> Any:
    """Run a command that ends with this exit code."""
    done = cli.run(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_change_survives_down_and_up_and_is_shown_as_drift(cli: Any) -> None:
    cli.up("--profile", "single", "--set", "brokers:traceOn=true")
    assert cli.status()["drift"] == []
    address = f"127.0.0.1:{10911 + cli.port_offset}"
    change = b"traceOn=false\nmaxMessageSize=65536\n"
    assert ask(address, RequestCode.UPDATE_BROKER_CONFIG, change).code == 0
    assert (shown(address)["traceOn"], shown(address)["maxMessageSize"]) == ("false", "4194304")
    drift = [
        {"node": "broker-a-0", "key": "traceOn", "value": "false", "profile_value": "true"},
        {"node": "broker-a-0", "key": "maxMessageSize", "value": "65536", "profile_value": None},
    ]
    assert cli.status()["drift"] == drift
    told = cli.run("status").stderr
    assert "  broker-a-0: traceOn=false (profile: true)\n" in told
    assert "  broker-a-0: maxMessageSize=65536 (profile: the default)\n" in told

    cli.run("down")
    assert cli.up()["drift"] == drift
    assert (shown(address)["traceOn"], shown(address)["maxMessageSize"]) == ("false", "65536")
    file = cli.run("conf", "show", "broker-a-0")
    assert "traceOn=true" in file.stdout
    assert "  broker-a-0: traceOn=false (profile: true)\n" in file.stderr

    assert ask(address, RequestCode.UPDATE_BROKER_CONFIG, b"traceOn=true").code == 0
    assert cli.status()["drift"] == drift[1:]
    cli.run("down")


def test_a_change_that_would_brick_the_next_start_is_refused(cli: Any) -> None:
    cli.up("--profile", "single")
    address = f"127.0.0.1:{10911 + cli.port_offset}"
    for change, code in {
        b"maxMessageSize=2147483647": ResponseCode.SYSTEM_ERROR,
        b"flushDiskType=SYNC_FLUSH\nsendThreadPoolQueueCapacity=0": ResponseCode.NO_PERMISSION,
        b"filterServerNums=1\nrocketmqHome=-c $@|sh . echo x": ResponseCode.NO_PERMISSION,
        b"aclEnable=false": ResponseCode.NO_PERMISSION,
    }.items():
        answer = ask(address, RequestCode.UPDATE_BROKER_CONFIG, change)
        assert (answer.code, bool(answer.remark)) == (code, True)
    assert cli.status()["drift"] == []
    cli.run("restart", "broker-a-0")
    assert cli.status()["state"] == "running"
    cli.run("down")


def test_keys_that_a_start_cannot_take_are_set_aside_and_named_until_somebody_has_seen_it(
    cli: Any, wait_until: Any
) -> None:
    cli.up("--profile", "single")
    cli.run("down")
    broker, nameserver = (cli.home / "rmqctl" / node for node in ("broker-a-0", "nameserver-0"))
    (broker / "broker.overlay.conf").write_text("maxMessageSize=2147483647\ntraceOn=false\naclEnable=false\n")
    (nameserver / "nameserver.overlay.conf").write_text("kvConfigPath=/etc/x\nclusterTest=true\n")
    cli.up("--profile", "single")
    assert shown(f"127.0.0.1:{10911 + cli.port_offset}")["traceOn"] == "false"
    status = refused(cli, 1, "status").stdout
    told = {"broker-a-0": "maxMessageSize, aclEnable", "nameserver-0": "kvConfigPath"}
    events = cli.run("events").stdout
    for node, keys in told.items():
        (line,) = (line for line in status.splitlines() if line.startswith(f"{node} is limited by configuration: "))
        assert keys in line
        assert any(f"{node} is limited by configuration: " in line and keys in line for line in events.splitlines())
        assert "set aside, without effect" in cli.run("logs", node, "-n", "500").stdout
    for path in (*broker.glob("*.refused"), *nameserver.glob("*.refused")):
        path.unlink()
    wait_until(lambda: cli.status()["state"] == "running", "the files are gone, and so is what they said", 20)
    cli.run("down", "--purge", "--yes")
    assert [*broker.glob("broker.overlay*"), *nameserver.glob("nameserver.overlay*")] == []


def test_keys_that_contradict_each_other_are_a_sentence_of_up(cli: Any) -> None:
    done = refused(cli, 2, "up", "--profile", "single", "--set", "mappedFileSizeCommitLog=4194304")
    assert "maxMessageSize=4194304 does not fit into a commit log file" in done.stderr
    assert "Traceback" not in done.stderr
