"""Guards: what they say of the changes of a plan, and what they take as arguments."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import GuardError, InvalidInputError
from airflow_provider_audiences.sync.guards import Guards, Verdict, refuse_unless_passed
from airflow_provider_audiences.sync.plan import PlanCounts

OFF: dict[str, Any] = {"allow_empty": True, "max_removed_ratio": None, "max_added_ratio": None, "min_members": 0}
RATIOS = ["max_removed_ratio", "max_added_ratio"]
NAMES = ["allow_empty", "min_members", *RATIOS, "max_removed", "max_added", "min_suppressed"]


def counted(**counts: int) -> PlanCounts:
    """Counts of an audience without doubt: who is added is new, who is removed was known."""
    known = counts.get("surely_live", 0)
    return PlanCounts(
        surely_new=counts.get("added", 0), surely_live_removed=counts.get("removed", 0), maybe_live=known, **counts
    )


def stopped_by(counts: PlanCounts, **arguments: Any) -> list[str]:
    verdicts = Guards(**(OFF | arguments)).verdicts(counts)
    assert [verdict.guard for verdict in verdicts] == NAMES
    return [verdict.guard for verdict in verdicts if not verdict.passed]


@pytest.mark.parametrize(
    ("arguments", "changes", "passed"),
    [
        ({"allow_empty": False}, {"unchanged": 1}, True),
        ({"allow_empty": False}, {"added": 1}, True),
        ({"allow_empty": False}, {"refreshed": 1}, True),
        ({"allow_empty": False}, {}, False),
        ({"allow_empty": False}, {"removed": 5, "surely_live": 5}, False),
        ({"allow_empty": False}, {"suppressed": 5}, False),
        ({"allow_empty": False}, {"live": 5, "surely_live": 5}, False),  # others that append leaves there
        ({"min_members": 3}, {"added": 1, "refreshed": 1, "unchanged": 1}, True),
        ({"min_members": 4}, {"added": 1, "refreshed": 1, "unchanged": 1, "suppressed": 9, "live": 9}, False),
        ({"min_members": 0}, {}, True),
        ({"max_removed_ratio": 0.3}, {"removed": 3, "surely_live": 10}, True),
        ({"max_removed_ratio": 0.3}, {"removed": 4, "surely_live": 10}, False),
        ({"max_removed_ratio": 0.3}, {"removed": 300_000_001, "surely_live": 1_000_000_000}, False),
        ({"max_removed_ratio": 0}, {"removed": 1, "surely_live": 10**9}, False),
        ({"max_removed_ratio": 0}, {"removed": 0, "surely_live": 10, "added": 99}, True),
        ({"max_removed_ratio": 1}, {"removed": 10, "surely_live": 10}, True),
        ({"max_removed_ratio": 0}, {}, True),
        ({"max_added_ratio": 0.5}, {"added": 5, "surely_live": 10}, True),
        ({"max_added_ratio": 0.5}, {"added": 6, "surely_live": 10}, False),
        ({"max_added_ratio": 2.5}, {"added": 25, "surely_live": 10}, True),
        ({"max_added_ratio": 2.5}, {"added": 26, "surely_live": 10}, False),
        ({"max_added_ratio": 0}, {"added": 1, "surely_live": 1}, False),
        ({"max_added_ratio": 0}, {"refreshed": 1, "surely_live": 1}, True),
        ({"max_added_ratio": 0}, {"added": 1000, "surely_live": 0}, True),  # an audience's first members
        ({"max_removed": 3}, {"removed": 3, "surely_live": 10**9}, True),
        ({"max_removed": 3}, {"removed": 4, "surely_live": 10**9}, False),
        ({"max_removed": 0}, {"added": 9, "surely_live": 9}, True),
        ({"max_added": 3}, {"added": 3, "surely_live": 1}, True),
        ({"max_added": 3}, {"added": 4, "surely_live": 10**9}, False),
        ({"max_added": 3}, {"added": 4, "surely_live": 0}, False),  # a number is a number, in a first sync too
        ({"max_added": 0}, {"refreshed": 9, "removed": 9, "surely_live": 9}, True),
        ({"max_removed_ratio": 0.5, "max_removed": 9}, {"removed": 5, "surely_live": 10}, True),
        ({}, {"added": 10**9, "removed": 10**9, "surely_live": 10**9}, True),
        ({}, {}, True),
    ],
)
def test_verdicts(arguments: dict[str, Any], changes: dict[str, int], passed: bool) -> None:
    assert stopped_by(counted(**changes), **arguments) == ([] if passed else list(arguments))


@pytest.mark.parametrize(
    ("removed", "added", "stopped"),
    [(4, 0, ["max_removed"]), (6, 0, ["max_removed_ratio", "max_removed"]), (0, 11, ["max_added"])],
)
def test_the_limit_that_is_reached_first_stops(removed: int, added: int, stopped: list[str]) -> None:
    limits = {"max_removed_ratio": 0.5, "max_removed": 3, "max_added_ratio": 2, "max_added": 10}
    assert stopped_by(counted(removed=removed, added=added, surely_live=10), **limits) == stopped


def test_whom_no_ledger_knows_counts_for_no_limit() -> None:
    counts = PlanCounts(removed=5000, unknown_removed=5000, surely_live=3, maybe_live=3)
    assert stopped_by(counts, max_removed_ratio=0, max_removed=0) == []


def test_who_is_in_doubt_is_no_reason_to_stop() -> None:
    """Whom a run that was cut off may have added or not: neither removing them nor sending them again counts."""
    counts = PlanCounts(added=800, maybe_live=1000, surely_live=200, surely_new=0, removed=5000, surely_live_removed=10)
    assert stopped_by(counts, max_added_ratio=0.1, max_removed_ratio=0.1) == []


def test_too_few_that_must_not_be_there() -> None:
    guards = Guards(**(OFF | {"min_suppressed": "3"}))
    assert [v.guard for v in guards.verdicts(PlanCounts(), suppress_members=2) if not v.passed] == ["min_suppressed"]
    assert all(verdict.passed for verdict in guards.verdicts(PlanCounts(), suppress_members=3))


@given(part=st.integers(0, 1000), known=st.integers(1, 1000))
def test_the_limit_itself_is_allowed(part: int, known: int) -> None:
    """Whatever the ratio is as a binary number."""
    counts = counted(removed=min(part, known), added=part, surely_live=known)
    assert not stopped_by(counts, max_removed_ratio=min(part, known) / known, max_added_ratio=part / known)
    more = counted(removed=min(part, known) + 1, added=part + 1, surely_live=known)
    assert stopped_by(more, max_removed_ratio=min(part, known) / known, max_added_ratio=part / known) == RATIOS


def test_all_that_fail_are_told_and_the_first_one_names_the_error() -> None:
    guards = Guards(allow_empty=False, max_removed_ratio=0.3, max_added_ratio=None, min_members=10)
    with pytest.raises(GuardError) as caught:
        refuse_unless_passed(guards.verdicts(counted(removed=1000, surely_live=1000)))
    assert caught.value.guard == "allow_empty"
    assert str(caught.value) == (
        "stopped by allow_empty: no member of the source is wanted in the audience (allow_empty); 0 members are "
        "wanted, and at least 10 are expected (min_members); the plan would remove 1,000 of 1,000 members (100.0%), "
        "and at most 30.0% "
        "is allowed (max_removed_ratio); nothing was sent. Check the source. If the change is meant, override the "
        "guard for this run."
    )


def test_messages() -> None:
    guards = Guards(allow_empty=True, max_removed_ratio=None, max_added_ratio=0.125, min_members=1, max_added=2)
    counts = counted(added=3, unchanged=4, removed=1, surely_live=5)
    assert [verdict.as_dict() for verdict in guards.verdicts(counts, suppress_members=2000)] == [
        {"guard": "allow_empty", "passed": True, "message": "7 members are wanted"},
        {"guard": "min_members", "passed": True, "message": "7 members are wanted, and at least 1 is expected"},
        {
            "guard": "max_removed_ratio",
            "passed": True,
            "message": "the plan would remove 1 of 5 members (20.0%), and no limit is set",
        },
        {
            "guard": "max_added_ratio",
            "passed": False,
            "message": "the plan would add 3 to 5 members (60.0%), and at most 12.5% is allowed",
        },
        {
            "guard": "max_removed",
            "passed": True,
            "message": "the plan would remove 1 member, and no limit is set",
        },
        {
            "guard": "max_added",
            "passed": False,
            "message": "the plan would add 3 members, and at most 2 are allowed",
        },
        {
            "guard": "min_suppressed",
            "passed": True,
            "message": "suppress has 2,000 members, and at least 0 are expected",
        },
    ]


def test_what_has_passed_goes_on() -> None:
    refuse_unless_passed([])
    refuse_unless_passed([Verdict(guard="a", passed=True, message="b")])
    with pytest.raises(GuardError, match=r"stopped by c: d \(c\); nothing was sent"):
        refuse_unless_passed(
            [Verdict(guard="a", passed=True, message="b"), Verdict(guard="c", passed=False, message="d")]
        )


def test_texts_of_templates() -> None:
    texts: dict[str, Any] = {"allow_empty": "False", "max_removed_ratio": "0.25", "max_added_ratio": " OFF "}
    assert Guards(**texts, min_members=cast("Any", "1000")) == Guards(
        allow_empty=False, max_removed_ratio=0.25, max_added_ratio=None, min_members=1000
    )
    texts = {"allow_empty": "true", "max_removed_ratio": "off", "max_added_ratio": " 3 ", "min_members": " 0 "}
    assert Guards(**texts, max_removed=cast("Any", "7")) == Guards(
        allow_empty=True, max_removed_ratio=None, max_added_ratio=3.0, min_members=0, max_removed=7
    )


@pytest.mark.parametrize("limit", [*RATIOS, "max_removed", "max_added"])
@pytest.mark.parametrize("text", ["", "  ", "\t", "None", " None\n"])
def test_a_template_that_renders_to_nothing_lifts_no_limit(limit: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{limit} is .*lifts no limit; give a number, or 'off'"):
        Guards(**(OFF | {limit: text}))


@pytest.mark.parametrize("limit", ["min_members", "min_suppressed", "allow_empty"])
@pytest.mark.parametrize("text", ["", "  ", "None", "off"])
def test_what_has_no_off_takes_no_text_but_its_own(limit: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{limit} must be "):
        Guards(**(OFF | {limit: text}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_empty", "no"),
        ("allow_empty", None),
        ("allow_empty", 1),
        ("max_removed_ratio", 1.1),
        ("max_removed_ratio", 30),
        ("max_removed_ratio", "30%"),
        ("max_removed_ratio", -0.1),
        ("max_removed_ratio", True),
        ("max_added_ratio", -1),
        ("max_added_ratio", "nan"),
        ("max_removed", -1),
        ("max_removed", 0.5),
        ("max_added", "many"),
        ("min_members", -1),
        ("min_members", 0.5),
        ("min_members", None),
        ("min_members", "many"),
        ("min_suppressed", "many"),
    ],
)
def test_wrong_arguments(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{name} must be "):
        Guards(**(OFF | {name: value}))
