"""Which changes from run to run are news."""

import json
from typing import Any

import pytest

from airflow_provider_audiences.notifications.health import (
    AudienceHealth,
    Change,
    NotificationThresholds,
    Observation,
    changes,
)

DAY = 24 * 3600
LIMITS = NotificationThresholds(drift_beyond=0.05, expiry_within_seconds=3 * DAY)


def told(*runs: Any, limits: NotificationThresholds = LIMITS) -> list[Any]:
    """What is told of runs, one a day; each is a state, or what was seen."""
    state, found = None, []
    for day, run in enumerate(runs):
        given = {"state": run} if isinstance(run, str) else run
        name, _, guard = given.get("state", "ok").partition(" by ")
        seen = Observation(**given | {"state": name, "guard": guard or None, "at": 100 * DAY + day * DAY})
        after = AudienceHealth.after(state, seen, limits)
        found.append([change.value for change in changes(state, after)])
        state = AudienceHealth.of_json(json.loads(json.dumps(after.as_json())))
        assert state == after
    return found


def test_the_same_state_again_is_no_news() -> None:
    assert told("ok", "ok", "stopped by a", "stopped by a", "ok") == [[], [], ["stopped"], [], ["ok"]]
    assert told("failed", "failed", "ok", "failed") == [["failed"], [], ["ok"], ["failed"]]


def test_another_guard_is_news_and_so_is_a_failure_after_a_stop() -> None:
    assert told("stopped by a", "stopped by b", "failed") == [["stopped"], ["stopped"], ["failed"]]


@pytest.mark.parametrize("sign", [1, -1])
def test_drift_begins_and_ends(sign: int) -> None:
    runs = [{"drift": sign * drift, "live": 100} for drift in (0, 5, 6, 50, 5, 5)]
    assert told(*runs) == [[], [], ["drift_began"], [], ["drift_ended"], []]


def test_drift_stays_as_it_was_where_it_is_not_known() -> None:
    runs = [{"drift": 50, "live": 100}, "failed", {}, "stopped by a", {"drift": 0, "live": 100}]
    assert told(*runs) == [["drift_began"], ["failed"], ["ok"], ["stopped"], ["ok", "drift_ended"]]


def test_without_a_limit_nobody_is_told_of_drift_and_expiry() -> None:
    runs = [{"drift": 50, "live": 100, "first_expiry": 101 * DAY}, "failed"]
    assert told(*runs, limits=NotificationThresholds(drift_beyond=None, expiry_within_seconds=None)) == [[], ["failed"]]


def test_expiry_is_news_only_while_runs_do_not_succeed() -> None:
    soon, late = {"first_expiry": 101 * DAY}, {"first_expiry": 105 * DAY}
    assert told(soon, soon) == [[], []]
    assert told(late, "failed", "failed", "failed", "stopped by a", late, "failed") == [
        [],
        ["failed"],
        [],
        ["expiry_near"],
        ["stopped"],
        ["ok"],
        ["failed", "expiry_near"],
    ]


def test_a_state_is_as_old_as_its_first_run() -> None:
    state = None
    for at, name in enumerate(("failed", "failed", "ok", "ok")):
        seen = Observation(state=name, guard=None, at=at)  # type: ignore[arg-type] # the names are right
        state = AudienceHealth.after(state, seen, LIMITS)
        assert state.since == at // 2 * 2


@pytest.mark.parametrize("stored", [None, [], "ok", {}, {"state": "odd", "guard": None, "since": 1}])
def test_what_is_no_state_is_none(stored: Any) -> None:
    assert AudienceHealth.of_json(stored) is None


def test_entries_of_another_version_are_left_out() -> None:
    stored = {"state": "ok", "guard": None, "since": 7, "of_tomorrow": 1}
    assert AudienceHealth.of_json(stored) == AudienceHealth(state="ok", guard=None, since=7)
    assert Change("ok") is Change.OK
