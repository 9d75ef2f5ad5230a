"""docs/limits.md says what the fields of the configuration say."""

import importlib.util
from dataclasses import fields
from pathlib import Path
from typing import Any

from rmqnode.config.limits import BrokerLimits, NameserverLimits

CHECKOUT = Path(__file__).resolve().parents[3]


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("limits_page", CHECKOUT / "scripts" / "limits_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes() -> None:
    written = (CHECKOUT / "docs" / "limits.md").read_text(encoding="utf-8")
    assert written == load_script().page(), "run: python scripts/limits_page.py > docs/limits.md"


def test_every_limit_is_on_the_page_with_what_happens_at_it() -> None:
    page = load_script().page()
    for config_type in (BrokerLimits, NameserverLimits):
        for field in fields(config_type):
            (row,) = [
                line
                for line in page.splitlines()
                if line.startswith(f"| `{field.metadata['key']}` |") and line.count("|") == 4
            ]
            assert row.count(".") >= 2, row
