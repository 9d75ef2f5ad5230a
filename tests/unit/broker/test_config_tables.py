"""The tables that `store verify` reads are those that a broker reads at its start, by the same types."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.store.config_file import ConfigFile, ConfigFileCorrupt
from rmqnode.store.maintenance.config_check import CONFIG_TABLES
from tests.unit.broker.conftest import Rig


def test_every_table_that_a_broker_reads_is_one_that_verification_reads_by_the_same_type(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, Any] = {}
    load = ConfigFile.load

    def note(self: ConfigFile, parse: Callable[[bytes], Any]) -> Any:
        read[self.path.name] = getattr(parse, "__self__", parse)
        return load(self, parse)

    monkeypatch.setattr(ConfigFile, "load", note)
    rig.reopen().close()
    assert read == CONFIG_TABLES


@pytest.mark.parametrize("name", CONFIG_TABLES)
def test_a_broker_refuses_what_verification_says_that_it_refuses(rig: Rig, name: str) -> None:
    rig.close()
    path = rig.config.store_path_root_dir / "config" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("[1]")
    path.with_name(f"{name}.bak").write_text("")
    with pytest.raises(ConfigFileCorrupt):
        Rig(rig.config, rig.clock)
