"""Adoption: which group is the one that was asked for, of those that a list shows."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_audiences.exceptions import ConflictError
from airflow_provider_audiences.platforms.pai.adoption import find_by_marker, find_by_name, ids_of_rejected
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

MARKER = GroupMarker(origin="d.t", run="r", owner="0123abcd", idempotency_key="0123456789ab")
OTHER_KEY = GroupMarker(origin="d.t", run="r2", owner="0123abcd", idempotency_key="ba9876543210")
OTHER_OWNER = GroupMarker(origin="d.u", run="r", owner="dcba3210", idempotency_key="0123456789ab")
NOBODY: frozenset[str] = frozenset()


def group(
    group_id: str, *, marker: GroupMarker | None = None, name: str = "VIP", status: int = 1, second: int = 0
) -> AudienceGroup:
    content = {
        "Id": group_id,
        "Name": name,
        "Status": status,
        "Remark": f"mine {marker.text}" if marker else "mine",
        "CreatedTime": f"2026-11-20 00:00:{second:02}",
    }
    return AudienceGroup.from_api(content)


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_the_group_of_an_earlier_request_is_found_by_its_key() -> None:
    groups = [group("1"), group("2", marker=OTHER_KEY), group("3", marker=OTHER_OWNER), group("4", marker=MARKER)]
    found = find_by_marker(groups, MARKER, passed_over=NOBODY)
    assert found is not None
    assert found.id == "4"
    assert find_by_marker(groups[:3], MARKER, passed_over=NOBODY) is None
    assert find_by_marker(groups, None, passed_over=NOBODY) is None
    assert find_by_marker(groups, MARKER, passed_over=frozenset({"4"})) is None


def test_of_several_groups_with_the_key_the_oldest_stays(caplog: pytest.LogCaptureFixture) -> None:
    groups = [group(str(number), marker=MARKER, second=second) for number, second in ((1, 2), (2, 1), (10, 1))]
    found = find_by_marker(groups, MARKER, passed_over=NOBODY)
    assert found is not None
    assert found.id == "2", "ids are compared as numbers"
    assert "Adopted: 2." in caplog.text
    assert "delete 10, 1." in caplog.text


def test_what_was_rejected_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    failed = frozenset({2})
    groups = [group("1", marker=MARKER, status=2), group("2", status=2), group("3", marker=MARKER)]
    assert ids_of_rejected(groups, MARKER, failed) == {"1"}
    assert "PAI rejected what an earlier request of this task made: 1." in caplog.text
    assert ids_of_rejected(groups, None, failed) == NOBODY


def test_a_name_is_adopted_only_if_one_group_has_it() -> None:
    groups = [group("1"), group("2", name="vip"), group("3", name="VIP ")]
    found = find_by_name(groups, "VIP", rule="adopt", passed_over=NOBODY)
    assert found is not None
    assert found.id == "1"
    assert find_by_name(groups, "VIP", rule="create", passed_over=NOBODY) is None
    for rule in ("adopt", "fail"):
        assert find_by_name(groups, "nobody's", rule=rule, passed_over=NOBODY) is None
        assert find_by_name(groups, "VIP", rule=rule, passed_over=frozenset({"1"})) is None


def test_a_name_that_is_taken_is_an_error_that_names_the_groups() -> None:
    groups = [group("1"), group("2", status=0, second=5)]
    for rule, taken in (("adopt", groups), ("fail", groups), ("fail", groups[:1])):
        with pytest.raises(ConflictError, match="groups with this name exist: 1") as failure:
            find_by_name(taken, "VIP", rule=rule, passed_over=NOBODY)
        assert ("2 (status 0, 2026-11-20 00:00:05)" in str(failure.value)) is (len(taken) == 2)
