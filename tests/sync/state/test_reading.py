"""Reading a state without its lease: what is told, that nothing changes, and what happens while a sync runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.fixtures import MakeIds
from support.memory_destination import WITHOUT_TTL, MemoryPlatform, Post
from support.synced import TTL_SECONDS, SyncedAudience

from airflow_provider_audiences.exceptions import AudienceBusyError, LedgerLostError, ServerError, StateUnavailableError
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.reading import StateReader
from airflow_provider_audiences.sync.state.summary import AudienceDetails, AudienceSummary, LedgerCounts


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The files of a folder, and when each was written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def summary_of(synced: SyncedAudience) -> AudienceSummary:
    return StateReader(synced.folder, clock=synced.now).summary()


def details_of(synced: SyncedAudience) -> AudienceDetails:
    with open_workspace(StagingSettings()) as workspace:
        return StateReader(synced.folder, clock=synced.now).details(workspace)


def fail_on(number: int) -> Callable[[Post], None]:
    """Let the request of that number fail, with a reply that is lost."""
    count = 0

    def act(_post: Post) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise ServerError("no reply", maybe_applied=True)

    return act


def test_an_audience_that_was_never_synced(synced: SyncedAudience) -> None:
    assert summary_of(synced) == AudienceSummary(where=synced.folder.name, manifest=None, claim=None)
    assert details_of(synced).ledger == LedgerCounts()
    assert not synced.path.exists()


def test_a_synced_audience_in_full(synced: SyncedAudience, make_ids: MakeIds) -> None:
    begun = synced.now()
    synced.run(make_ids(5))
    synced.advance(1000)
    synced.run(make_ids(7))
    found = details_of(synced)
    manifest = found.summary.manifest
    assert manifest is not None
    assert (manifest.address, manifest.generation) == (synced.destination.address, 2)
    assert (found.ledger.live, found.ledger.maybe_live, found.ledger.expired) == (7, 0, 0)
    assert found.ledger.expiry.first == pytest.approx(begun + TTL_SECONDS, abs=5)
    assert found.ledger.expiry.last == pytest.approx(begun + 1000 + TTL_SECONDS, abs=5)
    assert (found.held_back, found.added_directly, found.plans) == (0, 0, ())


def test_members_without_a_ttl_never_expire(make_in_memory: Callable[..., SyncedAudience], make_ids: MakeIds) -> None:
    synced = make_in_memory(MemoryPlatform(limits=WITHOUT_TTL))
    synced.ttl_seconds = None
    synced.run(make_ids(2), initial="append")
    assert details_of(synced).ledger == LedgerCounts(live=2)


def test_members_expire_while_no_sync_runs(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    synced.advance(TTL_SECONDS + 1)
    assert details_of(synced).ledger.maybe_live == 3, "a late request may have come after"
    synced.advance(1000)
    assert details_of(synced).ledger == LedgerCounts(expired=3)


def test_an_unfinished_plan_and_stored_ones(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(6))
    stored = synced.run(make_ids(8), plan_only=True, max_added_ratio=0.1)
    (waiting,) = details_of(synced).plans
    assert (waiting.plan_id, waiting.status, waiting.added) == (stored.plan_id, "waiting", 2)
    assert waiting.stopped_by == ("max_added_ratio",)
    synced.destination.before = fail_on(2)
    with pytest.raises(ServerError):
        synced.run(make_ids(10))
    plans = {plan.status: plan for plan in details_of(synced).plans}
    assert plans["outdated"].plan_id == stored.plan_id
    assert (plans["begun"].added, plans["begun"].delivered) == (4, 2)
    (synced.path / f"plan-{stored.plan_id}.json").write_text("{}")
    assert "damaged" in {plan.status for plan in details_of(synced).plans}


def test_the_dates_of_the_last_run(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(1))
    with synced.open_audience(key="t") as audience:
        audience.state.load()
        audience.state.record_no_change(
            run_date=RunDate(logical=1_700_000_000), direct_changes=audience.state.direct_changes()
        )
    manifest = summary_of(synced).manifest
    assert manifest is not None
    assert manifest.run_date == RunDate(logical=1_700_000_000)


def test_the_holder_of_the_lease(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(1))
    with synced.open_audience(key="DAG d, run r, task t", try_number=3):
        claim = summary_of(synced).claim
        assert claim is not None
        assert (claim.key, claim.try_number) == ("DAG d, run r, task t", 3)
        synced.advance(3600)
        assert summary_of(synced).claim is None, "it has expired"
    assert summary_of(synced).claim is None


def test_nothing_is_written_or_deleted(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(4))
    synced.run(make_ids(5), plan_only=True)
    (synced.path / "lease-0000000000000000.json").write_text("no claim")
    before = contents(synced.path)
    synced.folder.clear()
    summary_of(synced)
    details_of(synced)
    assert contents(synced.path) == before
    assert {method for method, _ in synced.folder.calls} == {"names", "read", "fetch"}


def test_a_damaged_manifest_is_told(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(1))
    last = max(synced.path.glob("head-*.json"))
    last.write_bytes(last.read_bytes()[:-9])
    assert f"{last.name} is damaged" in summary_of(synced).problem
    with pytest.raises(LedgerLostError, match="is damaged"):
        details_of(synced)


def test_a_state_of_another_audience_is_told(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(1))
    other = AudienceAddress(api="memory", host="here", audience_id="b")
    assert "not b of here" in StateReader(synced.folder, address=other).summary().problem


@pytest.mark.parametrize("method", ["read", "fetch"])
def test_a_sync_that_ends_meanwhile_is_no_damage(method: str, synced: SyncedAudience, make_ids: MakeIds) -> None:
    """The files that were just found are deleted before they are read."""
    synced.run(make_ids(3))
    sync_between(synced, make_ids, method=method, times=1)
    found = details_of(synced)
    manifest = found.summary.manifest
    assert manifest is not None
    assert (found.ledger.live, manifest.generation) == (4, 3)


def test_it_gives_up_on_a_state_that_never_rests(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    sync_between(synced, make_ids, method="fetch", times=99)
    with pytest.raises(AudienceBusyError, match="keep on changing"):
        details_of(synced)


def sync_between(synced: SyncedAudience, make_ids: MakeIds, *, method: str, times: int) -> None:
    """Let syncs run just before the next calls of a method."""
    done = 0

    def act(called: str, name: str) -> None:
        nonlocal done
        if called != method or done == times or not name.startswith(("head-", "ledger-")):
            return
        done += 1
        hook, synced.folder.before = synced.folder.before, lambda _method, _name: None
        # Twice, so that what the first one has replaced is deleted for sure.
        for count in (5, 4):
            synced.run(make_ids(count))
        synced.folder.before = hook

    synced.folder.before = act


def test_a_store_that_fails_is_no_lost_ledger(synced: SyncedAudience) -> None:
    synced.path.write_text("a file, no folder")
    with pytest.raises(StateUnavailableError):
        summary_of(synced)
