"""Configuration files on disk: lines in messages, precedence of sources, files that are none."""

from pathlib import Path

import pytest

from rmqnode.config import ConfigError, load_broker_config, load_nameserver_config


def written(folder: Path, content: bytes) -> Path:
    path = folder / "broker.conf"
    path.write_bytes(content)
    return path


def test_problems_name_file_and_line_and_come_all_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, b"# mine\nlistenPort=abc\nbrokerIp1=1.2.3.4\nx=\\u1\n")
    with pytest.raises(ConfigError) as caught:
        load_broker_config(path, {"traceOn": "1"})
    assert [problem.partition(" ")[0] for problem in caught.value.problems] == [
        f"{path}:4:",
        f"{path}:2:",
        f"{path}:3:",
        "command",
    ]


def test_a_file_of_windows_with_trailing_blanks_does_what_it_says(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfbrokerRole=SLAVE \r\nbrokerId=1\r\nlistenPort=30999\t\r\n")
    loaded = load_broker_config(path)
    assert (loaded.config.broker_role, loaded.config.broker_id, loaded.config.listen_port) == ("SLAVE", 1, 30999)
    assert [notice.removeprefix(f"{path}:") for notice in loaded.notices[1:]] == [
        "1: trailing blank after 'SLAVE' ignored",
        "3: trailing blank after '30999' ignored",
    ]


def test_only_the_last_duplicate_is_checked(tmp_path: Path) -> None:
    assert load_broker_config(written(tmp_path, b"listenPort=x\nlistenPort=20911\n")).config.listen_port == 20911


def test_command_line_beats_file_beats_environment(tmp_path: Path) -> None:
    environment = {"NAMESRV_ADDR": "e:1"}
    bare, full = written(tmp_path, b""), tmp_path / "full.conf"
    full.write_bytes(b"namesrvAddr=f:2\n")
    assert load_broker_config(bare, environment=environment).config.namesrv_addr == ("e:1",)
    assert load_broker_config(full, environment=environment).config.namesrv_addr == ("f:2",)
    assert load_broker_config(full, {"namesrvAddr": "c:3"}, environment=environment).config.namesrv_addr == ("c:3",)


def test_a_nameserver_stores_changes_in_the_file_it_was_started_with(tmp_path: Path) -> None:
    path = written(tmp_path, b"configStorePath=/elsewhere\nlistenPort=9877\n")
    config = load_nameserver_config(path).config
    assert (config.config_store_path, config.listen_port) == (path, 9877)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: No such file"), ("folder", "is a folder"), (b"#" * (1024 * 1024 + 1), "is larger than")],
)
def test_what_is_not_a_configuration_file_is_said(tmp_path: Path, content: object, problem: str) -> None:
    path = tmp_path / "broker.conf"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        load_broker_config(path)
