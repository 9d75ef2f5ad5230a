import json
import os
from pathlib import Path
from typing import Any

import pytest

from rmqnode.store import ConfigFile, ConfigFileCorrupt


def parse(content: bytes) -> Any:
    return json.loads(content)


def test_a_table_that_was_never_saved_reads_as_none(tmp_path: Path) -> None:
    assert ConfigFile(tmp_path / "config" / "topics.json").load(parse) is None


def test_what_was_saved_is_read_and_the_version_before_is_kept(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "config" / "topics.json")
    for number in range(3):
        file.save(json.dumps({"number": number, "name": "主题"}))
        assert file.load(parse) == {"number": number, "name": "主题"}
    assert json.loads((tmp_path / "config" / "topics.json.bak").read_bytes())["number"] == 1
    assert sorted(os.listdir(tmp_path / "config")) == ["topics.json", "topics.json.bak"]


@pytest.mark.parametrize("damage", [b"", b" \n", b"{", b"\xff\xfe", b"\0" * 100])
def test_a_damaged_file_falls_back_to_the_version_before(tmp_path: Path, damage: bytes) -> None:
    file = ConfigFile(tmp_path / "topics.json")
    file.save("1")
    file.save("2")
    (tmp_path / "topics.json").write_bytes(damage)
    assert file.load(parse) == 1


def test_a_missing_file_falls_back_to_the_version_before(tmp_path: Path) -> None:
    (tmp_path / "topics.json.bak").write_text("1")
    assert ConfigFile(tmp_path / "topics.json").load(parse) == 1


def test_files_that_cannot_be_read_are_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "topics.json").write_text("{")
    (tmp_path / "topics.json.bak").write_bytes(b"")
    with pytest.raises(ConfigFileCorrupt) as caught:
        ConfigFile(tmp_path / "topics.json").load(parse)
    assert str(tmp_path / "topics.json") in str(caught.value)
    assert "topics.json.bak" in str(caught.value)


class Stopped(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("backup_exists", [False, True])
def test_a_save_that_is_stopped_at_any_step_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup_exists: bool
) -> None:
    """Every call that changes the folder is let through n times, then the process ends; n counts up."""
    steps_survived = 0
    for allowed in range(20):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        file = ConfigFile(folder / "topics.json")
        if backup_exists:
            file.save("0")
        file.save("1")
        left = allowed

        def stop_after(original: Any) -> Any:
            def step(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Stopped
                left -= 1
                return original(*arguments, **named)

            return step

        finished = False
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", stop_after(os.fsync))
            patch.setattr(os, "link", stop_after(os.link))
            for name in ("replace", "unlink", "open"):
                patch.setattr(Path, name, stop_after(getattr(Path, name)))
            try:
                file.save("2")
                finished = True
            except Stopped:
                pass
        found = ConfigFile(folder / "topics.json").load(parse)
        whole = [path for path in folder.iterdir() if path.suffix != ".tmp"]
        assert all(path.read_text() in ("0", "1", "2") for path in whole)
        assert found == 2 if finished else found in (1, 2)
        # A stopped save leaves nothing that hinders the next one.
        file.save("3")
        assert file.load(parse) == 3
        if finished:
            break
        steps_survived += 1
    assert finished
    assert steps_survived >= 5


def test_a_damaged_file_never_replaces_a_good_backup_before_the_new_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ConfigFile(tmp_path / "topics.json")
    file.save("1")
    file.save("2")
    (tmp_path / "topics.json").write_bytes(b"")

    def stop(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(Stopped):
            file.save("3")
    assert file.load(parse) == 1


def test_a_file_system_without_hard_links_keeps_the_version_before_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    file = ConfigFile(tmp_path / "topics.json")
    file.save("1")
    file.save("2")
    assert (tmp_path / "topics.json.bak").read_text() == "1"
