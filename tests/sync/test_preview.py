"""Previews: the same counts as the sync that follows, and a state that stays as it was to the byte."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fixtures import MakeIds
from support.kinds import ID_KIND
from support.synced import TTL_SECONDS, SyncedAudience

from airflow_provider_audiences.exceptions import GuardError, LedgerLostError, ServerError
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.sync.preview import Preview
from airflow_provider_audiences.sync.report import SyncReport
from airflow_provider_audiences.sync.settings import DeliverySettings

DELIVERY = DeliverySettings(batch_size=2, max_parallel_requests=1, max_drift=None, drift_patience_seconds=0)
COUNTS = ("added", "refreshed", "removed", "unchanged", "suppressed", "held_back", "live", "planned_requests")


def preview(
    synced: SyncedAudience, source: Iterable[str], *, suppress: Iterable[str] = (), **changes: Any
) -> SyncReport:
    wanted, unwanted = ValuesInput(chunks=[list(source)]), ValuesInput(chunks=[list(suppress)])
    rules = StagingRules()
    with (
        stage(wanted, rules=rules, identifier_kind=ID_KIND) as staged,
        stage(unwanted, rules=rules, identifier_kind=ID_KIND) as suppressed,
    ):
        made = Preview(synced.destination, synced.folder, clock=synced.now)
        return made.plan(staged, suppressed, synced.settings(**changes), delivery_settings=DELIVERY)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The files of a folder, and when each was written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def counts(report: SyncReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in COUNTS}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.tuples(st.sets(st.integers(1, 9), min_size=1), st.sets(st.integers(1, 9))), max_size=3))
def test_it_says_what_the_sync_then_does(
    rounds: list[tuple[set[int], set[int]]], make_in_memory: Callable[..., SyncedAudience], make_ids: MakeIds
) -> None:
    synced, ids = make_in_memory(), make_ids(10)
    for members, opted_out in rounds:
        source, suppress = [ids[number] for number in members], [ids[number] for number in opted_out]
        before = contents(synced.path) if synced.path.exists() else {}
        said = preview(synced, source, suppress=suppress)
        assert (contents(synced.path) if synced.path.exists() else {}) == before
        assert counts(said) == counts(synced.run(source, suppress=suppress))
        synced.advance(TTL_SECONDS * 0.95)


def test_an_unfinished_plan_is_folded_here_only(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(2))
    posts: list[object] = []

    def fail_later(post: object) -> None:
        posts.append(post)
        if len(posts) == 2:
            raise ServerError("no reply")

    synced.destination.before = fail_later
    with pytest.raises(ServerError):
        synced.run(make_ids(8))
    synced.destination.clear()
    before = contents(synced.path)
    said = preview(synced, make_ids(9))
    assert (said.added, said.batches_skipped_by_resume) == (5, 1)
    assert contents(synced.path) == before
    assert counts(said) == counts(synced.run(make_ids(9)))


def test_only_reading_calls_reach_the_store(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    synced.folder.clear()
    sent = synced.destination.requests_sent
    preview(synced, make_ids(5))
    assert {method for method, _ in synced.folder.calls} == {"names", "read", "fetch"}
    assert synced.destination.requests_sent == sent, "with a ledger, the platform is not asked"
    assert len(synced.members) == 3


def test_a_sync_that_runs_is_neither_waited_for_nor_disturbed(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(2))
    said: list[SyncReport] = []

    def look(_post: object) -> None:
        if not said:
            said.append(preview(synced, make_ids(4)))

    synced.destination.before = look
    assert synced.run(make_ids(4)).added == 2
    assert said[0].added == 2, "nothing of the running plan is delivered yet"
    assert synced.members == make_ids(4)


def test_a_sync_that_ends_meanwhile(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.run(make_ids(3))
    synced.folder.before_fetching("ledger-", lambda: [synced.run(make_ids(count)) for count in (5, 4)])
    assert preview(synced, make_ids(6)).added == 2


def test_what_stops_a_sync_stops_its_preview(synced: SyncedAudience, make_ids: MakeIds) -> None:
    synced.post_by_others("append", make_ids(3))
    with pytest.raises(GuardError, match="holds 3 members"):
        preview(synced, make_ids(4))
    assert preview(synced, make_ids(4), initial="append").added == 4
    synced.run(make_ids(4), initial="append")
    said = preview(synced, make_ids(1), max_removed_ratio=0.5)
    assert [verdict.guard for verdict in said.verdicts if not verdict.passed] == ["max_removed_ratio"]
    next(synced.path.glob("ledger-*")).unlink()
    with pytest.raises(LedgerLostError, match="is missing"):
        preview(synced, make_ids(4))
    assert preview(synced, make_ids(4), lost="rebuild").added == 4
    assert not list(synced.path.glob("ledger-*"))
