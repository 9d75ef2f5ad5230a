"""The configuration of a store's broker: whether the broker takes it, and whether it fits the files."""

from pathlib import Path
from typing import NamedTuple

from rmqctl.errors import UsageError
from rmqnode.config import BrokerConfig, ConfigError, load_broker_config
from rmqnode.config.overlay import overlay_path
from rmqnode.config.properties import scan_properties
from rmqnode.store.maintenance.discovery import UNKNOWN, ConfiguredSizes
from rmqnode.store.maintenance.problems import Problem
from rmqnode.store.options import StoreOptions
from rmqnode.store.queue_units import rounded_to_units


class BrokerConf(NamedTuple):
    """What a `broker.conf` says of a store."""

    path: Path | None
    """None: there is none."""
    config: BrokerConfig | None
    """None: there is none, or the broker does not take it."""
    problems: list[Problem]
    notes: list[str]

    @property
    def sizes(self) -> ConfiguredSizes:
        """Sizes of its files."""
        if self.config is None:
            return UNKNOWN
        return ConfiguredSizes(
            self.config.mapped_file_size_commit_log_bytes, self.config.mapped_file_size_consume_queue_bytes
        )

    @property
    def commit_log_dir(self) -> Path | None:
        """Where the commit log lies."""
        return None if self.config is None else self.config.store_path_commit_log

    def misfits(self, options: StoreOptions) -> list[Problem]:
        """Sizes that differ from those of the files: the broker refuses them."""
        if self.path is None or self.config is None:
            return []
        found: list[Problem] = []
        for key, configured, actual in (
            ("mappedFileSizeCommitLog", self.sizes.commit_log, options.mapped_file_size_commit_log),
            ("mappedFileSizeConsumeQueue", self.sizes.consume_queue, options.mapped_file_size_consume_queue),
        ):
            if configured is not None and _rounded(key, configured) != _rounded(key, actual):
                what = f"{key}={configured}, and the files have {actual} bytes: the broker does not start"
                found.append(Problem(self.path, 0, what))
        return found


def _rounded(key: str, size_bytes: int) -> int:
    """Round a size as the broker does."""
    return rounded_to_units(size_bytes) if key == "mappedFileSizeConsumeQueue" else size_bytes


def read_broker_conf(folder: Path, named: Path | None) -> BrokerConf:
    """Read the configuration that is named, or the one beside the store's folder if that is of this store.

    Raises:
        UsageError: The named one is not there.
    """
    path = named or folder.absolute().parent / "broker.conf"
    if not path.is_file():
        if named is not None:
            raise UsageError(f"there is no configuration {named}", cure="name the broker.conf of this store's broker")
        return BrokerConf(None, None, [], [])
    try:
        config = load_broker_config(path).config
    except ConfigError as error:
        if not _is_of(folder, _root_in(path)):
            return BrokerConf(path, None, [], [f"{path} does not name this store, and our broker would not take it"])
        return BrokerConf(path, None, [_problem(path, sentence) for sentence in error.problems], [])
    if not _is_of(folder, config.store_path_root_dir):
        note = f"{path} is of the store in {config.store_path_root_dir}: its sizes are not compared"
        return BrokerConf(path, None, [], [note] if named is not None else [])
    return BrokerConf(path, config, [], [])


def _is_of(folder: Path, root: Path | None) -> bool:
    return root is not None and root.absolute().resolve() == folder.absolute().resolve()


def _root_in(path: Path) -> Path | None:
    """Which store a configuration names, though it is not taken."""
    try:
        text = scan_properties(path.read_bytes(), str(path)).as_mapping().get("storePathRootDir")
    except OSError:
        return None
    return Path(text) if text else None


def _problem(path: Path, sentence: str) -> Problem:
    """A sentence `broker.conf:7: what is wrong` as a problem at the first byte of that line."""
    for each in (path, overlay_path(path)):
        number, _, what = sentence.removeprefix(f"{each}:").partition(":")
        if sentence.startswith(f"{each}:") and number.isascii() and number.isdecimal():
            lines = each.read_bytes().splitlines(keepends=True)[: int(number) - 1]
            return Problem(each, sum(map(len, lines)), f"{what.strip()}: the broker does not start")
    return Problem(path, 0, f"{sentence.removeprefix(f'{path}: ')}: the broker does not start")
