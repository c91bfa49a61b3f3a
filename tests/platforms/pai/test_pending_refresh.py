"""A refresh that waits, as the JSON that a trigger keeps, and the report that it ends in."""

from __future__ import annotations

import json
from dataclasses import fields, replace

from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh, RefreshResult

SHORT = PendingRefresh(
    name="VIP",
    group_id="7",
    status=0,
    amount=0,
    owner="o",
    idempotency_key="k",
    adopted=False,
    unchanged=False,
    began_epoch_seconds=1_800_000_000.5,
    member_counts={"numbers": 3, "duplicates": 1},
)
LONG = replace(
    SHORT,
    status=None,
    adopted=True,
    map_index=3,
    verdicts=[{"guard": "min_members", "passed": True, "message": "m"}],
    leftovers=["5"],
    billable_calls={"create": 1},
    created_time="2026-11-20 00:00:00",
    sequence=2,
    content="c",
    file_name="f.txt",
)
STORED = {
    "name": "VIP",
    "group_id": "7",
    "status": 0,
    "amount": 0,
    "owner": "o",
    "call": "k",
    "adopted": False,
    "unchanged": False,
    "began_epoch_seconds": 1_800_000_000.5,
    "member_counts": {"numbers": 3, "duplicates": 1},
}


def group(group_id: str, *, status: int, amount: int) -> AudienceGroup:
    content = {"Id": group_id, "Name": "VIP", "Status": status, "Amount": amount}
    return AudienceGroup.from_api(content)


def test_it_comes_back_from_json_as_it_was() -> None:
    for refresh in (SHORT, LONG):
        assert PendingRefresh.from_json(json.loads(json.dumps(refresh.as_json()))) == refresh


def test_long_is_another_value_in_each_field_that_has_a_default() -> None:
    """Else the test above would miss a field that is not stored."""
    names = [field.name for field in fields(PendingRefresh)][-8:]
    assert [name for name in names if getattr(LONG, name) == getattr(SHORT, name)] == []


def test_a_row_of_an_earlier_version_is_read() -> None:
    """It calls the idempotency key otherwise, and lacks what has come since."""
    assert PendingRefresh.from_json(STORED) == SHORT


def test_the_report_of_a_group_that_has_replaced_others() -> None:
    result = RefreshResult(group=group("8", status=1, amount=12), deleted=("6", "5"), kept=("4",))
    report = LONG.report(result, cost=0.5)
    del report["seconds"]
    assert report == {
        "group_id": "7",
        "name": "VIP",
        "status": 1,
        "amount": 12,
        "unchanged": False,
        "adopted": True,
        "replaced_group_ids": ["6", "5"],
        "kept_group_ids": ["4"],
        "leftover_group_ids": ["5"],
        "numbers": 3,
        "duplicates": 1,
        "verdicts": LONG.verdicts,
        "billable_calls": {"create": 1},
        "estimated_cost": 0.5,
    }


def test_the_report_of_a_group_that_stays_has_its_own_counts_and_no_cost_that_is_not_known() -> None:
    report = replace(SHORT, status=1, amount=9, unchanged=True).report(None, cost=None)
    assert (report["status"], report["amount"], report["unchanged"]) == (1, 9, True)
    assert (report["replaced_group_ids"], report["kept_group_ids"]) == ([], [])
    assert "estimated_cost" not in report
