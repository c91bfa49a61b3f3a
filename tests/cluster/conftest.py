"""The cluster. It takes most of a minute to start, so all tests of a run share it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.cluster.cluster import Cluster
from support.cluster.running import running_cluster

from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.redaction import Secret

# ``make test`` runs these only: the cluster itself, and a worker that is lost. ``make test-cluster`` runs all.
_SHORT = {"test_cleanup.py", "test_lost_worker.py"}
collect_ignore = [
    path.name
    for path in Path(__file__).parent.glob("test_*.py")
    if path.name not in _SHORT and not os.environ.get("AUDIENCES_CLUSTER_TESTS")
]


@pytest.fixture(scope="session")
def _started() -> Iterator[Cluster]:
    with running_cluster() as started:
        yield started


@pytest.fixture
def cluster(_started: Cluster) -> Cluster:
    """The cluster, with both workers, and with nothing that other tests have left in the platform."""
    _started.begin_anew()
    return _started


@pytest.fixture
def make_audiences(cluster: Cluster) -> Callable[[int], list[str]]:
    """Makes empty audiences, and returns their ids."""

    def make(count: int) -> list[str]:
        with AppLovinClient(api_key=Secret(cluster.emulator.api_key), base_url=cluster.emulator.url) as client:
            made = [client.create_audience(name=f"A {n}", platform="ios", package_name="p") for n in range(count)]
        return [audience.audience_id for audience in made]

    return make


@pytest.fixture
def audience(make_audiences: Callable[[int], list[str]]) -> str:
    """The id of an empty audience."""
    return make_audiences(1)[0]


@pytest.fixture
def sent(cluster: Cluster) -> Callable[[], int]:
    """Tells how many IDs came to the platform, those of a request that failed included."""
    return lambda: sum(request["body_lines"] for request in cluster.emulator.requests("applovin.append"))
