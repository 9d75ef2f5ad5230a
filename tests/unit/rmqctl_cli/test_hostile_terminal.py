"""Every command against servers and files that say hostile things: nothing that a terminal acts on reaches it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rmqctl
from rmqctl.cli.app import COMMANDS, CommandEntry, run
from rmqctl.engine.embedded import EmbeddedEngine
from rmqctl.engine.files import write_node_files
from rmqctl.home import ClusterHome
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.profile.stored import save_cluster
from tests.hostile_cluster import HostileCluster, hostile_cluster
from tests.hostile_text import FORBIDDEN, HOSTILE, STAMP

ID = "7F00000100002A139A5501A3A0D50000"

TOLD_BY_SERVERS: dict[str, list[list[str]]] = {
    "topic create": [["t", "--timeout", "0.5"]],
    "topic list": [[], ["--all"]],
    "topic route": [["t"]],
    "topic describe": [["t"]],
    "topic delete": [["t", "--yes"]],
    "send": [["t", "x", "--timeout", "0.5"]],
    "tail": [["t", "-n", "1", "--from", "earliest", "--until", "now", *more] for more in ([], ["--format", "pretty"])],
    "message get": [[ID], ["--topic", "t", "--key", "k"], ["--topic", "t", "--queue", "0", "--offset", "0"]],
    "message resend": [[ID, "--group", "g", "--topic", "t"]],
    "message trace": [[ID]],
    "group list": [[], ["--all"]],
    "group describe": [["g"]],
    "group lag": [[], ["g"]],
    "group reset-offset": [["g", "t", "--to", "earliest", "--yes"]],
    "group create": [["g"]],
    "group delete": [["g", "--yes"]],
}
"""Command → its arguments; each is run with and without --json."""

FROM_FILES = {
    "status": [[]],
    "logs": [[], ["--level", "INFO"]],
    "events": [[]],
    "conf show": [["broker-a-0"]],
    "down": [["--yes"]],
}

TELLS_NOTHING_OF_STRANGERS = {
    *("up", "scale", "wait", "start", "stop", "restart", "kill", "store inspect", "store verify", "profile list"),
    *("profile show", "engine list", "engine install", "engine remove", "systemd install", "systemd uninstall"),
    *("systemd print", "address", "completion"),
}
"""What they print comes from the profile, from our own stores and from this machine, by way of the same functions."""


def all_commands() -> Iterator[str]:
    for name, entry in COMMANDS.items():
        if isinstance(entry, CommandEntry):
            yield name
        else:
            yield from (f"{name} {verb}" for verb in entry.commands)


def test_every_command_is_in_one_of_the_lists() -> None:
    assert sorted(all_commands()) == sorted([*TOLD_BY_SERVERS, *FROM_FILES, *TELLS_NOTHING_OF_STRANGERS])


def check(captured: Any, *, may_begin_with_stamp: bool = False) -> str:
    out, err = captured.readouterr()
    text: str = out.decode() + err.decode()
    assert FORBIDDEN.search(text) is None, text[:3000]
    if not may_begin_with_stamp:
        assert not [line for line in text.split("\n") if line.startswith(STAMP)]
    return text


@pytest.fixture(scope="module", params=["answers", "refuses", "refuses_all"])
def cluster(request: pytest.FixtureRequest) -> Iterator[HostileCluster]:
    with hostile_cluster(**({} if request.param == "answers" else {request.param: True})) as found:
        yield found


@pytest.mark.parametrize("command", TOLD_BY_SERVERS)
def test_no_command_prints_what_a_server_says_as_it_is(command: str, cluster: HostileCluster, capfdbinary: Any) -> None:
    for arguments in TOLD_BY_SERVERS[command]:
        for as_json in ([], ["--json"]):
            code = run([*command.split(), *arguments, "--nameserver", cluster.address, *as_json])
            said = check(capfdbinary)
            assert "defect" not in said, said
            assert said or code == 0, (command, code)


@pytest.fixture
def home(tmp_path: Path) -> ClusterHome:
    """A cluster that ran once; its log, its ledger and its configuration hold what a stranger could have put there."""
    plan = plan_cluster(UpOptions(home=tmp_path, profile="single", broker_ip="127.0.0.1"))
    engine = EmbeddedEngine()
    write_node_files({node.name: engine for node in plan.model.nodes}, plan.model, plan.home)
    save_cluster(plan.home, plan.stored)
    log = plan.home.node_log("broker-a-0")
    log.write_bytes(f"{STAMP} INFO rmqnode.x topic={HOSTILE}\n".encode() + b"\x9b raw bytes \xff\xfe\x1b[2J\n")
    plan.home.ledger_file.parent.mkdir(parents=True, exist_ok=True)
    for_json = HOSTILE.encode("unicode_escape").decode().replace("\\x", "\\u00").replace('"', "")
    plan.home.ledger_file.write_text(
        f'{{"time":"2026-11-30T12:00:00.000+08:00","event":"notice","text":"{for_json}"}}\n'
    )
    conf = plan.home.node_folder("broker-a-0") / "broker.conf"
    conf.write_text(conf.read_text() + f"#{HOSTILE}\n")
    escaped = HOSTILE.encode("unicode_escape").decode().replace("\\x", "\\u00")
    (conf.parent / "broker.overlay.conf").write_text(f"regionId={escaped}\nclusterName={escaped}\n")
    (conf.parent / "broker.overlay.conf.refused").write_text(f"{escaped.replace(' ', '_')}=1\n")
    return plan.home


@pytest.mark.parametrize("command", FROM_FILES)
def test_no_command_prints_what_a_file_says_as_it_is(command: str, home: ClusterHome, capfdbinary: Any) -> None:
    for arguments in FROM_FILES[command]:
        for as_json in ([], ["--json"]):
            run([*command.split(), *arguments, "--home", str(home.root), "--cluster", home.name, *as_json])
            said = check(capfdbinary, may_begin_with_stamp=command in ("logs", "conf show"))
            assert "defect" not in said, said
            if command in ("logs", "events", "conf show") and not as_json:
                assert "\\x1b" in said


def test_what_a_terminal_shows_in_colours_and_tables_is_escaped_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rmqctl.cli import output

    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    output.print_table([HOSTILE[:3].strip(), "b"], [[HOSTILE, HOSTILE * 200], ["ready", "x"]])
    output.print_painted((HOSTILE, 31), (HOSTILE, None))
    output.print_result(HOSTILE)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert FORBIDDEN.search(shown) is None
    assert "\\x1b[31m" in shown
    assert len(shown) < 10_000


def test_text_is_printed_by_one_module_only() -> None:
    source = Path(rmqctl.__file__).parent
    writes = re.compile(r"(?<![.\w])print\(|sys\.std(out|err)\.(write|buffer)")
    found = {
        str(path.relative_to(source)): len(writes.findall(path.read_text()))
        for path in source.rglob("*.py")
        if writes.search(path.read_text()) and path.name != "output.py"
    }
    assert found == {
        "__main__.py": 1,
        "cli/app.py": 1,  # the version
        "cli/completion/words.py": 1,  # only words that are plain
        "cli/messages/tail/command.py": 2,  # messages, rendered by cli/messages/rendering
        "cli/supervision/drain_line.py": 2,  # escaped there, beside its own control sequences
        "supervisor/process.py": 1,
    }
