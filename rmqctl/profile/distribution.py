"""Apache's jars in a folder: of which version they are."""

import re
from pathlib import Path

import msgspec

from rmqctl.errors import UsageError

_BROKER_JAR = re.compile(r"rocketmq-broker-(?P<version>[0-9].*)\.jar")


class Distribution(msgspec.Struct, frozen=True):
    """Jars that nameserver and broker of one version run from."""

    version: str
    lib: Path
    """The folder of the jars."""

    @property
    def classpath(self) -> str:
        """As `java -cp` takes it."""
        return f"{self.lib}/*"

    @property
    def major(self) -> int:
        """First number of the version."""
        return major_of(self.version)


def unpacked_distribution(home: str) -> Distribution:
    """The jars of an unpacked distribution of Apache's.

    Raises:
        UsageError: The folder holds none.
    """
    lib = Path(home).expanduser().absolute() / "lib"
    found = [match for path in lib.glob("rocketmq-broker-*.jar") if (match := _BROKER_JAR.fullmatch(path.name))]
    if len(found) != 1:
        raise UsageError(
            f"{home} is not an unpacked distribution of Apache RocketMQ",
            f"{lib} holds {len(found) or 'no'} rocketmq-broker-VERSION.jar",
            "--rocketmq-home takes the folder that has bin, conf and lib in it",
        )
    return Distribution(found[0]["version"], lib)


def major_of(version: str) -> int:
    """First number of a version."""
    return int(version.partition(".")[0])
