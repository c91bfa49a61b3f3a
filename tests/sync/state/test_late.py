"""What may come late, and what that may undo."""

import itertools
from typing import Any

import pytest

from airflow_provider_audiences.sync.plan import Plan, PlanCounts
from airflow_provider_audiences.sync.state.delivered import Delivered, DeliveredRange, DeliveredRanges
from airflow_provider_audiences.sync.state.late import LateRequests

ANYTHING = LateRequests()
NOTHING = LateRequests(has_removals=False, ttl_seconds=None)
ADDITIONS = LateRequests(has_removals=False, ttl_seconds=500)
REMOVALS = LateRequests(has_removals=True, ttl_seconds=None)
BOTH = LateRequests(has_removals=True, ttl_seconds=500)


class Rows:
    """Stands for members of whom only the number counts."""

    def __init__(self, count: int) -> None:
        self.count = count


def plan(additions: int, removals: int, *, replaces: bool = False, ttl: int = 500) -> Plan:
    rows: Any = Rows(additions), Rows(removals)
    return Plan(replaces=replaces, ttl_seconds=ttl, additions=rows[0], removals=rows[1], counts=PlanCounts())


def landed(additions: int, removals: int, *, is_repeated: bool = False) -> Delivered:
    rows = [DeliveredRanges([DeliveredRange(0, count, 1, 2)] if count else []) for count in (additions, removals)]
    return Delivered(begun_at=1, additions=rows[0], removals=rows[1], is_repeated=is_repeated)


@pytest.mark.parametrize(
    ("given", "delivered", "late"),
    [
        (plan(3, 2), landed(3, 2), NOTHING),
        (plan(3, 2), landed(2, 2), ADDITIONS),
        (plan(3, 2), landed(3, 0), REMOVALS),
        (plan(3, 2), landed(0, 0), BOTH),
        (plan(3, 2), landed(3, 2, is_repeated=True), BOTH),
        (plan(3, 0), landed(3, 0, is_repeated=True), ADDITIONS),
        (plan(0, 2), landed(0, 2, is_repeated=True), REMOVALS),
        (plan(3, 0, replaces=True), landed(3, 0), NOTHING),
        (plan(3, 0, replaces=True), landed(1, 0), BOTH),
        (plan(3, 0, replaces=True), landed(0, 0), BOTH),
        (plan(3, 0, replaces=True), landed(3, 0, is_repeated=True), BOTH),
        (plan(0, 0, replaces=True), landed(0, 0), BOTH),
    ],
)
def test_what_may_come(given: Plan, delivered: Delivered, late: LateRequests) -> None:
    assert LateRequests.of(given, delivered) == late


@pytest.mark.parametrize(
    ("late", "undone"),
    [
        (NOTHING, set()),
        (ADDITIONS, {"removes", "both", "replaces", "longer"}),
        (REMOVALS, {"adds", "both", "replaces", "longer"}),
        (BOTH, {"adds", "removes", "both", "replaces", "longer"}),
        (ANYTHING, {"adds", "removes", "both", "replaces", "longer"}),
    ],
)
def test_what_it_may_undo(late: LateRequests, undone: set[str]) -> None:
    plans = {
        "adds": plan(1, 0),
        "removes": plan(0, 1),
        "both": plan(1, 1),
        "replaces": plan(0, 0, replaces=True),
        "longer": plan(1, 0, ttl=501),
        "nothing": plan(0, 0),
    }
    assert {name for name, given in plans.items() if late.may_undo(given)} == undone


def test_together_they_may_do_what_each_may() -> None:
    every = (NOTHING, ADDITIONS, REMOVALS, BOTH, ANYTHING, LateRequests(has_removals=False, ttl_seconds=7))
    given = (plan(1, 0), plan(0, 1), plan(1, 1), plan(0, 0, replaces=True), plan(1, 0, ttl=7), plan(1, 0, ttl=8))
    for one, other in itertools.product(every, repeat=2):
        assert [(one | other).may_undo(item) for item in given] == [
            one.may_undo(item) or other.may_undo(item) for item in given
        ]
