"""When a group is ready: every status, every amount, every least amount."""

from typing import Any

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.dialects import BEARER
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.waiting.polls import PollState

READY, WAITING, FAILED = PollState.READY, PollState.WAITING, PollState.FAILED


def assess(status: int | None, amount: int, *, history: str = "", **rule: Any) -> tuple[PollState, str, bool]:
    group = AudienceGroup.from_api({"Id": "g", "Status": status, "Amount": amount, "History": history})
    seen = ReadinessRule.of(**rule).assess(group, BEARER)
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
def test_table(status: int | None, amount: int, min_amount: int, state: PollState) -> None:
    found, reason, unknown = assess(status, amount, min_amount=min_amount)

    assert found is state
    assert unknown is (status not in {0, 1, 2})
    assert f"Status {status}, Amount {amount}" in reason


def test_least_amount_is_one() -> None:
    assert assess(0, 0)[0] is WAITING
    assert assess(0, 1)[0] is READY


def test_rejection_shows_the_history() -> None:
    assert assess(2, 0, history="bad numbers")[1] == "PAI rejected it (Status 2, Amount 0). History: bad numbers"
    assert assess(2, 0)[1] == "PAI rejected it (Status 2, Amount 0)."


def test_small_group_says_how_many_there_are() -> None:
    assert assess(1, 3, min_amount=10)[1] == "passed with 3 people, and min_amount is 10 (Status 1, Amount 3)"


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
def test_overridden(rule: dict[str, Any], status: int, state: PollState, unknown: bool) -> None:
    found, _, is_unknown = assess(status, 5, **rule)
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
        {"ready_statuses": {1: 2}},
        {"ready_statuses": b"1"},
    ],
)
def test_wrong_rules(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        ReadinessRule.of(**rule)
