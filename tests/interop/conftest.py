"""Fixtures of the interoperability tests: engines, their running clusters, a folder that all workers share."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.interop.clusters import DEFAULT_JUDGE, Cluster, engines, running_cluster
from tests.interop.java_client import Line, run_cases, run_shared
from tests.interop.java_run import Run, cases_by_judge, cases_of, runs
from tests.interop.toolchains import require_tools


class ClusterOf(Protocol):
    """Gives the running cluster of an engine; for Apache's, of a version."""

    def __call__(self, engine: str, version: str = DEFAULT_JUDGE) -> Cluster: ...


@pytest.fixture(scope="session", params=engines())
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a case is judged on: each case runs on all of them."""
    return str(request.param)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cluster_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOf]:
    """Gives the cluster of an engine, brought up when first asked for and taken down with the session."""
    running: dict[tuple[str, str], Cluster] = {}
    with ExitStack() as clusters:

        def cluster_of(engine: str, version: str = DEFAULT_JUDGE) -> Cluster:
            key = (engine, version if engine == "apache" else "")
            if key not in running:
                home = tmp_path_factory.mktemp(engine)
                running[key] = clusters.enter_context(running_cluster(engine, home, version))
            return running[key]

        yield cluster_of


@pytest.fixture(scope="session", params=runs())
def run(request: pytest.FixtureRequest, cluster_of: ClusterOf, session_folder: Path) -> Run:
    """What a Java client saw; its program runs once, whichever test asks first."""
    engine, client = request.param
    require_tools("java", "mvn")
    home = session_folder / f"java-{engine}-{client}"

    def run_program() -> dict[str, Line]:
        lines: dict[str, Line] = {}
        for judge, judged in cases_by_judge(engine, cases_of(client)).items():
            lines |= run_cases(client, cluster_of(engine, judge), judged, home)
        return lines

    return Run(engine, client, run_shared(home.with_name(home.name + ".lines"), run_program))
