"""What a fresh interpreter loads: memory and start-up time of every node and every command hang on it."""

import subprocess
import sys

import pytest

OURS_TO_AVOID_IN_NODES = ("rmqctl", "typer", "click", "rich", "psutil", "platformdirs", "tomli_w")
HEAVY_STANDARD_LIBRARY = (
    "asyncio", "concurrent.futures", "email", "http", "inspect", "logging.config", "multiprocessing", "unittest", "xml",
)  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after a statement."""
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint('loaded:', *sys.modules)"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(result.stdout.rpartition("loaded:")[2].split())


def test_a_node_loads_no_module_of_the_orchestrator_and_none_of_its_libraries():
    loaded = loaded_by("import rmqnode.run")
    assert not loaded.intersection(OURS_TO_AVOID_IN_NODES)


def test_a_node_loads_no_heavy_standard_module_that_trio_does_not_load_anyway():
    unavoidable = loaded_by("import trio, msgspec")
    assert not loaded_by("import rmqnode.run").difference(unavoidable).intersection(HEAVY_STANDARD_LIBRARY)


def test_processes_that_preload_a_node_load_neither_openssl_nor_what_trio_seldom_uses():
    loaded = loaded_by(
        "from rmqnode.late_modules import load_late; load_late(); import rmqnode.run, rmqctl.supervisor.process"
    )
    assert not loaded.intersection({"_ssl", "_hashlib", "_bz2", "_lzma", "base64", "typing_extensions"})


@pytest.mark.parametrize("statement", ["import rmqnode.run", "import rmqnode.broker.server, rmqnode.filter"])
def test_a_broker_without_sql_subscriptions_loads_no_parser(statement):
    assert "lark" not in loaded_by(statement)
    assert "lark" in loaded_by("import rmqnode.filter; rmqnode.filter.compile_filter('a = 1')")


@pytest.mark.parametrize("module", ["rmqnode.protocol", "rmqnode.store", "rmqnode.filter", "rmqnode.config"])
def test_protocol_store_filter_and_config_load_without_trio(module):
    assert "trio" not in loaded_by(f"import {module}")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_load_neither_trio_nor_psutil_nor_a_command(option):
    loaded = loaded_by(f"from rmqctl.__main__ import main; sys.argv = ['rmqctl', '{option}']; main()")
    assert "rmqctl.cli.app" in loaded
    assert not loaded.intersection({"trio", "psutil", "rmqctl.cli.cluster", "rmqctl.cli.topics", "rmqctl.client"})


def test_version_loads_no_rich():
    loaded = loaded_by("from rmqctl.__main__ import main; sys.argv = ['rmqctl', '--version']; main()")
    assert "rich" not in loaded


def test_up_loads_neither_trio_nor_a_client_before_the_cluster_is_there():
    assert not loaded_by("import rmqctl.cli.cluster.up").intersection({"trio", "rmqctl.client", "psutil", "rich"})
