"""How a task has ended, as Airflow keeps it: in one line, and without what nobody may see."""

import logging
from typing import Any

import pytest
from support.fixtures import MakeContext

from airflow_provider_audiences.assets.state import MAX_MESSAGE_CHARACTERS, Result, TaskOutcome, store_outcome
from airflow_provider_audiences.exceptions import ServerError
from airflow_provider_audiences.sync.guards import stopped_by
from airflow_provider_audiences.sync.report import SyncReport

MEMBER = "1e1e1e1e-0000-4000-8000-00000000feed"


class Store(dict[str, Any]):
    """Airflow's store of one asset, as far as it is used."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def test_a_guard_is_named() -> None:
    outcome = TaskOutcome.of_error(stopped_by("max_removed", "too many"), operation="sync")
    assert (outcome.state, outcome.guard) == ("stopped", "max_removed")
    assert outcome.message.startswith("stopped by max_removed: too many. Check the source.")


def test_errors_of_ours_are_quoted_in_one_short_line() -> None:
    outcome = TaskOutcome.of_error(ServerError("it\nfailed", http_status=503), operation="apply")
    assert (outcome.state, outcome.guard) == ("failed", None)
    assert outcome.message.startswith("it failed [HTTP 503].")
    assert len(TaskOutcome.of_error(ServerError("x" * 999), operation="apply").message) == MAX_MESSAGE_CHARACTERS


def test_other_errors_are_not_quoted() -> None:
    outcome = TaskOutcome.of_error(ValueError(MEMBER), operation="sync")
    assert (outcome.state, outcome.message) == ("failed", "ValueError: see the task's log")


def test_what_another_error_was_made_of_is_quoted() -> None:
    error = RuntimeError(MEMBER)
    error.__cause__ = ServerError("lost")
    assert TaskOutcome.of_error(error, operation="create").message.startswith("lost")


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({"added": 1_000, "removed": 2, "refreshed": 0, "live": 998, "planned_requests": 2}, "1,000 added, 2 removed"),
        ({"added": 0, "removed": 0, "refreshed": 0, "live": 7, "planned_requests": 0}, "nothing to send, 0 added"),
        ({"unchanged": True, "amount": 12}, "nothing to send, 12 people"),
        ({"sent": 5, "planned_requests": 1}, "5 sent"),
        ({"audience_id": "a", "deleted": True}, "delete done"),
    ],
)
def test_a_success_says_what_was_done(report: Any, message: str) -> None:
    assert TaskOutcome.of_report(report, operation="delete").message.startswith(message)


def test_a_report_that_is_too_large_is_left_out(task_context: MakeContext) -> None:
    report = SyncReport(audience_id="a", members_by_column={f"column {number}": number for number in range(5_000)})
    stored = TaskOutcome.of_report(report.as_dict(), operation="sync").as_json(task_context())
    assert (stored["report"], stored["state"], stored["next_run"]) == (None, "ok", None)
    small = TaskOutcome.of_report(SyncReport(audience_id="a").as_dict(), operation="sync").as_json(task_context())
    assert small["report"]["audience_id"] == "a"


def test_a_failure_keeps_what_was_known_before(task_context: MakeContext) -> None:
    store = Store(history={"fields": [], "points": []}, expiry={"first": 1})
    failed = TaskOutcome.of_error(ServerError("x"), operation="sync")
    store_outcome(store, task_context(), failed, Result(limits={"min_members": 5}))
    assert store["outcome"]["state"] == "failed"
    assert store["limits"] == {"min_members": 5}
    assert (store["history"], store["expiry"]) == ({"fields": [], "points": []}, {"first": 1})


def test_a_store_that_fails_does_not_fail_the_task(task_context: MakeContext, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Store):
        def set(self, key: str, value: Any) -> None:
            raise RuntimeError(f"{MEMBER} {key} {value}")

    with caplog.at_level(logging.WARNING):
        store_outcome(Broken(), task_context(), TaskOutcome.of_report({}, operation="sync"), Result())
    assert "Airflow did not take the audience's state: RuntimeError" in caplog.text
    assert MEMBER not in caplog.text
