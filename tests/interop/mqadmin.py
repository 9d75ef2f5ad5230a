"""Apache's mqadmin of one version, in one JVM that takes command after command, and what its output looks like.

Knows how to run commands and how to make two outputs comparable; which commands are run is `mqadmin_commands.py`.
"""

import json
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.interop.java_client import JVM_OPTIONS
from tests.interop.toolchains import INTEROP, maven_folder

COMMAND_TIMEOUT_SECONDS = 60

_LOGBACK = '<configuration><root level="OFF"/></configuration>\n'
"""mqadmin 4.x reads its logging configuration from its home and does nothing without it."""

TRIES = 50
PAUSE_SECONDS = 0.2
_CLIENT_STUMBLED = re.compile(
    r"RemotingSendRequestException|RemotingConnectException|channel <127\.0\.0\.1:\d+> timeout"
)
"""A client of 4.x that has just started may open two connections to one address and lose the first."""

_REPLACED = (
    (re.compile(r"\d{4}-\d\d-\d\d[ #]\d\d:\d\d:\d\d([,.:]\d{1,3})?"), "<time>"),
    (re.compile(r"127\.0\.0\.1@member"), "<member>"),
    (re.compile(r"/?127\.0\.0\.1:\d{5}\b"), "<client>"),
    (re.compile(r"\b\d+\.\d+(E-?\d+)?\b"), "<number>"),
    (re.compile(r"\b[0-9A-F]{32,}\b"), "<id>"),
    (re.compile(r"\b1[0-9]{12}\b|\b20[0-9]{12}([0-9]{3})?\b"), "<ms>"),
    (re.compile(r"\brt[:=]\d+ms|\bspentTimeMills=\d+|(?<= true )\d+$"), "<rt>"),
    (re.compile(r"\(\d+,\d+ms(\|\d+,\d+ms)?\)"), "(<load>)"),
    # Brokers make topics of their own in their own time.
    (re.compile(r"(?<= OK, )\d+$"), "<count>"),
    (re.compile(r"@[0-9a-f]{5,8}\b|\$\$Lambda\S+"), "@<hash>"),
    (re.compile(r"\bV\d_\d_\d\b"), "<version>"),
    (re.compile(r"https?://rocketmq\.apache\.org/docs/\S+"), "<faq>"),
    # Brokers of 5.x store more properties with each message: whatever lies behind it is elsewhere.
    (re.compile(r"(MSG_REGION|TRACE_ON|CLUSTER)=\w+(, )?|, (MSG_REGION|TRACE_ON|CLUSTER)=\w+"), ""),
    (re.compile(r"(CommitLog Offset: |commitLogOffset=|storeSize=|physicOffset=|physicSize=)\d+"), r"\1<number>"),
)
"""What differs from run to run, or between versions of the broker without meaning."""

_NOISE = re.compile(
    r"RocketMQLog|SLF4J|Cannot find conf file|WARNING: |StatusLogger"
    r"|\bat (org|java|jdk|sun|rmqctl)\.|^\s*\.\.\. \d+ more"
    r"|^(DefaultCluster +)?(RMQ_SYS_|rmq_sys_|SCHEDULE_TOPIC_XXXX|\w+_REPLY_TOPIC)"
)
"""Lines about the client itself, and topics that brokers make for their own use, sooner or later."""


class Written(NamedTuple):
    """What one command wrote."""

    out: str
    err: str

    @property
    def all(self) -> str:
        """Both streams: errors are printed to either, by version and command."""
        return self.out + self.err


class Mqadmin:
    """A JVM that waits for commands; `names` are shown instead of addresses."""

    def __init__(self, process: "subprocess.Popen[str]", nameserver: str, names: Mapping[str, str]) -> None:
        self._process = process
        self._nameserver = nameserver
        self._names = names

    def run(self, *words: str, tries: int = TRIES) -> Written:
        """Run a command with the cluster's nameserver, again if the client stumbled before it asked anything."""
        for _ in range(tries):
            written = self.ask(*words, "-n", self._nameserver)
            if _CLIENT_STUMBLED.search(written.all) is None:
                break
            time.sleep(PAUSE_SECONDS)
        return written

    def ask(self, *words: str) -> Written:
        """Run a command, or one of the program's own."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], COMMAND_TIMEOUT_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"mqadmin {' '.join(words)}: no output within {COMMAND_TIMEOUT_SECONDS} s")
        written = json.loads(line)
        return Written(written["out"], written["err"])

    def shape(self, text: str) -> list[str]:
        """The lines of an output, sorted, without what differs from run to run: times, ids, ports, rates."""
        for address, name in self._names.items():
            text = re.sub(rf"{re.escape(address)}(?!\d)", name, text)
        lines = [line for line in text.splitlines() if line.strip() and _NOISE.search(line) is None]
        return sorted(self._shaped(line) for line in lines)

    @staticmethod
    def _shaped(line: str) -> str:
        line = " ".join(line.split())
        for pattern, replacement in _REPLACED:
            line = pattern.sub(replacement, line)
        return line


@contextmanager
def running_mqadmin(version: str, home: Path, nameserver: str, names: Mapping[str, str]) -> Iterator[Mqadmin]:
    """Run the tools of a version for the length of a block; what they write besides output goes below `home`."""
    folder = maven_folder(f"java-{version}", INTEROP / "java", rocketmq_version=version)
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "logback_tools.xml").write_text(_LOGBACK)
    own = [f"-Duser.home={home}", f"-Drocketmq.home.dir={home}", "-Drocketmq.client.logLevel=ERROR"]
    command = ["java", *JVM_OPTIONS, *own, "-cp", f"{folder}/classes:{folder}/jars/*", "rmqctl.interop.Mqadmin"]
    with (home / "stderr.log").open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=home
        )
        try:
            yield Mqadmin(process, nameserver, names)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
