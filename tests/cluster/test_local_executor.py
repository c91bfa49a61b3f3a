"""Airflow without workers: the scheduler's LocalExecutor runs two tasks at a time; ``make test-cluster``."""

from collections.abc import Iterator

import pytest
from support.cluster.cluster import Cluster
from support.cluster.players import IN_FLIGHT, Players
from support.cluster.running import running_cluster

from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.redaction import Secret

HELD_UP_SECONDS = 20
SECONDS = 1200


@pytest.fixture
def one_machine() -> Iterator[Cluster]:
    """A cluster of a scheduler that runs all tasks."""
    with running_cluster(workers=(), executor="LocalExecutor", parallelism="2") as started:
        yield started


def test_two_partitions_at_once(one_machine: Cluster) -> None:
    emulator = one_machine.emulator
    with AppLovinClient(api_key=Secret(emulator.api_key), base_url=emulator.url) as client:
        audience_id = client.create_audience(name="A", platform="ios", package_name="p").audience_id
    players = Players(one_machine.make_database("players").cursor(), 32_000)
    players.play(1, 1, 32_000)
    players.opt_out(1, 1, 500)
    run = one_machine.api.run("cluster_partitioned_16", audience_id=audience_id, database="players", day=1)

    # The first batch comes alone, from the task before.
    one_machine.wait_until("the first batch", lambda: emulator.member_count(audience_id), seconds=SECONDS)
    emulator.latency("applovin.append", HELD_UP_SECONDS)
    one_machine.wait_until(
        "more requests than one task may have in flight",
        lambda: sum(one["status"] is None for one in emulator.requests("applovin.append")) > IN_FLIGHT,
        seconds=SECONDS,
    )
    senders = [task for task in run.tasks().values() if task.state == "running"]
    living = {process.pid for process in one_machine.processes("scheduler")}
    emulator.latency("applovin.append", 0)
    assert len({task.pid for task in senders}) == 2
    assert {task.pid for task in senders} <= living

    tasks = one_machine.ended(run, seconds=SECONDS)
    assert {(task.state, task.try_number) for task in tasks.values()} == {("success", 1)}
    assert len(tasks) == 16 + 16 + 3
    assert set(emulator.members(audience_id)) == players.members(1)
