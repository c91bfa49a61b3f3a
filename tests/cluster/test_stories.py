"""Other stories of a cluster, which take minutes: ``make test-cluster``."""

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from support.cluster.cluster import Cluster
from support.fixtures import MakeIds

BATCH, IN_FLIGHT = 50, 4  # of the DAGs
SECONDS = 300


@pytest.fixture
def sync_under_way(cluster: Cluster, audience: str, make_ids: MakeIds) -> Callable[..., Any]:
    """Begins a sync of 40 batches, and returns its run when some have landed; each takes some seconds."""

    def begin(*, seconds_a_batch: Any) -> Any:
        emulator = cluster.emulator
        emulator.latency("applovin.append", seconds_a_batch)
        run = cluster.api.run(
            "cluster_sync", audience_id=audience, source=cluster.put_members("ids.txt", make_ids(40 * BATCH))
        )
        cluster.wait_until("the first batches", lambda: emulator.member_count(audience), seconds=SECONDS)
        return run

    return begin


def test_twenty_mapped_audiences(
    cluster: Cluster, make_audiences: Callable[[int], list[str]], make_ids: MakeIds
) -> None:
    audiences = make_audiences(20)
    people = [make_ids(200 + number, start=1 + 1000 * number) for number in range(20)]
    targets = [
        {"audience_id": audience_id, "source": cluster.put_members(f"{number}.txt", people[number])}
        for number, audience_id in enumerate(audiences)
    ]
    tasks = cluster.ended(cluster.api.run("cluster_many", targets=targets))
    syncs = [tasks[f"sync[{number}]"] for number in range(20)]
    assert {(sync.state, sync.try_number) for sync in syncs} == {("success", 1)}
    assert {sync.worker for sync in syncs} == {"first", "second"}
    assert [cluster.emulator.members(audience_id) for audience_id in audiences] == people


def test_a_plan_of_one_worker_is_applied_on_another(
    cluster: Cluster, audience: str, make_ids: MakeIds, sent: Callable[[], int]
) -> None:
    ids = make_ids(3 * BATCH)
    tasks = cluster.ended(cluster.api.run("cluster_apply", audience_id=audience, source=cluster.put_members("a", ids)))
    assert {name: (task.worker, task.try_number) for name, task in tasks.items()} == {
        "plan": ("first", 1),
        "apply": ("second", 1),
    }
    assert cluster.emulator.members(audience) == ids
    assert sent() == len(ids)


def test_an_orphan_that_still_sends(
    cluster: Cluster, audience: str, make_ids: MakeIds, sent: Callable[[], int], sync_under_way: Callable[..., Any]
) -> None:
    """Only Celery's main process is gone: Airflow takes the task for lost while it still sends."""
    run = sync_under_way(seconds_a_batch=7)
    left = run.tasks()["sync"].worker
    cluster.kill_main_process(left)

    def second_try() -> Any:
        task = run.tasks()["sync"]
        return task if task.try_number == 2 and task.state == "running" else None

    cluster.wait_until("a second try", second_try, seconds=SECONDS)
    assert cluster.processes(left)
    assert cluster.ended(run)["sync"].worker not in {"", left}
    cluster.wait_until(
        "an end of the orphan's requests",
        lambda: all(request["status"] for request in cluster.emulator.requests("applovin.append")),
        seconds=60,
    )
    assert cluster.emulator.members(audience) == make_ids(40 * BATCH)
    assert sent() <= (40 + IN_FLIGHT) * BATCH


def test_two_at_one_audience(cluster: Cluster, audience: str, make_ids: MakeIds, sent: Callable[[], int]) -> None:
    """The one that comes second leaves its worker meanwhile, and uses up no retry."""
    ids = make_ids(40 * BATCH)
    cluster.emulator.latency("applovin.append", 2)
    run = cluster.api.run("cluster_pair", audience_id=audience, source=cluster.put_members("p.txt", ids))

    def waiting() -> list[Any]:
        return [name for name, task in run.tasks().items() if task.state == "up_for_reschedule"]

    cluster.wait_until("one that waits", waiting, seconds=SECONDS)
    tasks = cluster.ended(run)
    assert {(task.state, task.try_number) for task in tasks.values()} == {("success", 1)}
    assert [len(run.tries(name)) for name in tasks] == [1, 1]
    assert cluster.emulator.members(audience) == ids
    assert sent() == len(ids)


def test_workers_that_are_stopped_one_after_the_other(
    cluster: Cluster, audience: str, make_ids: MakeIds, sent: Callable[[], int], sync_under_way: Callable[..., Any]
) -> None:
    """As a service manager does it at an update: SIGTERM to all processes of a worker, then a new one."""
    run = sync_under_way(seconds_a_batch=3)
    for tries in (1, 2):
        stopped = run.tasks()["sync"].worker
        began = time.monotonic()
        cluster.signal(stopped, signal.SIGTERM)
        cluster.wait_until("a free audience", lambda: not cluster.leases(audience), seconds=60)
        assert time.monotonic() - began < 15
        landed = sent()
        cluster.wait_for_end(stopped, seconds=60)
        assert cluster.task_logs(stopped).count('"exc_type":"TaskStoppedError"') == 1
        # Sooner than a request that was cut off might take effect: the next try undoes none of them.
        cluster.wait_until("batches of the next try", partial(lambda landed: sent() > landed, landed), seconds=80)
        assert run.tasks()["sync"].try_number == tries + 1
        cluster.start_worker(stopped)
        cluster.wait_for_worker(stopped)
    cluster.emulator.latency("applovin.append", 0)
    assert cluster.ended(run)["sync"].try_number == 3
    assert cluster.emulator.members(audience) == make_ids(40 * BATCH)
    assert sent() <= (40 + 2 * IN_FLIGHT) * BATCH


def test_a_platform_that_is_down(
    cluster: Cluster, make_audiences: Callable[[int], list[str]], make_ids: MakeIds
) -> None:
    """All tasks together keep to the budget of errors, tries that were repeated included."""
    targets = [
        {"audience_id": audience_id, "source": cluster.put_members(f"{number}.txt", make_ids(200))}
        for number, audience_id in enumerate(make_audiences(20))
    ]
    cluster.emulator.fault("*", "status", status=500, times=None)
    began = time.monotonic()
    run = cluster.api.run("cluster_many", targets=targets)
    cluster.wait_until(
        "an end of the run, or of the 5 minutes", lambda: run.is_over() or time.monotonic() - began > 295, seconds=400
    )
    failed = [request for request in cluster.emulator.requests() if request["status"] == 500]
    assert 20 <= len(failed) < 60
    # Three waits of up to five minutes between the four tries, of which each begins 20 tasks.
    cluster.ended(run, state="failed", seconds=1000)
