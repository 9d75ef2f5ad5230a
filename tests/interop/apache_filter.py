"""Asks Apache's own evaluator of SQL92 filters (rocketmq-filter 4.5.2), driven by `java/…/FilterTable.java`.

python -m tests.interop.apache_filter          # writes tests/golden/sql_filter/results.json anew
"""

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.interop.cache import CHECKOUT
from tests.interop.java_client import JavaClient

EVALUATOR = JavaClient("4.5.2")
TIMEOUT_SECONDS = 60
GOLDEN = CHECKOUT / "tests" / "golden" / "sql_filter"


def evaluate(table: Mapping[str, Any]) -> dict[str, Any]:
    """Results of every expression for every set of properties, and bits of texts, as `results.json` holds them."""
    sets = ["".join(f"{name}\x01{value}\x02" for name, value in each.items()) for each in table["property_sets"]]
    answers = _ask([*_lines("S", sets), *_lines("E", table["expressions"]), *_lines("B", table["bloom_texts"])])
    judged = answers[: len(table["expressions"])]
    return {
        "made_by": f"org.apache.rocketmq:rocketmq-filter:{EVALUATOR.version}",
        "results": {each["expression"]: each.get("results", "invalid") for each in judged},
        "bloom_bits": {each["text"]: each["bits"] for each in answers[len(judged) :]},
    }


def _ask(lines: Iterable[str]) -> list[dict[str, Any]]:
    folder = EVALUATOR.folder()
    result = subprocess.run(
        ["java", "-Xmx128m", "-cp", f"{folder}/classes:{folder}/jars/*", "rmqctl.interop.FilterTable"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def _lines(kind: str, texts: Iterable[str]) -> Iterable[str]:
    return (kind + base64.b64encode(text.encode()).decode() for text in texts)


def load(name: str) -> Any:
    """The table or its results, as committed."""
    return json.loads((GOLDEN / name).read_text())


def save(results: Mapping[str, Any], path: Path) -> None:
    """Write results with one line an expression."""
    path.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    save(evaluate(load("table.json")), GOLDEN / "results.json")
