"""Reports: what partitions report together, what is read of a stored plan, and how a plan is told."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from airflow_provider_audiences.sync.guards import Verdict
from airflow_provider_audiences.sync.report import DeliveryReport, SyncReport, summed

PASSED = Verdict(guard="min_members", passed=True, message="m")
NO_SUMS = {"generation", "audience_id", "plan_id", "mode", "plan_only", "replaces", "members_by_column", "drift",
           "first_expiry", "last_expiry", "expected_seconds", "seconds", "verdicts"}  # fmt: skip
COUNTS = [field.name for field in fields(SyncReport) if field.name not in NO_SUMS]


def report(number: int, **more: Any) -> SyncReport:
    """A report each of whose counts is its own multiple of a number."""
    counts: dict[str, Any] = {name: number * (place + 1) for place, name in enumerate(COUNTS)}
    return SyncReport(**({"audience_id": "a", "mode": "mirror"} | counts | more))


def test_the_counts_of_partitions_are_added() -> None:
    whole = summed([report(1), report(10), report(100)], audience_id="b")
    assert {name: getattr(whole, name) for name in COUNTS} == {
        name: 111 * (place + 1) for place, name in enumerate(COUNTS)
    }
    assert (whole.audience_id, whole.mode, whole.plan_id, whole.generation, whole.drift) == ("b", "mirror", "", 0, None)


def test_columns_times_and_expiries_of_partitions() -> None:
    parts = [
        report(1, members_by_column={"idfa": 1, "gaid": 2}, seconds=3.0, expected_seconds=9.0, plan_only=True),
        report(1, members_by_column={"idfa": 5}, seconds=4.0, expected_seconds=2.0, plan_only=True,
               first_expiry="2026-02-01T00:00:00+00:00", last_expiry="2026-02-03T00:00:00+00:00"),
        report(1, first_expiry="2026-01-01T00:00:00+00:00", last_expiry="2026-02-02T00:00:00+00:00", plan_only=True),
    ]  # fmt: skip
    whole = summed(parts, audience_id="a")
    assert whole.members_by_column == {"idfa": 6, "gaid": 2}
    assert (whole.seconds, whole.expected_seconds) == (4.0, 9.0)
    assert (whole.first_expiry, whole.last_expiry) == ("2026-01-01T00:00:00+00:00", "2026-02-03T00:00:00+00:00")
    assert whole.plan_only
    assert not summed([*parts, report(1)], audience_id="a").plan_only
    assert summed([report(1)], audience_id="a").first_expiry is None


def test_a_report_comes_back_from_the_plan_that_it_was_stored_with() -> None:
    stored = report(3, verdicts=[PASSED], plan_id="old", members_by_column={"idfa": 2}).as_dict()
    again = SyncReport.from_details({**stored, "of_a_later_version": 1}, audience_id="a", plan_id="p")
    assert again == report(3, verdicts=[PASSED], plan_id="p", members_by_column={"idfa": 2})


def test_the_audience_comes_first_then_the_reports_own_fields() -> None:
    names = list(report(1).as_dict())
    shared = [field.name for field in fields(DeliveryReport) if field.name != "audience_id"]
    assert names[0] == "audience_id"
    assert names[-len(shared) :] == shared


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (
            {"replaces": False},
            ["The plan changes only what differs: 1 request, 37 bytes, about 0.5 s.",
             "  added 1,000, refreshed 0, removed 2, unchanged 3"],
        ),
        (
            {"replaces": True, "suppressed": 4, "held_back": 5},
            ["The plan replaces the audience's content: 1 request, 37 bytes, about 0.5 s.",
             "  added 1,000, refreshed 0, removed 2, unchanged 3, suppressed 4, held_back 5"],
        ),
    ],
)  # fmt: skip
def test_two_lines_tell_a_plan(more: dict[str, Any], lines: list[str]) -> None:
    plan = SyncReport(
        audience_id="a", added=1000, removed=2, unchanged=3, planned_requests=1, planned_bytes=37, expected_seconds=0.5,
        **more,
    )  # fmt: skip
    assert plan.plan_lines() == lines
