"""Apache's own integration tests, taken from its published test jars and run against a running cluster.

Responsible for finding the classes, running them in a few JVMs side by side and reading their results. They start
their nodes through `IntegrationTestBase`; ours of that name (`apache_tests/`) names those of the cluster instead.
"""

import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop.clusters import Cluster
from tests.interop.java_client import JVM_OPTIONS
from tests.interop.toolchains import INTEROP, maven_folder

PACKAGE = "org.apache.rocketmq.test."
BROKER_NAMES = "broker-a,broker-b"
LEFT_OUT = {
    "base.dledger.DLedgerProduceAndConsumeIT": "DLedger, which only Apache's nodes have",
    "tls.TLS_IT": "TLS, which only Apache's nodes have",
    "tls.TLS_Mix_IT": "TLS, which only Apache's nodes have",
    "tls.TLS_Mix2_IT": "TLS, which only Apache's nodes have",
    "client.consumer.broadcast.BaseBroadCastIT": "the base of others, without a test of its own",
}
RESULT = "result\t"


@dataclass(frozen=True)
class Result:
    """What became of one class of tests."""

    name: str
    tests: int
    failures: int
    first_failure: str


def classes_of(version: str) -> list[str]:
    """The names of the classes that our nodes can be asked, without `PACKAGE`."""
    jar = _folder(version) / "jars" / f"rocketmq-test-{version}-tests.jar"
    with zipfile.ZipFile(jar) as archive:
        paths = [name for name in archive.namelist() if name.endswith("IT.class")]
    names = (path.removesuffix(".class").replace("/", ".").removeprefix(PACKAGE) for path in paths)
    return sorted(name for name in names if name not in LEFT_OUT)


def run_tests(
    version: str, cluster: Cluster, classes: Sequence[str], home: Path, jvms: int, timeout_seconds: int
) -> dict[str, Result]:
    """Run the classes and return their results by name; a class that a JVM did not reach has none.

    What a JVM writes besides is in `home`, in `tests-<number>.log`.
    """
    home.mkdir(parents=True, exist_ok=True)
    shares = [classes[number::jvms] for number in range(jvms)]
    logs = [home / f"tests-{number}.log" for number in range(jvms)]
    processes = [_start(version, cluster, share, log) for share, log in zip(shares, logs, strict=True)]
    try:
        for process in processes:
            process.wait(timeout_seconds)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    results = (_result(line) for line in lines if line.startswith(RESULT))
    return {result.name: result for result in results}


def _start(version: str, cluster: Cluster, classes: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    port = cluster.nameserver_address.split(";")[0].rpartition(":")[2]
    own = [f"-Duser.home={log.parent}", f"-Drmqctl.nameserverPort={port}", f"-Drmqctl.brokerNames={BROKER_NAMES}"]
    folder = _folder(version)
    # Our classes come first: one of them stands for Apache's of the same name.
    program = ["-cp", f"{folder}/classes:{folder}/jars/*", "rmqctl.interop.ApacheTests"]
    with log.open("wb") as output:
        return subprocess.Popen(
            ["java", *JVM_OPTIONS, *own, *program, *(PACKAGE + name for name in classes)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
        )


def _folder(version: str) -> Path:
    return maven_folder(f"apache-tests-{version}", INTEROP / "apache_tests", rocketmq_version=version)


def _result(line: str) -> Result:
    name, tests, failures, first_failure = line.removeprefix(RESULT).split("\t")
    return Result(name.removeprefix(PACKAGE), int(tests), int(failures), first_failure)
