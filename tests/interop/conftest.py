"""Fixtures of the interoperability tests: running clusters and what each official client saw on them."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.clusters import Cluster, running_cluster

ClusterOf = Callable[[str], Cluster]


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cluster_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOf]:
    """Gives the cluster of an engine, brought up when first asked for and taken down with the session."""
    running: dict[str, Cluster] = {}
    with ExitStack() as clusters:

        def cluster_of(engine: str) -> Cluster:
            if engine not in running:
                home = tmp_path_factory.mktemp(engine)
                running[engine] = clusters.enter_context(running_cluster(engine, home))
            return running[engine]

        yield cluster_of
