"""What a task has done, in numbers: of its report, of a failure, and what is not known."""

from typing import Any

import pytest

from airflow_provider_audiences.common.counts import Counts, live_after


def test_counts_of_a_group() -> None:
    report = {
        "members": 7,
        "unchanged": False,
        "amount": 6,
        "malformed": 2,
        "billable_calls": {"create": 1, "get": 2},
    }
    counts = Counts.of(report, operation="sync")
    assert counts == Counts(sent=7, refused=2, requests=3, live=6)
    assert Counts.of({**report, "unchanged": True}, operation="sync").sent == 0
    assert Counts.of({"amount": 6, "unchanged": False}, operation="replace") == Counts(live=6)


def test_counts_of_a_sync_with_nothing_to_do() -> None:
    report = {"live": 5, "drift": -1, "malformed": 0, "zeroed": 1, "rejected_by_api": 2, "requests": 1}
    counts = Counts.of(report, operation="sync", sends=True)
    assert counts == Counts(sent=0, removed=0, refused=3, requests=1, live=5, drift=-1)


def test_counts_of_a_failure() -> None:
    assert Counts.of(None, operation="sync") == Counts()
    assert Counts.of(None, operation="sync", live=3, requests=4, sends=True) == Counts(sent=0, removed=0, requests=4)


@pytest.mark.parametrize(
    ("report", "operation", "live"),
    [
        ({"live": 5}, "sync", 5),
        ({"live": 0}, "sync", 0),
        ({"amount": 6}, "replace", 6),
        ({"sent": 7}, "update", 7),
        ({"sent": 7}, "append", 3),
        ({"audience_id": "a"}, "delete", 0),
    ],
)
def test_members_afterwards(report: dict[str, Any], operation: str, live: int | None) -> None:
    assert live_after(report, operation=operation, otherwise=3) == live
