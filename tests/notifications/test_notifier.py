"""The notifier at its edges: two runs at once, a killed one, odd callbacks and files, and no harm to the task."""

import copy
import datetime as dt
import threading
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.assets.state import Result, TaskOutcome, put_outcome
from airflow_provider_audiences.exceptions import GuardError, InvalidInputError
from airflow_provider_audiences.notifications.health import AudienceHealth
from airflow_provider_audiences.notifications.notified_states import NotifiedStateStore
from airflow_provider_audiences.notifications.notifier import AudienceStateNotifier
from airflow_provider_audiences.operators.applovin import AppLovinListAudiencesOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sync.state.file_store import LocalFileStore

STOPPED = AudienceHealth(state="stopped", guard="max_removed", since=7)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(folder))
    return folder


def context_of(error: Any = None, **changes: Any) -> Any:
    """The context of a callback, after a failure or a success."""
    task = AppLovinSyncAudienceOperator(**{"task_id": "sync", "audience_id": "a b", "source": [], **changes})
    ti = SimpleNamespace(dag_id="dag", task_id="sync", run_id="run", map_index=-1, log_url="http://airflow/log")
    context: Any = {"dag": None, "task": task, "ti": ti}
    if error is None:
        report = {"added": 1, "live": 20, "drift": 0}
        put_outcome(context, TaskOutcome.of_report(report, operation="sync"), Result())
    else:
        context["exception"] = error
    return context


def stop() -> GuardError:
    error = GuardError("stopped by max_removed: too much")
    error.guard = "max_removed"
    return error


@pytest.mark.parametrize("given", [{}, {"exception": None}, {"exception": ""}])
def test_an_error_that_airflow_does_not_hand_on_is_told(
    connect: Connect, task_context: MakeContext, given: dict[str, Any]
) -> None:
    """As in the process of ``dag.test()`` before Airflow 3.3."""
    told: list[Any] = []
    context = context_of(source=["no ID"])
    ti = context["ti"]
    context = {**task_context(), "dag": None, "task": context["task"]}
    with pytest.raises(InvalidInputError):
        context["task"].execute(context)
    AudienceStateNotifier(notifiers=lambda context: told.append(context["notice"].body))({**context, "ti": ti, **given})
    assert len(told) == 1
    assert "is it the right file, and the right column?" in told[0]


def test_two_runs_at_once_tell_a_change_once() -> None:
    told: list[Any] = []
    both_are_here = threading.Barrier(2)

    class Waits(AudienceStateNotifier):
        def _each_with_store(self, run: Any, task: Any) -> Any:
            for pair in super()._each_with_store(run, task):
                both_are_here.wait(timeout=30)
                yield pair

    def take(context: Any) -> None:
        told.append(context["notice"].subject)

    for _ in range(5):
        told.clear()
        for error in (None, stop()):
            threads = [threading.Thread(target=Waits(notifiers=take), args=(context_of(error),)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert told in (
            ["Audience a b: stopped by max_removed"],
            ["Audience a b: ok again", "Audience a b: stopped by max_removed"],
        )


def test_what_a_killed_run_was_about_to_tell_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"])

    def die(context: Any) -> None:
        raise SystemExit

    die.__qualname__ = take.__qualname__
    with pytest.raises(SystemExit):
        AudienceStateNotifier(notifiers=die)(context_of(stop()))
    AudienceStateNotifier(notifiers=take)(context_of(stop()))
    assert told == []  # it may be alive
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 601)
    AudienceStateNotifier(notifiers=take)(context_of(stop()))
    assert [notice.changes for notice in told] == [("stopped",)]


def test_callbacks_that_were_made_twice_remember_as_one_and_two_in_a_list_by_themselves() -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"].changes)

    def made() -> list[AudienceStateNotifier]:
        return [AudienceStateNotifier(notifiers=take), AudienceStateNotifier(notifiers=[take, take])]

    successes, failures = made(), made()
    callbacks = {"on_success_callback": successes, "on_failure_callback": failures}
    for notifier in failures:
        notifier(context_of(stop(), **callbacks))
    assert told == [("stopped",)] * 3
    for notifier in successes:
        notifier(context_of(**callbacks))
    assert told[3:] == [("ok",)] * 3


def test_what_is_no_error_of_ours_is_not_quoted() -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"].body)

    notifier = AudienceStateNotifier(notifiers=take)
    notifier(context_of(ValueError("13912345678")))
    notifier(context_of())
    notifier(context_of("killed 13912345678"))
    assert [body.count("failed") >= 1 for body in told] == [True, True, True]
    assert "13912345678" not in str(told)
    assert "ValueError: see the task's log" in told[0]


def test_tasks_without_an_asset_tell_nothing(state: Path) -> None:
    notifier = AudienceStateNotifier(notifiers=print)
    others = AppLovinListAudiencesOperator(task_id="list")
    for context in (
        {"dag": None, "task": others},
        {"dag": None, "task": None},
        {"dag": None},
        context_of(stop(), plan_only=True),
    ):
        notifier(context)
    assert not state.exists()


def test_a_folder_that_fails_is_no_failure_of_the_task(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    state.write_text("a file in its place")
    AudienceStateNotifier(notifiers=print)(context_of(stop()))


def killed(task: Any, **fields: Any) -> Any:
    """The context of a failure callback in the DAG processor of Airflow 3, or in the scheduler's care of Airflow 2."""
    ti = SimpleNamespace(dag_id="dag", task_id=task.task_id, run_id="run", map_index=-1, **fields)
    return {
        "dag": task.dag,
        "task": task,
        "ti": ti,
        "run_id": "run",
        "ds": "2026-03-01",
        "params": {"audience": "of params"},
    }


def in_dag(**arguments: Any) -> Any:
    with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)):
        return AppLovinSyncAudienceOperator(task_id="sync", source=[], **arguments)


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ({}, True),  # the DAG processor of Airflow 3
        ({"state": "failed", "start_date": 1}, True),  # Airflow 2.11, without a message
        ({"state": "success", "start_date": 1}, False),
        ({"state": "skipped", "start_date": 1}, False),
        ({"state": None, "start_date": 1}, False),  # on_execute_callback
    ],
)
def test_a_task_that_airflow_has_ended_from_outside_has_failed(fields: Any, is_told: bool) -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"])

    notifier = AudienceStateNotifier(notifiers=take)
    notifier(killed(in_dag(audience_id="a b"), **fields))
    assert [notice.subject for notice in told] == ["Audience a b: failed"] * is_told
    assert ["Airflow has ended the task from outside" in notice.body for notice in told] == [True] * is_told
    notifier(context_of())  # of the same task: what was told is forgotten when a run is ok
    assert [notice.changes for notice in told] == [("failed",), ("ok",)] * is_told


@pytest.mark.skipif(get_base_airflow_version_tuple() < (3, 0, 0), reason="Airflow 2 fails such tasks with an exception")
def test_the_dag_processor_of_airflow_tells_of_a_task_whose_worker_was_lost() -> None:
    import structlog
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TaskInstance, TIRunContext
    from airflow.callbacks.callback_requests import TaskCallbackRequest
    from airflow.dag_processing.processor import _execute_task_callbacks

    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"])

    task = in_dag(audience_id="of {{ ds }}", on_failure_callback=AudienceStateNotifier(notifiers=take))
    day = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    fields: dict[str, Any] = {
        "dag_id": "dag",
        "run_id": "run",
        "run_type": "manual",
        "state": "running",
        "consumed_asset_events": [],
        **dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date"), day),
        "end_date": None,
        "partition_key": None,
    }
    run = DagRun.model_validate({name: value for name, value in fields.items() if name in DagRun.model_fields})
    ti = TaskInstance(
        id=uuid.uuid4(), task_id="sync", dag_id="dag", run_id="run", try_number=1, dag_version_id=uuid.uuid4()
    )
    request = TaskCallbackRequest(
        filepath="dag.py",
        bundle_name="dags",
        bundle_version=None,
        ti=ti,
        msg="no heartbeat",
        context_from_server=TIRunContext(dag_run=run, max_tries=0, variables=[], connections=[], xcom_keys_to_clear=[]),
    )
    dags: Any = SimpleNamespace(dags={"dag": task.dag})
    _execute_task_callbacks(dags, request, structlog.get_logger())
    (notice,) = told
    assert (notice.subject, notice.state) == ("Audience of 2026-03-01: failed", "failed")
    assert "DAG dag, task sync, run run" in notice.body


def test_a_callback_of_the_dag_tells_nothing() -> None:
    told: list[Any] = []
    AudienceStateNotifier(notifiers=told.append)(killed(in_dag(audience_id="a b")) | {"reason": "task_failure"})
    assert told == []


def test_a_killed_task_has_its_templates_rendered_and_no_others() -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"])

    notifier = AudienceStateNotifier(notifiers=take)
    task = in_dag(audience_id="{{ params.audience }} {{ ds }}", account="{{ ds }}", suppress="{{ fails() }}")
    for _ in range(2):
        notifier(killed(task))
    assert [notice.asset for notice in told] == ["applovin://2026-03-01/audiences/of%20params%202026-03-01"]
    assert told[0].name == "of params 2026-03-01"
    assert task.audience_id == "{{ params.audience }} {{ ds }}"  # another run may be told of in the same process
    notifier(killed(in_dag(audience_id="a", plan_only=True)))
    assert len(told) == 1


def test_a_killed_mapped_task_is_told_of() -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"].name)

    with DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC)):
        task = AppLovinSyncAudienceOperator.partial(task_id="sync", source=[]).expand(audience_id=["a", "b {{ ds }}"])
    context = killed(task)
    context["ti"].map_index = 1
    for _ in range(2):
        AudienceStateNotifier(notifiers=take)(context)
    assert told == ["b 2026-03-01"]


def test_a_killed_task_whose_templates_can_not_be_rendered_is_told_of_without_a_memory(state: Path) -> None:
    told: list[Any] = []

    def broken(context: Any) -> None:
        raise OSError

    def take(context: Any) -> None:
        told.append(context["notice"])

    notifier = AudienceStateNotifier(notifiers=[broken, take])
    task = in_dag(audience_id="{{ fails() }}")
    for context in (killed(task), killed(task) | {"exception": ValueError("fails is undefined")}):
        notifier(context)
    assert [notice.subject for notice in told] == ["Audience of task sync: failed"] * 2
    assert "{{" not in told[0].body
    assert told[0].asset == ""
    assert not state.exists()


def test_what_was_rendered_in_the_task_is_not_rendered_again() -> None:
    told: list[Any] = []

    def take(context: Any) -> None:
        told.append(context["notice"].subject)

    file = in_dag(audience_id="{{ params.audience }}")
    rendered = copy.copy(file)
    rendered.audience_id = "{{ fails() }}"  # a name from data, not from the DAG file
    AudienceStateNotifier(notifiers=take)(killed(file) | {"task": rendered, "exception": ValueError()})
    AudienceStateNotifier(notifiers=take)(killed(file) | {"exception": ValueError()})
    assert told == ["Audience of params: failed"]


def test_what_fails_for_one_notifier_does_not_keep_the_next_from_its_notice(state: Path) -> None:
    told: list[str] = []

    def first(context: Any) -> None:
        told.append("first")
        # Another run, which took this one for dead, has gone on in the meantime.
        (claim,) = (state / "notices").rglob("*-1.json")
        claim.with_name(claim.name.replace("-1.json", "-2.json")).write_bytes(claim.read_bytes())

    def second(context: Any) -> None:
        told.append("second")

    AudienceStateNotifier(notifiers=[first, second])(context_of(stop()))
    assert told == ["first", "second"]


def test_a_memory_that_can_not_be_read_does_not_keep_the_next_notifier_from_its_notice(state: Path) -> None:
    told: list[str] = []

    def first(context: Any) -> None:
        told.append("first")

    def second(context: Any) -> None:
        told.append("second")

    AudienceStateNotifier(notifiers=first)(context_of(stop()))
    (stored,) = (state / "notices").rglob("*-2.json")
    stored.unlink()
    stored.mkdir()
    AudienceStateNotifier(notifiers=[first, second])(context_of(stop()))
    assert told == ["first", "second"]


def test_files_are_few_and_broken_ones_are_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    store = NotifiedStateStore(LocalFileStore(folder), "name")
    stored = store.latest()
    assert (stored.number, stored.last_notified) == (0, None)
    for _ in range(20):
        stored = store.compare_and_set(stored, last_notified=STOPPED)
    assert store.latest() == stored
    assert len(list(folder.iterdir())) == 8
    other = store.compare_and_set(stored, last_notified=None)
    with pytest.raises(FileExistsError):
        store.compare_and_set(stored, last_notified=STOPPED)
    (folder / f"name-{other.number}.json").write_text("{")
    assert store.latest().last_notified is None
    assert store.compare_and_set(store.latest(), last_notified=STOPPED).number == other.number + 1


def test_a_place_that_can_not_create_exclusively_is_written_to(tmp_path: Path) -> None:
    class Plain(LocalFileStore):
        def create(self, name: str, content: bytes) -> None:
            raise NotImplementedError

    store = NotifiedStateStore(Plain(tmp_path / "memory"), "name")
    stored = store.compare_and_set(store.latest(), last_notified=STOPPED, claimed_until=9)
    assert store.latest() == stored
    assert (stored.last_notified, stored.claimed_until) == (STOPPED, 9)


@pytest.mark.parametrize(
    "wrong",
    [{"notifiers": [7]}, {"notifiers": print, "drift_beyond": -1}, {"notifiers": print, "expiry_within": "soon"}],
)
def test_wrong_arguments_are_refused_in_the_dag_file(wrong: Any) -> None:
    with pytest.raises(InvalidInputError):
        AudienceStateNotifier(**wrong)
