"""What holds for all tests: how hypothesis looks for examples, and that no process outlives the run.

`deterministic` is the default: the same examples in every run, so a failure is the change's doing and not luck's. No
deadlines and no complaint about slow data either, for both measure how busy the machine is. `exhaustive`
(`scripts/test --long`) looks further, and elsewhere each time; it prints how to reproduce what it finds.

Tests stop what they start. An interrupted run can't: Ctrl-C ends the workers in the middle of it, and clusters go on.
What carries the mark of the run is killed at its end then.
"""

import os
import uuid

import psutil
import pytest
from hypothesis import HealthCheck, settings

_RUN = "RMQCTL_TEST_RUN"

settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "exhaustive",
    max_examples=1_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("deterministic")


def pytest_configure(config: pytest.Config) -> None:
    """Mark everything that this run starts: workers inherit the environment, and so does what they start."""
    if not _is_worker(config):
        os.environ[_RUN] = uuid.uuid4().hex


def pytest_unconfigure(config: pytest.Config) -> None:
    """Kill what is left; the workers are gone."""
    if _is_worker(config):
        return
    left = [process for process in psutil.process_iter() if _is_of_this_run(process)]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _is_of_this_run(process: psutil.Process) -> bool:
    try:
        return process.environ().get(_RUN) == os.environ[_RUN]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
