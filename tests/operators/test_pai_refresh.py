"""The operator that replaces PAI groups, against the emulator: what stays when, what goes, and what it says."""

import asyncio
import datetime as dt
import json
import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException, TaskDeferred
from support.airflow_versions import Serialization, rendered_fields
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker, owner_digest

REPORT_KEYS = [
    "group_id",
    "name",
    "status",
    "amount",
    "unchanged",
    "adopted",
    "replaced_group_ids",
    "kept_group_ids",
    "leftover_group_ids",
    "verdicts",
    "billable_calls",
    "seconds",
]
ALGORITHM: dict[str, Any] = {"name": "VIP", "source": 4, "algorithm": "a", "inference_job_id": "j"}
WAITS = {"poke_interval": 0.05, "timeout": 30, "deferrable": False}
STEP_SECONDS = 60
"""Between two runs: the platform tells creation times by the second."""


@pytest.fixture(autouse=True)
def _connected(connect: Connect, emulator: AudiencesEmulator) -> None:
    """All of these tests talk to the emulator, which checks groups at once unless a test says otherwise."""
    emulator.settings(processing_seconds=0)


class Refreshes:
    """Runs the task, in the worker or by way of the triggerer, and compares its bill with the platform's."""

    def __init__(self, emulator: AudiencesEmulator, task_context: MakeContext) -> None:
        self.emulator = emulator
        self._task_context = task_context
        self.deferred = False
        self.pushed: dict[str, Any] = {}

    def context(self, run_id: str, **identity: Any) -> Any:
        self.pushed = {}
        identity = {"task_id": "refresh", "run_id": run_id, "max_tries": 0} | identity
        return self._task_context(xcom_push=lambda *, key, value: self.pushed.update({key: value}), **identity)

    def billed(self) -> dict[Any, Any]:
        bill = self.emulator.billing()
        return {call: bill[call]["billed"] for call in ("create", "get", "delete")}

    def run(self, run_id: str, *, identity: Any = (), template_context: Any = None, **arguments: Any) -> Any:
        """Run one try; what it pushed is in ``pushed``."""
        self.emulator.advance(STEP_SECONDS)
        before = self.billed()
        context = self.context(run_id, **dict(identity))
        operator = self.operator(**arguments)
        if template_context is not None:
            operator.render_template_fields(template_context)
        try:
            report = operator.execute(context)
        except TaskDeferred as deferred:
            report = self.resume(deferred, context, operator=self.operator(**arguments))
        finally:
            after = self.billed()
            assert self.pushed["billable_calls"] == {call: after[call] - before[call] for call in after}
        told = [name for name in ("group_id", "billable_calls", "estimated_cost") if name in report]
        assert self.pushed == {name: report[name] for name in told}
        assert json.loads(json.dumps(report)) == report
        return report

    def operator(self, **arguments: Any) -> PaiReplaceGroupOperator:
        waits: dict[str, Any] = {**WAITS, "deferrable": self.deferred}
        return PaiReplaceGroupOperator(task_id="refresh", **(ALGORITHM | waits | arguments))

    def begin(self, run_id: str, **arguments: Any) -> tuple[Any, Any]:
        """Run a try until it waits in the triggerer; return what it left, and its context."""
        self.emulator.advance(STEP_SECONDS)
        context = self.context(run_id)
        with pytest.raises(TaskDeferred) as deferral:
            self.operator(**(arguments | {"deferrable": True})).execute(context)
        return deferral.value, context

    def wait(self, deferred: Any) -> Any:
        """Let the triggerer wait; return the event, as it is stored."""
        _, values = json.loads(json.dumps(deferred.trigger.serialize()))
        trigger = type(deferred.trigger)(**values)

        async def events() -> list[Any]:
            return [event.payload async for event in trigger.run()]

        [payload] = asyncio.run(events())
        return json.loads(json.dumps(payload))

    def resume(self, deferred: Any, context: Any, *, operator: Any = None, **arguments: Any) -> Any:
        """Let the triggerer wait, and go on; everything in between is stored as JSON."""
        operator = operator or self.operator(**arguments)
        stored = {"event": self.wait(deferred), **json.loads(json.dumps(deferred.kwargs or {}))}
        return getattr(operator, deferred.method_name)(context, **stored)

    def ids(self, name: str = "VIP") -> list[Any]:
        """The groups of a name, oldest first."""
        return [group["Id"] for group in self.emulator.groups() if group["Name"] == name]

    def statuses(self) -> dict[Any, Any]:
        return {group["Id"]: group["Status"] for group in self.emulator.groups()}


@pytest.fixture
def refreshes(emulator: AudiencesEmulator, task_context: MakeContext) -> Refreshes:
    return Refreshes(emulator, task_context)


@pytest.fixture
def dialect(request: pytest.FixtureRequest, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Speaks the dialect that a test is parametrized with."""
    connection = json.loads(emulator.pai_connection_uri(dialect=request.param))
    connection["extra"] = {"backoff_seconds": 0}
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
    return str(request.param)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Returns what was logged since it was asked last; Airflow 3 writes the lines of tasks past Python's logging."""

    def read() -> Any:
        text = caplog.text + capsys.readouterr().out
        caplog.clear()
        return text

    with caplog.at_level(logging.DEBUG):
        yield read


in_both_places = pytest.mark.parametrize("deferred", [False, True], ids=["worker", "triggerer"])


def in_both_dialects(test: Any) -> Any:
    dialects = pytest.mark.parametrize("dialect", ["bearer", "openapi"], indirect=True)
    return pytest.mark.usefixtures("dialect")(dialects(test))


class TestReplacement:
    @in_both_places
    @in_both_dialects
    def test_makes_a_group_and_later_another_in_its_place(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, dialect: str, deferred: bool
    ) -> None:
        refreshes.deferred = deferred
        emulator.settings(processing_seconds=0.2)
        first = refreshes.run("r1")
        assert list(first) == REPORT_KEYS
        assert set(re.findall(r"\w+", str(PaiReplaceGroupOperator.__doc__).rpartition(":return:")[2])) >= set(first)
        assert (first["name"], first["status"], first["amount"]) == ("VIP", 1, 500)
        assert (first["unchanged"], first["adopted"], first["replaced_group_ids"]) == (False, False, [])
        assert refreshes.ids() == [first["group_id"]]

        second = refreshes.run("r2")
        assert second["replaced_group_ids"] == [first["group_id"]]
        assert second["kept_group_ids"] == []
        assert refreshes.statuses() == {second["group_id"]: 1}
        calls = second["billable_calls"]
        assert (calls["create"], calls["delete"]) == (1, 1)
        assert calls["get"] >= 1
        order = [request["operation"] for request in emulator.requests() if request["operation"] != "pai.list"]
        assert order[-2:] == ["pai.get", "pai.delete"]
        assert dialect in {"bearer", "openapi"}
        paths = {request["target"].startswith("/api/v2/groups") for request in emulator.requests()}
        assert paths == {dialect == "openapi"}

    @in_both_dialects
    def test_leaves_the_old_group_until_the_new_one_is_ready(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        emulator.settings(processing_seconds=1000)
        emulator.freeze()
        deferred, context = refreshes.begin("r2")
        assert context["ti"].run_id == "r2"
        new = refreshes.pushed["group_id"]
        assert refreshes.statuses() == {old: 1, new: 0}
        assert emulator.requests("pai.delete") == []
        emulator.advance(1001)
        assert refreshes.statuses() == {old: 1, new: 1}
        report = refreshes.resume(deferred, context)
        assert (report["group_id"], report["replaced_group_ids"]) == (new, [old])
        assert refreshes.statuses() == {new: 1}
        assert refreshes.pushed["billable_calls"] == report["billable_calls"] == {"create": 1, "get": 1, "delete": 1}

    @in_both_places
    @pytest.mark.parametrize("keep", [0, 1, 2])
    def test_keeps_as_many_of_the_earlier_groups_as_it_is_told(
        self, refreshes: Refreshes, keep: int, deferred: bool
    ) -> None:
        refreshes.deferred = deferred
        made: list[Any] = []
        for number in range(4):
            report = refreshes.run(f"r{number}", keep_previous=keep)
            kept, gone = made[max(0, number - keep) :], made[: max(0, number - keep)]
            assert report["kept_group_ids"] == kept[::-1]
            assert report["replaced_group_ids"] == gone[-1:]
            made.append(report["group_id"])
            assert refreshes.ids() == [*kept, report["group_id"]]

    @in_both_places
    def test_deletes_what_it_kept_when_it_is_to_keep_less(self, refreshes: Refreshes, deferred: bool) -> None:
        refreshes.deferred = deferred
        first, second, third = (refreshes.run(f"r{number}", keep_previous=2)["group_id"] for number in range(3))
        report = refreshes.run("r3")
        assert refreshes.ids() == [report["group_id"]]
        # The older ones went before the new group was made.
        assert report["replaced_group_ids"] == [third]
        assert report["billable_calls"]["delete"] == 3
        assert report["leftover_group_ids"] == [second, first]
        assert {first, second}.isdisjoint(refreshes.ids())

    def test_keeps_only_groups_that_can_be_used(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        good = refreshes.run("r1", keep_previous=1)["group_id"]
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError):
            refreshes.run("r2", keep_previous=1, delete_failed=False)
        assert list(refreshes.statuses().values()) == [1, 2]
        emulator.settings(reject_names=[])
        report = refreshes.run("r3", keep_previous=1)
        assert report["kept_group_ids"] == [good]
        assert refreshes.ids() == [good, report["group_id"]]

    def test_replaces_a_group_that_has_become_too_small(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        emulator.settings(default_algorithm_amount=5)
        small = refreshes.run("r1")["group_id"]
        emulator.settings(default_algorithm_amount=500)
        report = refreshes.run("r2", min_amount=100, keep_previous=2)
        assert (report["replaced_group_ids"], report["kept_group_ids"]) == ([small], [])

    def test_takes_groups_as_ready_that_it_is_told_are(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        emulator.settings(final_status=7)
        with pytest.raises(exceptions.GroupNotReadyError):
            refreshes.run("r1", timeout=0.1)
        first = refreshes.run("r2", ready_statuses=[7])["group_id"]
        assert refreshes.run("r3", ready_statuses=[7], keep_previous=1)["kept_group_ids"] == [first]

    @pytest.mark.parametrize(("dialect", "ready_statuses"), [("openapi", None), ("bearer", [1])], indirect=["dialect"])
    def test_may_have_nobody_in_it_when_a_status_tells_that_it_is_ready(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, dialect: str, ready_statuses: list[int] | None
    ) -> None:
        emulator.settings(default_algorithm_amount=0)
        report = refreshes.run("r1", min_amount=0, ready_statuses=ready_statuses)
        assert (report["status"], report["amount"], dialect in {"bearer", "openapi"}) == (1, 0, True)

    @pytest.mark.parametrize("timeout", [3600, "3600", "3600.0", dt.timedelta(hours=1)])
    def test_is_not_waited_for_longer_than_the_trigger_takes(self, refreshes: Refreshes, timeout: Any) -> None:
        """Without a triggerer, nobody else would end it."""
        deferred, _ = refreshes.begin("r1", timeout=timeout)
        assert deferred.timeout == dt.timedelta(hours=1, minutes=10)

    def test_goes_through_all_pages_of_the_list(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient]
    ) -> None:
        emulator.settings(max_page_size=2)
        old = refreshes.run("r1")["group_id"]
        others = [make_stranger(make_pai(), name=f"VIP {number}") for number in range(7)]
        report = refreshes.run("r2")
        assert report["replaced_group_ids"] == [old]
        assert {group["Id"] for group in emulator.groups()} == {*others, report["group_id"]}

    @pytest.mark.parametrize("name", ["VIP\n", " VIP", "VIP客户 “x”", "a&b=c?d#e%20+", "x" * 300])
    def test_has_any_name(self, refreshes: Refreshes, name: str) -> None:
        old = refreshes.run("r1", name=name)["group_id"]
        report = refreshes.run("r2", name=name)
        assert (report["name"], report["replaced_group_ids"]) == (name, [old])
        assert refreshes.ids(name) == [report["group_id"]]

    def test_returns_at_once_from_a_task_that_pushes_nothing(self, refreshes: Refreshes) -> None:
        context = refreshes.context("r1")
        report = refreshes.operator(do_xcom_push=False).execute(context)
        assert refreshes.ids() == [report["group_id"]]
        assert refreshes.pushed == {}


class TestNewGroupThatFails:
    @in_both_places
    @in_both_dialects
    @pytest.mark.parametrize("delete_failed", [True, False], ids=["deleted", "left"])
    def test_review_leaves_the_old_one(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, deferred: bool, delete_failed: bool
    ) -> None:
        refreshes.deferred = deferred
        old = refreshes.run("r1")["group_id"]
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review") as failure:
            refreshes.run("r2", delete_failed=delete_failed)
        assert isinstance(failure.value, AirflowFailException)
        failed = refreshes.pushed["group_id"]
        what = "was deleted" if delete_failed else f"({failed}) stays until the next run"
        assert f". The new group 'VIP' {what}; nothing was replaced. Mend what" in str(failure.value)
        assert refreshes.statuses() == ({old: 1} if delete_failed else {old: 1, failed: 2})
        assert refreshes.pushed["billable_calls"] == {"create": 1, "get": 1, "delete": int(delete_failed)}

        emulator.settings(reject_names=[])
        report = refreshes.run("r3")
        assert refreshes.statuses() == {report["group_id"]: 1}

    @in_both_places
    @in_both_dialects
    @pytest.mark.parametrize("delete_failed", [True, False], ids=["deleted", "left"])
    def test_is_not_ready_in_time_leaves_the_old_one(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, deferred: bool, delete_failed: bool
    ) -> None:
        refreshes.deferred = deferred
        old = refreshes.run("r1")["group_id"]
        emulator.settings(processing_seconds=10_000)
        with pytest.raises(exceptions.GroupNotReadyError, match="still not ready at the deadline") as failure:
            refreshes.run("r2", timeout=dt.timedelta(seconds=0.1), delete_failed=delete_failed)
        assert isinstance(failure.value, AirflowFailException)
        failed = refreshes.pushed["group_id"]
        what = "was deleted" if delete_failed else f"({failed}) stays until the next run"
        assert f"The new group 'VIP' {what}; nothing was replaced. Clear the task" in str(failure.value)
        assert refreshes.statuses() == ({old: 1} if delete_failed else {old: 1, failed: 0})

    def test_has_too_few_people_leaves_the_old_one(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        old = refreshes.run("r1")["group_id"]
        emulator.settings(default_algorithm_amount=9)
        with pytest.raises(exceptions.GroupRejectedError, match="passed with 9 people, and min_amount is 10"):
            refreshes.run("r2", min_amount=10)
        assert refreshes.ids() == [old]

    def test_and_can_not_be_deleted_is_deleted_by_the_next_run(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, said: Callable[[], str]
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        emulator.settings(reject_names=["VIP"])
        emulator.fault("pai.delete", "status", status=500, times=4)
        with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review") as failure:
            refreshes.run("r2")
        assert isinstance(failure.value, AirflowFailException)
        failed = refreshes.pushed["group_id"]
        assert f"The new group 'VIP' ({failed}) stays until the next run; nothing was replaced" in str(failure.value)
        assert f"The group {failed} could not be deleted; the next run does it" in said()
        assert refreshes.statuses() == {old: 1, failed: 2}
        emulator.settings(reject_names=[])
        report = refreshes.run("r3")
        assert report["replaced_group_ids"] == [old]
        assert refreshes.ids() == [report["group_id"]]
        assert "An earlier run left 1 group behind." in said()

    @in_both_dialects
    def test_is_gone_leaves_the_old_one(self, refreshes: Refreshes, pai: PaiClient) -> None:
        """Somebody deleted it by hand, as far as can be seen; but a list may lag behind."""
        old = refreshes.run("r1")["group_id"]
        deferred, context = refreshes.begin("r2")
        gone = refreshes.pushed["group_id"]
        pai.delete_group(gone)
        with pytest.raises(exceptions.TransientError, match=f"the new group {gone} is gone: somebody else") as failure:
            refreshes.resume(deferred, context)
        assert not isinstance(failure.value, AirflowFailException)
        assert refreshes.ids() == [old]
        report = refreshes.run("r2", identity={"try_number": 2})
        assert (report["adopted"], report["replaced_group_ids"]) == (False, [old])

    @in_both_dialects
    def test_was_replaced_by_another_run_fails_its_try_and_not_the_next(self, refreshes: Refreshes) -> None:
        old = refreshes.run("r1")["group_id"]
        deferred, context = refreshes.begin("r2")
        lost = refreshes.pushed["group_id"]
        newer = refreshes.run("r3")
        assert (newer["replaced_group_ids"], newer["leftover_group_ids"]) == ([lost], [old])
        gone = f"the new group {lost} is gone: another run at the same time replaced it by the newer group"
        with pytest.raises(exceptions.TransientError, match=f"{gone} {newer['group_id']}") as failure:
            refreshes.resume(deferred, context)
        assert not isinstance(failure.value, AirflowFailException)
        assert refreshes.ids() == [newer["group_id"]]
        report = refreshes.run("r2", identity={"try_number": 2})
        assert refreshes.ids() == [report["group_id"]]

    def test_is_ready_just_after_the_deadline_is_not_deleted(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        """Another run may have taken it for ready, and deleted the old one for it."""
        old = refreshes.run("r1")["group_id"]
        emulator.settings(processing_seconds=1000)
        deferred, context = refreshes.begin("r2", timeout=0.1)
        late = refreshes.pushed["group_id"]
        event = refreshes.wait(deferred)
        assert event["state"] == "timeout"
        emulator.advance(1000)
        report = refreshes.operator().execute_complete(context, event=event)
        assert (report["group_id"], report["status"], report["replaced_group_ids"]) == (late, 1, [old])
        assert refreshes.ids() == [late]

    def test_is_refused_leaves_the_old_one(self, refreshes: Refreshes) -> None:
        old = refreshes.run("r1")["group_id"]
        with pytest.raises(exceptions.NotFoundError) as failure:
            refreshes.run("r2", source=3, project="p", table="none", algorithm=None, inference_job_id=None)
        assert isinstance(failure.value, AirflowFailException)
        assert refreshes.pushed == {"billable_calls": {"create": 1, "get": 0, "delete": 0}}
        assert refreshes.ids() == [old]

    def test_and_the_only_one_leaves_nothing(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError):
            refreshes.run("r1")
        assert refreshes.ids() == []


class TestTries:
    def test_go_on_with_the_group_that_the_last_one_made(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        emulator.fault("pai.get", "status", status=500, times=None)
        with pytest.raises(exceptions.ServerError) as failure:
            refreshes.run("r2", max_poll_failures=2)
        assert not isinstance(failure.value, AirflowFailException)
        made = refreshes.pushed["group_id"]
        emulator.clear_faults()
        report = refreshes.run("r2", identity={"try_number": 2})
        assert (report["group_id"], report["adopted"], report["replaced_group_ids"]) == (made, True, [old])
        assert report["billable_calls"] == {"create": 0, "get": 1, "delete": 1}

    @pytest.mark.parametrize("kind", ["drop_after", "truncated_json"])
    def test_take_the_group_whose_replies_were_lost(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, kind: str
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        emulator.fault("pai.create", kind, times=1)
        report = refreshes.run("r2")
        assert (len(emulator.requests("pai.create")), report["billable_calls"]["create"]) == (2, 1)
        assert report["replaced_group_ids"] == [old]
        assert refreshes.ids() == [report["group_id"]]

    def test_do_not_wait_before_the_first_poll_at_a_group_that_is_there(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        emulator.fault("pai.get", "status", status=503, times=1)
        with pytest.raises(exceptions.ServerError):
            refreshes.run("r1", max_poll_failures=0)
        deferred, _ = refreshes.begin("r1", poke_interval=1000)
        assert deferred.trigger.first_poll_epoch_seconds <= deferred.trigger.deadline_epoch_seconds - 30
        deferred, _ = refreshes.begin("r2", poke_interval=1000)
        assert deferred.trigger.first_poll_epoch_seconds >= deferred.trigger.deadline_epoch_seconds - 30 + 1000

    def test_finish_what_could_not_be_deleted(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        first = refreshes.run("r1", keep_previous=1)["group_id"]
        second = refreshes.run("r2", keep_previous=1)["group_id"]
        emulator.fault("pai.delete", "status", status=500, times=None)
        with pytest.raises(exceptions.ServerError) as failure:
            refreshes.run("r3")
        assert not isinstance(failure.value, AirflowFailException)
        new = refreshes.pushed["group_id"]
        assert f"The new group {new} is ready; the next try deletes what it replaces." in str(failure.value)
        assert refreshes.ids() == [first, second, new]
        emulator.clear_faults()
        report = refreshes.run("r3", identity={"try_number": 2})
        assert (report["group_id"], report["adopted"]) == (new, True)
        assert report["billable_calls"] == {"create": 0, "get": 1, "delete": 2}
        assert refreshes.ids() == [new]

    def test_delete_the_others_when_one_can_not_be_deleted(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        for number in range(3):
            refreshes.run(f"r{number}", keep_previous=2)
        first, second, third = refreshes.ids()
        deferred, context = refreshes.begin("r3", keep_previous=2)
        emulator.fault("pai.delete", "status", status=400, times=1)
        with pytest.raises(exceptions.BadRequestError, match="is ready; the next run deletes") as failure:
            refreshes.resume(deferred, context)
        assert isinstance(failure.value, AirflowFailException)
        assert refreshes.ids() == [third, refreshes.pushed["group_id"]]
        assert {first, second}.isdisjoint(refreshes.ids())

    @in_both_places
    def test_of_an_account_that_may_not_delete_make_no_more_groups(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, deferred: bool
    ) -> None:
        refreshes.deferred = deferred
        emulator.fault("pai.delete", "status", status=403, times=None)
        first = refreshes.run("r1")["group_id"]
        with pytest.raises(exceptions.AuthenticationError, match="is ready; the next run deletes what it replaces"):
            refreshes.run("r2")
        second = refreshes.pushed["group_id"]
        said = "No new group was made, since those that it would replace can't be deleted"
        for run_id in ("r3", "r4", "r5"):
            with pytest.raises(exceptions.AuthenticationError, match=said) as failure:
                refreshes.run(run_id)
            assert isinstance(failure.value, AirflowFailException)
            assert refreshes.pushed == {"billable_calls": {"create": 0, "get": 0, "delete": 1}}
            assert refreshes.ids() == [first, second]
        emulator.clear_faults()
        report = refreshes.run("r6")
        assert (report["leftover_group_ids"], report["replaced_group_ids"]) == ([first], [second])
        assert refreshes.ids() == [report["group_id"]]

    @pytest.mark.parametrize(
        "event", [None, {}, {"version": 0, "state": "ready"}, {"state": "ready", "passed_on": None}]
    )
    def test_go_on_when_the_triggerer_says_nothing_that_is_understood(
        self, refreshes: Refreshes, event: dict[str, Any] | None
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        _, context = refreshes.begin("r2")
        made = refreshes.pushed["group_id"]
        with pytest.raises(
            exceptions.TransientError, match="without an event that this version understands"
        ) as failure:
            refreshes.operator().execute_complete(context, event=event)
        assert not isinstance(failure.value, AirflowFailException)
        assert refreshes.ids() == [old, made]
        report = refreshes.run("r2", identity={"try_number": 2})
        assert (report["group_id"], report["adopted"], report["replaced_group_ids"]) == (made, True, [old])

    def test_that_begin_with_a_delete_that_fails_go_on(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        refreshes.run("r1", keep_previous=1)
        refreshes.run("r2", keep_previous=1)
        emulator.fault("pai.delete", "status", status=500, times=4)
        report = refreshes.run("r3")
        assert refreshes.ids() == [report["group_id"]]
        assert report["billable_calls"]["delete"] == 6

    @in_both_places
    def test_of_a_cleared_task_make_a_group_of_their_own(self, refreshes: Refreshes, deferred: bool) -> None:
        refreshes.deferred = deferred
        first = refreshes.run("r1", retries=2, identity={"max_tries": 2})["group_id"]
        cleared = refreshes.run("r1", retries=2, identity={"try_number": 2, "max_tries": 3})
        assert (cleared["adopted"], cleared["replaced_group_ids"]) == (False, [first])
        again = refreshes.run("r1", retries=2, identity={"try_number": 3, "max_tries": 3})
        assert (again["adopted"], again["group_id"]) == (True, cleared["group_id"])
        assert refreshes.ids() == [cleared["group_id"]]

    def test_take_the_last_of_the_doubles_of_their_own_group(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, pai: PaiClient
    ) -> None:
        """As whoever made the last one does: who took another one would lose it."""
        old = refreshes.run("r1", keep_previous=1)["group_id"]
        deferred, context = refreshes.begin("r2", keep_previous=1)
        new = refreshes.pushed["group_id"]
        emulator.advance(STEP_SECONDS)
        double = make_stranger(pai, remark=remark_of(emulator, new))
        report = refreshes.resume(deferred, context, keep_previous=1)
        assert (report["group_id"], report["replaced_group_ids"], report["kept_group_ids"]) == (double, [new], [old])
        assert (report["adopted"], refreshes.pushed["group_id"]) == (True, double)
        assert refreshes.ids() == [old, double]

        # The next try finds two of them.
        emulator.advance(STEP_SECONDS)
        last = make_stranger(pai, remark=remark_of(emulator, double))
        report = refreshes.run("r2", keep_previous=1, identity={"try_number": 2})
        assert (report["group_id"], report["replaced_group_ids"], report["kept_group_ids"]) == (last, [double], [old])

    def test_leave_a_double_that_is_still_being_checked(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, pai: PaiClient
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        deferred, context = refreshes.begin("r2")
        new = refreshes.pushed["group_id"]
        emulator.settings(processing_seconds=30)
        emulator.advance(STEP_SECONDS)
        double = make_stranger(pai, remark=remark_of(emulator, new))
        report = refreshes.resume(deferred, context)
        assert (report["group_id"], report["replaced_group_ids"]) == (new, [old])
        assert refreshes.ids() == [new, double]
        emulator.settings(processing_seconds=0)
        emulator.advance(STEP_SECONDS)
        report = refreshes.run("r3")
        assert (report["leftover_group_ids"], report["replaced_group_ids"]) == ([new], [double])

    def test_that_end_late_leave_the_group_of_a_later_run(self, refreshes: Refreshes) -> None:
        refreshes.run("r1")
        deferred, context = refreshes.begin("r2")
        late = refreshes.pushed["group_id"]
        refreshes.begin("r3")
        younger = refreshes.pushed["group_id"]
        # The later run found the group of this one ready, and what that was to replace not needed any more.
        assert refreshes.ids() == [late, younger]
        report = refreshes.resume(deferred, context)
        assert (report["group_id"], report["replaced_group_ids"]) == (late, [])
        assert refreshes.ids() == [late, younger]

    def test_find_a_group_that_was_left_ready_and_replace_it(self, refreshes: Refreshes) -> None:
        refreshes.run("r1")
        refreshes.begin("r2")  # and never goes on
        report = refreshes.run("r3")
        assert refreshes.ids() == [report["group_id"]]

    @in_both_dialects
    def test_delete_a_group_that_was_left_unchecked_when_they_have_a_newer_one(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        """Not before: the run that made it may be alive."""
        old = refreshes.run("r1")["group_id"]
        emulator.settings(processing_seconds=1e6)
        refreshes.begin("r2")
        left = refreshes.pushed["group_id"]
        emulator.settings(processing_seconds=0)
        deferred, context = refreshes.begin("r3")
        new = refreshes.pushed["group_id"]
        assert refreshes.ids() == [old, left, new]
        report = refreshes.resume(deferred, context)
        assert (report["replaced_group_ids"], report["leftover_group_ids"]) == ([left, old], [])
        assert refreshes.ids() == [new]


class TaskEnded(BaseException):
    """As Airflow ends a task: no Exception, at any moment."""


class TestWaitInTheWorker:
    def test_that_is_cut_off_tells_what_may_be_billed(self, refreshes: Refreshes, emulator: AudiencesEmulator) -> None:
        emulator.settings(processing_seconds=3600)

        def end(*_: Any) -> Any:
            raise TaskEnded

        def end_after_some_polls() -> None:
            while emulator.billing()["get"]["billed"] < 6:
                time.sleep(0.02)
            time.sleep(0.3)  # the next poll is more than a second away
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, end)
        watcher = threading.Thread(target=end_after_some_polls)
        watcher.start()
        try:
            # ``run`` compares what was told with the bill.
            with pytest.raises(TaskEnded):
                refreshes.run("r1", poke_interval=0.05, max_poke_interval=60, timeout=60)
        finally:
            watcher.join()
            signal.signal(signal.SIGUSR1, before)
        assert refreshes.pushed["billable_calls"]["get"] >= 6


class TestNextTry:
    def test_takes_the_rejection_for_its_answer_and_makes_no_other_group(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        old = refreshes.run("r1")["group_id"]
        emulator.settings(reject_names=["VIP"])
        emulator.fault("pai.get", "status", status=500, times=None)
        with pytest.raises(exceptions.TransientError):
            refreshes.run("r2", max_poll_failures=0)
        emulator.clear_faults()
        emulator.clear_requests()
        with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review"):
            refreshes.run("r2", identity={"try_number": 2})
        assert emulator.requests("pai.create") == []
        assert refreshes.ids() == [old]


class TestGroupsOfOthers:
    def test_are_never_touched_and_are_told_of(
        self, refreshes: Refreshes, pai: PaiClient, said: Callable[[], str]
    ) -> None:
        def other(**changes: Any) -> Any:
            return refreshes.run("r0", **changes)["group_id"]

        by_hand = make_stranger(pai)
        rejected = make_stranger(pai, remark="[airflow forged 1 #0123.45]")
        other_task = other(identity={"task_id": "other"})
        other_dag = other(identity={"dag_id": "other"})
        provided = other(provenance="elsewhere")
        context = refreshes.context("r1", task_id="create")
        created = PaiCreateGroupOperator(task_id="create", **ALGORITHM).execute(context)
        strangers = {by_hand, rejected, other_task, other_dag, provided, created}
        said()
        first = refreshes.run("r1")["group_id"]
        warnings = re.findall(r"\d+ groups named 'VIP' were not made by this task, and stay: ([-0-9a-f, ]+)\.", said())
        assert {frozenset(warning.split(", ")) for warning in warnings} == {frozenset(strangers)}
        report = refreshes.run("r2")
        assert report["replaced_group_ids"] == [first]
        assert set(refreshes.ids()) == {*strangers, report["group_id"]}

    def test_whose_name_has_the_name_in_it_are_none_of_ours(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, said: Callable[[], str]
    ) -> None:
        emulator.settings(fuzzy_filters=True)
        longer = refreshes.run("r1", name="VIP 2")["group_id"]
        said()
        for run_id in ("r1", "r2"):
            report = refreshes.run(run_id)
        assert {group["Id"] for group in emulator.groups()} == {longer, report["group_id"]}
        assert "were not made by this task" not in said()

    def test_stay_when_the_new_group_fails(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, pai: PaiClient
    ) -> None:
        strangers = [make_stranger(pai), refreshes.run("r1", provenance="other")["group_id"]]
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError):
            refreshes.run("r1")
        assert refreshes.ids() == strangers

    @pytest.mark.parametrize("template", [False, True])
    def test_become_ours_by_provenance(self, refreshes: Refreshes, template: bool) -> None:
        old = refreshes.run("r1", identity={"task_id": "old_name", "dag_id": "dag"})["group_id"]
        given = {"provenance": "{{ dag_id }}:old_name "} if template else {"provenance": "dag:old_name"}
        report = refreshes.run("r2", template_context={"dag_id": "dag"}, **given)
        assert report["replaced_group_ids"] == [old]
        assert refreshes.ids() == [report["group_id"]]

    def test_of_tasks_whose_names_only_read_alike_are_not_ours(self, refreshes: Refreshes) -> None:
        tasks = ({"dag_id": "etl.pai", "task_id": "replace"}, {"dag_id": "etl", "task_id": "pai.replace"})
        made = [refreshes.run("r1", identity=task)["group_id"] for task in tasks]
        assert refreshes.ids() == made
        for task, old in zip(tasks, made, strict=True):
            assert refreshes.run("r2", identity=task)["replaced_group_ids"] == [old]

    def test_of_mapped_tasks_belong_to_their_index(self, refreshes: Refreshes) -> None:
        made = [refreshes.run("r1", name="N", identity={"map_index": index})["group_id"] for index in range(3)]
        reports = [refreshes.run("r2", name="N", identity={"map_index": index}) for index in (2, 0)]
        assert [report["replaced_group_ids"] for report in reports] == [[made[2]], [made[0]]]
        assert refreshes.ids("N") == [made[1], *(report["group_id"] for report in reports)]

    def test_are_told_apart_by_a_mark_that_people_can_read(
        self, refreshes: Refreshes, emulator: AudiencesEmulator
    ) -> None:
        refreshes.run("scheduled__2026-11-20T00:00:00+00:00", remark="for Q3")
        [group] = emulator.groups()
        remark, marker = GroupMarker.read(group["Remark"])
        assert remark == "for Q3"
        assert marker
        assert (marker.origin, marker.run) == ("dag:refresh", "scheduled__2026-11-20T00:00:00+00:00")
        assert (marker.owner, marker.content) == (owner_digest("dag:refresh"), "")


class TestPrice:
    """What a refresh costs, if the connection has a price; in the worker and by way of the triggerer."""

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_is_in_the_report(self, refreshes: Refreshes, connect: Connect, deferrable: bool) -> None:
        refreshes.run("r1", deferrable=deferrable)
        connect("pai", extra={"backoff_seconds": 0, "price_per_call": 0.001})
        report = refreshes.run("r2", deferrable=deferrable)
        assert report["billable_calls"] == {"create": 1, "get": 1, "delete": 1}
        assert report["estimated_cost"] == 0.003

    def test_is_told_of_a_refresh_that_failed(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, connect: Connect
    ) -> None:
        connect("pai", extra={"backoff_seconds": 0, "price_per_call": "2.5"})
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError):
            refreshes.run("r1", name="VIP")
        calls = refreshes.pushed["billable_calls"]
        assert refreshes.pushed["estimated_cost"] == 2.5 * sum(calls.values()) > 0


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"name": ""}, "name"),
            ({"name": " "}, "name"),
            ({"source": 9}, "source"),
            ({"algorithm": None}, "algorithm is missing"),
            ({"text": "13900001111"}, "text is not for"),
            ({"keep_previous": -1}, "keep_previous"),
            ({"keep_previous": 0.5}, "keep_previous"),
            ({"min_amount": -1}, "min_amount"),
            ({"min_amount": "many"}, "min_amount"),
            ({"ready_statuses": ["passed"]}, "ready_statuses"),
            ({"failed_statuses": [-1]}, "failed_statuses"),
            ({"delete_failed": "no"}, "delete_failed must be True or False"),
            ({"ready_statuses": 1}, "ready_statuses must be a list of numbers"),
            ({"ready_statuses": "1"}, "ready_statuses must be a list of numbers"),
            ({"timeout": 0}, "timeout must be a timedelta, or a number of seconds above 0"),
            ({"timeout": float("nan")}, "timeout must be"),
            ({"timeout": None}, "timeout must be"),
            ({"timeout": 1e14}, "timeout must be .* of at most 366 days"),
            ({"poke_interval": dt.timedelta(0)}, "poke_interval must be"),
            ({"poke_interval": "soon"}, "poke_interval must be"),
            ({"poke_interval": "PT60S"}, "poke_interval must be"),
            ({"timeout": "0:10:00"}, "timeout must be"),
            ({"timeout": True}, "timeout must be"),
            ({"max_poke_interval": -1}, "max_poke_interval must be"),
            ({"provenance": " "}, "provenance is empty"),
            ({"provenance": " None"}, "provenance was rendered to None"),
            ({"min_amount": 0}, r"with min_amount=0 .* set ready_statuses=\[1\] as well"),
            ({"min_amount": "0", "ready_statuses": [0, 1]}, "with min_amount=0"),
            ({"max_poll_failures": -1}, "max_poll_failures"),
        ],
        ids=str,
    )
    def test_that_are_wrong_are_told_before_the_first_request(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, arguments: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(exceptions.InvalidInputError, match=said) as refusal:
            refreshes.operator(**arguments).execute(refreshes.context("r1"))
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []

    def test_have_to_have_a_name(self) -> None:
        with pytest.raises((TypeError, AirflowException), match="name"):
            PaiReplaceGroupOperator(  # type: ignore[call-arg]  # its name is missing
                task_id="refresh", source=4, algorithm="a", inference_job_id="j"
            )

    def test_come_from_templates(
        self, refreshes: Refreshes, emulator: AudiencesEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
        connect("pai", conn_id="other")
        old = refreshes.run("r0", pai_conn_id="other_default", provenance="mine", name="T")["group_id"]
        values = {
            "name": "T",
            "source": 3,
            "phone_number": True,
            "project": "demo_project",
            "table": "vip_customers",
            "column": "phone",
            "filter": "ds=1",
            "remark": "note",
            "provenance": "mine",
            "allow_older_run": False,
            "min_amount": 1200,
            "account": "eu",
            "pai_conn_id": "other_default",
        }
        none = {"text": None, "uri": None, "algorithm": None, "inference_job_id": None}
        assert {*values, *none} == set(PaiReplaceGroupOperator.template_fields)
        given = {name: f"{{{{ params.{name} }}}}" for name in values}
        report = refreshes.run("r1", template_context={"params": values}, **given, **none)
        assert report["replaced_group_ids"] == [old]
        [group] = emulator.groups()
        assert [group[name] for name in ("Name", "Source", "Table", "Filter")] == ["T", 3, "vip_customers", "ds=1"]
        assert group["PhoneNumber"] is True


class TestWhatIsShown:
    NUMBERS = ("13900001111", "13712345678")
    SHOWN_ONLY = ("13900003333", "13787654321")  # never sent, so that Airflow has not been told to mask them

    @pytest.fixture
    def text(self) -> dict[str, Any]:
        return {
            "source": 0,
            "text": "\n".join(self.NUMBERS),
            "phone_number": True,
            "algorithm": None,
            "inference_job_id": None,
        }

    def hidden(self, *shown: Any) -> None:
        for number in (*self.NUMBERS, *self.SHOWN_ONLY):
            for middle in (number, number[:7], number[-4:]):
                assert not [part for part in shown if re.search(rf"(?<![0-9a-f]){middle}(?![0-9a-f])", part)], middle

    @in_both_places
    def test_has_no_phone_number_in_it(
        self,
        refreshes: Refreshes,
        emulator: AudiencesEmulator,
        said: Callable[[], str],
        text: dict[str, Any],
        deferred: bool,
    ) -> None:
        refreshes.deferred = deferred
        first = refreshes.run("r1", **text)
        pushed = [refreshes.pushed]
        emulator.settings(reject_names=["VIP"])
        with pytest.raises(exceptions.GroupRejectedError) as failure:
            refreshes.run("r2", **text)
        emulator.settings(reject_names=[])
        pushed.append(refreshes.pushed)
        emulator.fault("pai.create", "status", status=400, message=f"bad {self.NUMBERS[0]}")
        with pytest.raises(exceptions.BadRequestError) as refusal:
            refreshes.run("r3", **text)
        waiting, _ = refreshes.begin("r4", **text)
        stored = json.dumps([waiting.trigger.serialize(), waiting.kwargs])
        remarks = json.dumps([group["Remark"] for group in emulator.groups(deleted=True)])
        self.hidden(said(), json.dumps(first), json.dumps(pushed), str(failure.value), stored, remarks)
        self.hidden(repr(failure.value), str(refusal.value), repr(refusal.value))
        assert "groups behind" not in stored

    def test_of_the_task_hides_text(self, text: dict[str, Any]) -> None:
        with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) as dag:
            shared = {"deferrable": True, "phone_number": True}
            operator = PaiReplaceGroupOperator(
                task_id="refresh", **(ALGORITHM | text | {"text": list(self.SHOWN_ONLY)})
            )
            PaiReplaceGroupOperator.partial(task_id="mapped", source=0, **shared).expand_kwargs(
                [{"text": list(self.SHOWN_ONLY), "name": "a"}, {"text": self.SHOWN_ONLY[0], "name": "b"}]
            )
            PaiReplaceGroupOperator.partial(task_id="shared", source=0, text=list(self.SHOWN_ONLY), **shared).expand(
                name=["c", "d"]
            )
        stored = json.dumps(Serialization.to_dict(dag))
        self.hidden(stored, json.dumps(rendered_fields(operator)), repr(operator), str(operator))
        assert "not shown" in stored

    def test_is_the_report_in_the_log(self, refreshes: Refreshes, said: Callable[[], str]) -> None:
        report = refreshes.run("r1")
        log = said()
        assert f"Group 'VIP' ({report['group_id']}):" in log
        for name in ("status", "amount", "billable_calls", "seconds"):
            assert re.search(rf"  {name} +\S", log), name
        assert "  adopted " not in log


def make_stranger(client: Any, *, name: str = "VIP", remark: Any = None) -> Any:
    """Make a group as somebody does who knows nothing of this task."""
    spec = GroupSpec(source=PaiSource.ALGORITHM, name=name, algorithm="a", inference_job_id="j", remark=remark)
    return client.create_group(spec, marker=None).group.id


def remark_of(emulator: AudiencesEmulator, group_id: Any) -> Any:
    [remark] = [group["Remark"] for group in emulator.groups() if group["Id"] == group_id]
    return remark
