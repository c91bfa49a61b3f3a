"""A worker is lost in the middle of a sync, and another one ends it."""

from collections.abc import Callable

from support.cluster.cluster import Cluster
from support.cluster.players import BATCH as PARTITION_BATCH
from support.cluster.players import IN_FLIGHT as PARTITION_IN_FLIGHT
from support.cluster.players import Players, check_who_did_what, lose_a_sender
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


def test_partitions_whose_worker_is_lost_are_ended_by_another(
    cluster: Cluster, audience: str, sent: Callable[[], int]
) -> None:
    count, opted_out = 32_000, 500
    players = Players(cluster.make_database("some_players").cursor(), count)
    players.play(1, 1, count)
    players.opt_out(1, 1, opted_out)
    run = cluster.api.run("cluster_partitioned_16", audience_id=audience, database="some_players", day=1)
    loss = lose_a_sender(cluster, run)
    tasks = cluster.ended(run, seconds=1200)
    check_who_did_what(run, loss)
    assert {task.worker for task in tasks.values()} >= {"first", "second"}
    assert set(cluster.emulator.members(audience)) == players.members(1)
    assert count <= sent() <= count + len(loss.cut_off) * PARTITION_IN_FLIGHT * PARTITION_BATCH
    report = run.returned("partitioned_sync.report")
    assert (report["live"], report["drift"], report["suppressed"]) == (count - opted_out, 0, opted_out)
