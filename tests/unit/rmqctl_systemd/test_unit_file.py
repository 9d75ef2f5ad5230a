from pathlib import Path

import pytest

from rmqctl.systemd.unit_file import UnitFile, command_line, environment, path


def test_sections_and_directives_keep_their_order() -> None:
    unit = UnitFile("a.service", {"Unit": [("B", "1"), ("A", "2")], "Service": [("Environment", "X=1")]})
    assert unit.render() == "[Unit]\nB=1\nA=2\n\n[Service]\nEnvironment=X=1\n"


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("with a blank", '"with a blank"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines", '"two\\nlines"'),
        ("it's", '"it\'s"'),
        ("a;b", '"a;b"'),
    ],
)
def test_nothing_in_an_argument_is_expanded(argument: str, written: str) -> None:
    assert command_line(["/bin/echo", argument]) == f"/bin/echo {written}"


def test_assignments_and_paths_keep_their_dollars() -> None:
    assert environment("A", "x $y") == '"A=x $y"'
    assert path(Path("/var/a home/50%")) == '"/var/a home/50%%"'
