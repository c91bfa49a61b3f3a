"""When a group is ready: every status, every amount, every least amount."""

from typing import Any

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.dialects import BEARER
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule, ReadinessState

READY, WAITING, FAILED = ReadinessState.READY, ReadinessState.WAITING, ReadinessState.FAILED


def look(status: int | None, amount: int, *, history: str = "", **rule: Any) -> tuple[ReadinessState, str, bool]:
    group = AudienceGroup.from_api({"Id": "g", "Status": status, "Amount": amount, "History": history})
    seen = ReadinessRule.of(BEARER, **rule).assess(group)
    return seen.state, seen.reason, seen.unknown_status


# Rows: status; columns: (amount, min_amount).
COLUMNS = [(0, 0), (0, 1), (1, 1), (5, 10), (10, 10), (11, 10)]
TABLE = {
    0: [READY, WAITING, READY, WAITING, READY, READY],
    1: [READY, FAILED, READY, FAILED, READY, READY],
    2: [FAILED] * 6,
    3: [WAITING] * 6,
    -1: [WAITING] * 6,
    None: [WAITING] * 6,
}


@pytest.mark.parametrize(
    ("status", "amount", "min_amount", "state"),
    [
        (status, amount, min_amount, state)
        for status, states in TABLE.items()
        for (amount, min_amount), state in zip(COLUMNS, states, strict=True)
    ],
)
def test_table(status: int | None, amount: int, min_amount: int, state: ReadinessState) -> None:
    found, reason, unknown = look(status, amount, min_amount=min_amount)

    assert found is state
    assert unknown is (status not in {0, 1, 2})
    assert f"Status {status}, Amount {amount}" in reason


def test_least_amount_is_one() -> None:
    assert look(0, 0)[0] is WAITING
    assert look(0, 1)[0] is READY


def test_rejection_shows_the_history() -> None:
    assert look(2, 0, history="bad numbers")[1] == "PAI rejected it (Status 2, Amount 0). History: bad numbers"
    assert look(2, 0)[1] == "PAI rejected it (Status 2, Amount 0)."


def test_small_group_says_how_many_there_are() -> None:
    assert look(1, 3, min_amount=10)[1] == "passed with 3 people, and min_amount is 10 (Status 1, Amount 3)"


@pytest.mark.parametrize(
    ("rule", "status", "state", "unknown"),
    [
        ({"ready_statuses": [1]}, 0, WAITING, False),
        ({"ready_statuses": [1]}, 1, READY, False),
        ({"ready_statuses": [7]}, 7, READY, False),
        ({"ready_statuses": ["7"]}, 7, READY, False),
        ({"ready_statuses": []}, 1, WAITING, False),
        ({"failed_statuses": [3]}, 3, FAILED, False),
        ({"failed_statuses": [3]}, 2, WAITING, False),
        ({"failed_statuses": [1]}, 1, FAILED, False),
    ],
)
def test_overridden(rule: dict[str, Any], status: int, state: ReadinessState, unknown: bool) -> None:
    found, _, is_unknown = look(status, 5, **rule)
    assert (found, is_unknown) == (state, unknown)


@pytest.mark.parametrize(
    "rule",
    [
        {"min_amount": -1},
        {"min_amount": True},
        {"min_amount": "x"},
        {"min_amount": 1.5},
        {"ready_statuses": ["x"]},
        {"failed_statuses": [None]},
        {"failed_statuses": [-1]},
    ],
)
def test_wrong_rules(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        ReadinessRule.of(BEARER, **rule)
