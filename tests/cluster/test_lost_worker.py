"""A worker is lost in the middle of a sync, and another one ends it."""

from support.cluster.cluster import Cluster
from support.fixtures import MakeIds

BATCH, IN_FLIGHT = 50, 4  # of the DAG


def test_a_sync_whose_worker_is_lost_is_ended_by_another(cluster: Cluster, audience: str, make_ids: MakeIds) -> None:
    emulator = cluster.emulator
    ids = make_ids(40 * BATCH)
    emulator.latency("applovin.append", 1)
    run = cluster.api.run("cluster_sync", audience_id=audience, source=cluster.put_members("ids.txt", ids))
    cluster.wait_until("the first 10 batches", lambda: emulator.member_count(audience) >= 10 * BATCH, seconds=180)
    lost = run.tasks()["sync"].worker
    cluster.kill(lost)

    emulator.latency("applovin.append", 0)
    cluster.wait_until("an end of the run", run.is_over, seconds=300)
    first, second = run.tries("sync")
    assert (first.state, first.worker) == ("failed", lost)
    assert (second.state, second.try_number) == ("success", 2)
    assert second.worker not in {"", lost}
    assert emulator.members(audience) == ids
    sent = sum(request["body_lines"] for request in emulator.requests("applovin.append"))
    assert len(ids) <= sent <= len(ids) + IN_FLIGHT * BATCH
    assert run.returned("sync")["batches_skipped_by_resume"] >= 10 - IN_FLIGHT
