"""The history that Airflow keeps of an audience."""

import json
from typing import Any

import pytest

from airflow_provider_audiences.assets.history import MAX_POINTS, NAMES, Point, extended
from airflow_provider_audiences.sync.report import DirectDeliveryReport, SyncReport


def point(report: Any, operation: str = "sync", live: int | None = None) -> dict[str, Any]:
    made = Point.of(report, at=7, operation=operation, live=live)
    return {name: getattr(made, name) for name in NAMES}


def test_a_point_of_a_sync() -> None:
    report = SyncReport(audience_id="a", added=1, removed=2, refreshed=3, suppressed=4, live=5, drift=-6, requests=7)
    assert point(report.as_dict()) == {
        "at": 7,
        "live": 5,
        "added": 1,
        "removed": 2,
        "refreshed": 3,
        "suppressed": 4,
        "drift": -6,
        "requests": 7,
    }


@pytest.mark.parametrize(
    ("operation", "in_ledger", "live", "added", "removed"),
    [
        ("update", None, 9, None, None),
        ("append", None, None, 9, None),
        ("append", 30, 30, 9, None),
        ("remove", 21, 21, None, 9),
    ],
)
def test_a_point_of_an_upload_says_only_what_is_known(
    operation: str, in_ledger: int | None, live: int | None, added: int | None, removed: int | None
) -> None:
    report = DirectDeliveryReport(audience_id="a", dry_run=False, sent=9, requests=1).as_dict()
    made = point(report, operation, in_ledger)
    assert (made["live"], made["added"], made["removed"], made["requests"]) == (live, added, removed, 1)
    assert (made["refreshed"], made["suppressed"], made["drift"]) == (None, None, None)


def test_points_of_a_group_and_of_nothing() -> None:
    group = point({"amount": 12, "suppressed": 1, "billable_calls": {"create": 1, "get": 2}})
    assert (group["live"], group["suppressed"], group["requests"], group["added"]) == (12, 1, 3, None)
    assert point({"audience_id": "a", "deleted": True}, "delete")["live"] == 0
    assert point({"audience_id": "a"}, "create")["live"] is None


def test_the_last_points_are_kept() -> None:
    history: Any = None
    for at in range(MAX_POINTS + 3):
        history = extended(history, Point.of({}, at=at, operation="sync", live=None))
    assert history["fields"] == NAMES
    assert [one[0] for one in history["points"]] == list(range(3, MAX_POINTS + 3))
    assert json.loads(json.dumps(history)) == history


def test_it_stays_small_whatever_the_numbers_are() -> None:
    history: Any = None
    report = dict.fromkeys(("live", "added", "removed", "refreshed", "suppressed", "drift", "requests"), 10**24)
    for at in range(MAX_POINTS):
        history = extended(history, Point.of(report, at=at, operation="sync", live=None))
    assert 50_000 < len(json.dumps(history)) < 64_000
    assert history["points"][-1][0] == MAX_POINTS - 1
    assert len(history["points"]) > MAX_POINTS // 2


@pytest.mark.parametrize(
    "before",
    [None, 7, [], {"fields": ["live"], "points": [[1]]}, {"fields": NAMES}, {"fields": ["at"], "points": [1]}],
    ids=str,
)
def test_what_is_no_history_is_begun_anew(before: Any) -> None:
    assert len(extended(before, Point.of({}, at=1, operation="sync", live=None))["points"]) == 1


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (["at", "live", "removed"], [1, 30, 2]),
        ([*NAMES, "clicks"], [1, 30, None, 2, None, None, None, None, 77]),
        (["clicks", "removed", "live", "at"], [77, 2, 30, 1]),
    ],
    ids=["older", "newer", "another order"],
)
def test_points_of_other_versions_are_kept(names: list[str], values: list[Any]) -> None:
    history = extended({"fields": names, "points": [values]}, Point.of({"live": 31}, at=2, operation="sync", live=None))
    first, second = (dict(zip(history["fields"], point, strict=True)) for point in history["points"])
    assert first == dict.fromkeys(NAMES) | {"at": 1, "live": 30, "removed": 2}
    assert (second["at"], second["live"]) == (2, 31)
