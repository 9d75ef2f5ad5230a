"""What commands print on a terminal that is too narrow for it."""

import re
import sys
from collections.abc import Sequence

import pytest

from rmqctl.cli.output import Screen, TextTable, print_table, show_again_and_again

ADDRESS = "127.0.0.1:10911"
PROSE = "Two nameservers and two masters, " * 5


def printed(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(columns, rows)
    return capsys.readouterr().out.splitlines()


def test_a_terminal_that_is_too_narrow_does_not_break_an_address_inside_its_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = ["nameserver-0", ADDRESS, "2 min", "killed by SIGKILL"]
    _, line = printed([row], ["node", "address", "uptime", "last exit"], monkeypatch, capsys)
    assert [cell.strip() for cell in line.split("  ") if cell.strip()] == row


def test_a_long_text_in_the_last_column_is_folded_into_what_the_terminal_leaves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed([["2m-2s", PROSE]], ["profile", "what it is"], monkeypatch, capsys)
    assert len(lines) > 3
    assert max(map(len, (line.rstrip() for line in lines[1:]))) <= 40
    assert " ".join(" ".join(lines[1:]).split()).startswith("2m-2s Two nameservers and two")


def test_what_is_shown_again_and_again_is_cut_off_at_the_right_of_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("rmqctl.cli.output.pause", stop)
    table = TextTable(["node", "state", "address"], [["nameserver-0", "ready", ADDRESS]])
    with pytest.raises(KeyboardInterrupt):
        show_again_and_again(lambda: Screen(["cluster c"], [table], []), 1)
    shown = capsys.readouterr().out
    assert re.search(r"nameserver-0 +ready", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown))
    assert "…" not in shown
