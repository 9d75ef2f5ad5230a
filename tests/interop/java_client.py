"""Runs our Java program with one version of the official client and keeps what each of its cases saw.

One JVM carries out all cases of a client; the tests then look at one line each. Workers of one test session share a
run through a file, so that a client runs once whichever worker asks first.
"""

import json
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.cache import locked
from tests.interop.clusters import Cluster
from tests.interop.toolchains import INTEROP, maven_folder

RUN_TIMEOUT_SECONDS = 150
JVM_OPTIONS = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # How often an orderly consumer asks for its queues' locks; by default a queue that missed the first time, because
    # the machine was slow, stands still for 20 s.
    "-Drocketmq.client.rebalance.lockInterval=2000",
    # 4.5.2's Netty reaches into the JDK, which Java 17 refuses unless it is told otherwise.
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.nio", "sun.nio.ch", "java.lang")),
]

Line = dict[str, Any]


@dataclass(frozen=True)
class JavaClient:
    """A version of the official client and the serialization it writes headers in."""

    version: str
    serialization: str = "JSON"

    def __str__(self) -> str:
        return self.version if self.serialization == "JSON" else f"{self.version}-{self.serialization}"

    def folder(self) -> Path:
        """The folder with the program's classes and the client's jars, built if need be."""
        return maven_folder(f"java-{self.version}", INTEROP / "java", rocketmq_version=self.version)

    def command(self, nameserver: str, home: Path, cases: list[str], jvm_options: tuple[str, ...]) -> list[str]:
        """The command line that runs the program; logs and local offsets of the client go below `home`."""
        folder = self.folder()
        run = f"java{self.version.replace('.', '')}-{uuid.uuid4().hex[:6]}"
        own = [*jvm_options, f"-Duser.home={home}", f"-Drocketmq.serialize.type={self.serialization}"]
        classpath = f"{folder}/classes:{folder}/jars/*"
        program = ["rmqctl.interop.Main", "--nameserver", nameserver, "--run", run]
        program += [word for case in cases for word in ("--case", case)]
        return ["java", *JVM_OPTIONS, *own, "-cp", classpath, *program]


CLIENTS = (JavaClient("4.5.2"), JavaClient("4.9.7"), JavaClient("5.3.3"), JavaClient("4.5.2", "ROCKETMQ"))


def run_cases(
    client: JavaClient, cluster: Cluster, cases: list[str], home: Path, jvm_options: tuple[str, ...] = ()
) -> dict[str, Line]:
    """Run the cases in one JVM and return their lines by case; a case the run did not reach has an error."""
    home.mkdir(parents=True, exist_ok=True)
    errors = home / "stderr.log"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            client.command(cluster.nameserver_address, home, cases, jvm_options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=home,
        )
        try:
            output, _ = process.communicate(timeout=RUN_TIMEOUT_SECONDS)
            end = f"the program ended with exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            end = f"the program was stopped after {RUN_TIMEOUT_SECONDS} s"
    reason = f"no line: {end}\n{errors.read_text(errors='replace')[-3000:]}"
    lines = {case: {"case": case, "ok": False, "error": reason} for case in cases}
    lines.update({line["case"]: line for line in map(json.loads, output.splitlines())})
    return lines


def run_shared(shared: Path, run: Callable[[], dict[str, Line]]) -> dict[str, Line]:
    """What `run` returned, in this process or in the first other one that came here with the file `shared`."""
    with locked(shared.with_name(shared.name + ".lock")):
        if not shared.is_file():
            shared.write_text(json.dumps(run()))
    return dict(json.loads(shared.read_text()))
