"""A partitioned sync over both workers, day after day: one is lost, the number changes. By ``make test-cluster``."""

from collections.abc import Callable

from support.cluster.cluster import Cluster
from support.cluster.players import BATCH, IN_FLIGHT, Players, check_who_did_what, lose_a_sender

SECONDS = 1200


def test_days_of_a_partitioned_sync(cluster: Cluster, audience: str, sent: Callable[[], int]) -> None:
    """Players come, go, stay and come back, and some opt out. On the second day, a worker is lost."""
    players = Players(cluster.make_database("players").cursor(), 300_000)
    players.play(1, 1, 250_000)
    players.play(2, 50_001, 300_000)
    players.play(3, 40_001, 290_000)  # 10,000 are back
    players.opt_out(1, 100_001, 103_000)
    players.opt_out(2, 99_001, 100_000)
    before: set[str] = set()
    # When the opt-outs have changed, all 4,000 are removed: nobody knows who was in the audience before its first sync.
    for day, changes in enumerate([250_000, 100_000 + 4_000, 20_000], 1):
        cluster.emulator.clear_requests()
        run = cluster.api.run("cluster_partitioned_16", audience_id=audience, database="players", day=day)
        twice = 0
        if day == 2:
            loss = lose_a_sender(cluster, run)
            twice = len(loss.cut_off) * IN_FLIGHT * BATCH
        tasks = cluster.ended(run, seconds=SECONDS)
        if day == 2:
            check_who_did_what(run, loss)
            cluster.bring_back_workers()
        else:
            assert {task.try_number for task in tasks.values()} == {1}
            assert {task.worker for task in tasks.values()} == {"first", "second"}
        wanted = players.members(day)
        assert set(cluster.emulator.members(audience)) == wanted
        assert changes <= sent() <= changes + twice
        report = run.returned("partitioned_sync.report")
        assert (report["live"], report["drift"]) == (len(wanted), 0)
        assert (report["added"], report["added"] + report["removed"]) == (len(wanted - before), changes)
        before = wanted


def test_another_number_of_partitions_each_day(cluster: Cluster, audience: str, sent: Callable[[], int]) -> None:
    """From a sync of the whole to 16 partitions, and back: each day sends what differs, and nobody again."""
    players = Players(cluster.make_database("movers").cursor(), 130_000)
    changes = [100_000, 20_000, 30_000, 40_000]
    for day, (first, last) in enumerate([(1, 100_000), (10_001, 110_000), (5_001, 85_000), (25_001, 105_000)], 1):
        players.play(day, first, last)
    for day, partitions in enumerate([1, 16, 1, 16], 1):
        cluster.emulator.clear_requests()
        run = cluster.api.run(f"cluster_partitioned_{partitions}", audience_id=audience, database="movers", day=day)
        tasks = cluster.ended(run, seconds=SECONDS)
        assert {task.try_number for task in tasks.values()} == {1}
        wanted = players.members(day)
        assert set(cluster.emulator.members(audience)) == wanted
        assert sent() == changes[day - 1]
        report = run.returned("partitioned_sync.report")
        assert [report[name] for name in ("partitions", "live", "drift")] == [partitions, len(wanted), 0]
