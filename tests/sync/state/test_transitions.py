"""What a manifest becomes: what late requests may still do, and what is known of a replacement, by how a plan ended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_provider_audiences.members.keys.key_order import order_of
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.plan import Plan, PlanCounts
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.sync.state.delivered import Delivered, DeliveredRange, DeliveredRanges
from airflow_provider_audiences.sync.state.late import LateRequests
from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, KeyFile, Manifest, StoredLedger
from airflow_provider_audiences.sync.state.stored_plans import StoredPlan
from airflow_provider_audiences.sync.state.transitions import (
    after_begin_again,
    after_changes,
    after_delivery,
    after_fold,
    after_move,
    after_no_change,
)

NOW, LATE = 1_000_000.5, 100
LEDGER = StoredLedger(file="ledger-2-x.parquet", members=3, fingerprint="f")
BEFORE = Manifest(
    address=AudienceAddress(api="memory", host="here", audience_id="a"),
    generation=1,
    ledger=StoredLedger(file="", members=0, fingerprint=""),
    is_content_known=True,
    plan_id="p",
    replacement_fingerprint="r",
)


@pytest.fixture
def make_plan(tmp_path: Path) -> Any:
    def keys(count: int, name: str) -> KeySet:
        writer = KeySetWriter((tmp_path / name).open("w+b"))
        made = np.array([[number << 32, 0] for number in range(1, count + 1)], np.uint64).reshape(-1, 2)
        writer.add(made[order_of(made)])
        return writer.finish()

    def make(additions: int, removals: int, **more: Any) -> Plan:
        given: dict[str, Any] = {"replaces": False, "ttl_seconds": 500, "counts": PlanCounts()}
        return Plan(additions=keys(additions, "a"), removals=keys(removals, "r"), **(given | more))

    return make


def delivered(additions: int, removals: int = 0, **more: Any) -> Delivered:
    def ranges(count: int) -> DeliveredRanges:
        return DeliveredRanges([DeliveredRange(0, count, 999_990, 999_995)] if count else [])

    return Delivered(begun_at=999_980, batches=1, additions=ranges(additions), removals=ranges(removals), **more)


def folded(plan: Plan, sent: Delivered, before: Manifest = BEFORE) -> Manifest:
    return after_fold(replace(before, delivered=sent), plan, LEDGER, now=NOW, late_effect_seconds=LATE)


def test_a_plan_that_was_delivered_leaves_nothing_late(make_plan: Any) -> None:
    after = folded(make_plan(3, 2), delivered(3, 2))
    assert (after.generation, after.ledger, after.plan_id, after.delivered) == (2, LEDGER, "", None)
    assert (after.late_until, after.late, after.is_doubt_in_ledger) == (
        0,
        LateRequests(has_removals=False, ttl_seconds=None),
        True,
    )
    assert after.replacement_fingerprint == "r"


@pytest.mark.parametrize(
    ("sent", "late"),
    [
        (delivered(2, 0), LateRequests(has_removals=True, ttl_seconds=500)),
        (delivered(3, 1), LateRequests(has_removals=True, ttl_seconds=None)),
        (delivered(3, 2, is_repeated=True), LateRequests(has_removals=True, ttl_seconds=500)),
    ],
)
def test_what_may_still_arrive_is_waited_for(make_plan: Any, sent: Delivered, late: LateRequests) -> None:
    after = folded(make_plan(3, 2), sent)
    assert (after.late_until, after.late) == (1_000_001 + LATE, late)


def test_late_requests_of_before_are_kept_as_long_as_they_may_arrive(make_plan: Any) -> None:
    sent = delivered(3)
    still = replace(BEFORE, late_until=1_000_050, late=LateRequests(has_removals=True, ttl_seconds=9))
    after = folded(make_plan(3, 0), sent, still)
    assert (after.late_until, after.late) == (1_000_050, LateRequests(has_removals=True, ttl_seconds=9))
    assert not after.is_doubt_in_ledger, "those who were in doubt and were sent since are not shown"
    over = replace(still, late_until=999_999)
    assert folded(make_plan(3, 0), sent, over).late == LateRequests(has_removals=False, ttl_seconds=None)


def test_a_replacement_of_which_nothing_is_delivered_may_come_late(make_plan: Any) -> None:
    after = folded(make_plan(3, 0, replaces=True), delivered(0))
    assert (after.replacement_fingerprint, after.is_doubt_in_ledger) == ("", False)
    assert after.late == LateRequests(has_removals=True, ttl_seconds=500)


@pytest.mark.parametrize(("rows", "is_in_flight"), [(0, True), (1, False)])
def test_a_replacement_in_flight_is_sent_again(make_plan: Any, rows: int, is_in_flight: bool) -> None:
    again = after_begin_again(BEFORE, delivered(rows), make_plan(3, 0, replaces=True)).delivered
    assert again is not None
    assert (again.is_repeated, again.is_replacement_repeated) == (True, is_in_flight)


@pytest.mark.parametrize(
    ("seconds", "fingerprint", "finished"), [(0.25, "f", ("p", 1)), (None, "", ("", 0))], ids=["finished", "given up"]
)
def test_changes_end_without_a_ledger(make_plan: Any, seconds: Any, fingerprint: str, finished: Any) -> None:
    before = replace(BEFORE, delivered=delivered(3), changes_fingerprint="f")
    after = after_changes(before, make_plan(3, 2), now=NOW, late_effect_seconds=LATE, seconds_per_request=seconds)
    assert (after.ledger, after.changes_fingerprint, after.is_doubt_in_ledger) == (BEFORE.ledger, fingerprint, False)
    assert (after.finished_plan_id, after.finished_batches) == finished
    assert after.late_until == 1_000_001 + LATE


SETTLED = replace(
    BEFORE, plan_id="", replacement_fingerprint="", late=LateRequests(has_removals=False, ttl_seconds=None)
)


def moved(*sources: Manifest, has_unknown_members: bool = False) -> Manifest:
    return after_move(sources, address=BEFORE.address, has_unknown_members=has_unknown_members, now=NOW)


def test_a_state_that_is_moved_takes_over_what_is_known_of_any_part() -> None:
    one = replace(SETTLED, generation=7, seconds_per_request=0.5, ledger=LEDGER)
    other = replace(SETTLED, generation=3, seconds_per_request=2.0, has_unknown_members=True, is_doubt_in_ledger=False)
    both = moved(one, other)
    assert (both.generation, both.seconds_per_request) == (7, 2.0)
    assert (both.has_unknown_members, both.is_doubt_in_ledger) == (True, False)
    assert (both.ledger.file, both.ledger.members, both.files) == ("", 0, set())
    assert moved(one).is_doubt_in_ledger
    assert not moved(one).has_unknown_members
    assert moved(one, has_unknown_members=True).has_unknown_members


def test_what_late_requests_of_any_part_may_do_is_reckoned_with() -> None:
    adds, removes = LateRequests(has_removals=False, ttl_seconds=50), LateRequests(has_removals=True, ttl_seconds=None)
    late = replace(SETTLED, late_until=1_000_050, late=adds)
    later = replace(SETTLED, late_until=1_000_090, late=removes)
    past = replace(SETTLED, late_until=999_990, late=LateRequests(has_removals=True, ttl_seconds=1))
    assert (moved(late, past).late_until, moved(late, past).late) == (1_000_050, adds)
    both = moved(late, later, past)
    assert (both.late_until, both.late) == (1_000_090, LateRequests(has_removals=True, ttl_seconds=50))


def test_the_newest_run_of_any_part_decides() -> None:
    dates = [RunDate(logical=day * 86_400.0, end=(day + 1) * 86_400.0) for day in (5, 9, 7)]
    assert moved(*(replace(SETTLED, run_date=date) for date in dates)).run_date == dates[1]
    assert moved(SETTLED, replace(SETTLED, run_date=dates[0])).run_date == dates[0]


def test_a_plan_that_was_finished_is_not_that_of_the_new_state() -> None:
    """Its opt-outs are removed once more, and it can't be found by its id."""
    old = replace(SETTLED, finished_plan_id="p", finished_batches=4, removed_opt_outs_fingerprint="o")
    new = moved(old)
    assert (new.finished_plan_id, new.finished_batches, new.removed_opt_outs_fingerprint) == ("", 0, "")


@pytest.mark.parametrize("has_unknown_members", [True, False])
@pytest.mark.parametrize("removed", ["new", ""])
def test_opt_outs_that_were_removed_are_known_as_long_as_there_may_be_unknown_members(
    make_plan: Any, has_unknown_members: bool, removed: str
) -> None:
    plan = make_plan(3, 0, has_unknown_members=has_unknown_members, removed_opt_outs_fingerprint=removed)
    stored = StoredPlan(plan_id="p", generation=1, begins_anew=False, plan=plan, details={})
    before = replace(BEFORE, has_unknown_members=True, removed_opt_outs_fingerprint="old")
    after = after_delivery(before, delivered(3), stored, seconds_per_request=0.12345)
    assert after.has_unknown_members == has_unknown_members
    assert after.removed_opt_outs_fingerprint == (removed or ("old" if has_unknown_members else ""))
    assert (after.finished_plan_id, after.finished_batches, after.replacement_fingerprint) == ("p", 1, "")
    assert after.seconds_per_request == 0.123


def test_a_run_without_a_change_notes_its_date_and_the_plan_that_this_outdates() -> None:
    early, late = RunDate(logical=5.0), RunDate(logical=9.0)
    before = replace(SETTLED, run_date=early, finished_plan_id="last", finished_batches=4)

    def after(run_date: RunDate | None, plan_id: str, manifest: Manifest = before) -> Manifest:
        return after_no_change(before, manifest, run_date=run_date, plan_id=plan_id)

    assert after(None, "p") == after(early, "p") == after(RunDate(logical=1.0), "p") == before
    assert after(late, "") == replace(before, run_date=late)
    assert after(late, "p") == replace(before, run_date=late, finished_plan_id="p", finished_batches=0)
    changed = replace(before, direct_changes=DirectChangeFiles(held_back=KeyFile(file="held-1.parquet")))
    assert after(None, "", changed) == changed
    assert after(None, "p", changed) == replace(changed, finished_plan_id="p", finished_batches=0)
