"""Both sensors in poke, reschedule and deferrable mode: the same outcome in each."""

import asyncio
import datetime as dt
import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    TaskDeferred,
)
from support.fixtures import Connect, MakeContext, MakeIds

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinCreateAudienceOperator,
)
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.sensors.applovin import AppLovinAudienceSensor
from airflow_provider_audiences.sensors.pai import PaiGroupSensor
from airflow_provider_audiences.triggers.pai import PaiGroupTrigger

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    from airflow.exceptions import AirflowRescheduleException  # noqa: TID251 - the other is Airflow 3's

MODES = ["poke", "reschedule", "deferrable"]
each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


def _trigger_from(deferred: Any) -> Any:
    """The trigger as the triggerer makes it: from its import path and JSON."""
    path, arguments = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))


async def _event_of(trigger: Any) -> list[Any]:
    return [event async for event in trigger.run()]


class _Reschedules:
    """What Airflow remembers between the parts of a try in reschedule mode."""

    def __init__(self) -> None:
        self.first: dt.datetime | None = None

    def get_first_reschedule_date(self, _context: Any) -> Any:
        return self.first


@pytest.fixture
def wait(task_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """
    Runs a sensor until it returns or raises, as Airflow would in each mode: a new operator for each part of a
    rescheduled try, a trigger and a new operator for a deferred one. ``between`` is called after the first poll.
    """

    def run(make: Any, mode: str, between: Any = lambda: None) -> Any:
        if mode == "deferrable":
            try:
                return make(deferrable=True).execute(task_context())
            except TaskDeferred as deferred:
                between()
                (event,) = asyncio.run(_event_of(_trigger_from(deferred)))
                kwargs = json.loads(json.dumps({**(deferred.kwargs or {}), "event": event.payload}))
                return make(deferrable=True).resume_execution(deferred.method_name, kwargs, task_context())
        if mode == "poke":
            # Steadily: where intervals grow, Airflow waits a second at least.
            sensor = make(mode="poke", deferrable=False, exponential_backoff=False)
            poke = sensor.poke

            def poked(context: Any) -> Any:
                try:
                    return poke(context)
                finally:
                    between()

            sensor.poke = poked
            return sensor.execute(task_context())
        memory = _Reschedules()
        airflow_module = sys.modules[BaseSensorOperator.__module__]
        if hasattr(airflow_module, "_orig_start_date"):  # Airflow 2 asks its database itself
            monkeypatch.setattr(airflow_module, "_orig_start_date", lambda **_: memory.first)
        started = time.monotonic()
        while time.monotonic() - started < 20:
            context = task_context(max_tries=0, get_first_reschedule_date=memory.get_first_reschedule_date)
            try:
                return make(mode="reschedule", deferrable=False).execute(context)
            except AirflowRescheduleException:
                memory.first = memory.first or dt.datetime.now(dt.UTC)
                between()
        raise AssertionError("never came to an end")

    return run


@pytest.fixture
def group(task_context: MakeContext) -> Callable[..., str]:
    """Makes a group of two people."""

    def make(**arguments: Any) -> Any:
        people: dict[str, Any] = {"source": 0, "text": "13900001111\n13900002222", "phone_number": True}
        return PaiCreateGroupOperator(task_id="create", **({"name": "VIP"} | people | arguments)).execute(
            task_context()
        )

    return make


@pytest.fixture
def audience(task_context: MakeContext, make_ids: MakeIds) -> Callable[..., str]:
    """Makes an audience with users."""

    def make(*, users: int = 0, **arguments: Any) -> Any:
        arguments = {"name": "A", "platform": "ios", "package_name": "p"} | arguments
        audience_id = AppLovinCreateAudienceOperator(task_id="create", **arguments).execute(task_context())
        append = AppLovinAppendUsersOperator(task_id="append", audience_id=audience_id, source=make_ids(users))
        append.execute(task_context())
        return audience_id

    return make


def pai_sensor(group_id: Any, **arguments: Any) -> Callable[..., Any]:
    arguments = {"poke_interval": 0.01, "timeout": 10} | arguments
    return lambda **mode: PaiGroupSensor(task_id="wait", group_id=group_id, **(arguments | mode))


def applovin_sensor(**arguments: Any) -> Callable[..., Any]:
    arguments = {"poke_interval": 0.01, "timeout": 10} | arguments
    return lambda **mode: AppLovinAudienceSensor(task_id="wait", **(arguments | mode))


# --- a PAI group ---


@each_mode
def test_a_group_that_is_ready_is_returned_at_once(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    emulator.settings(processing_seconds=0)
    group_id = group()
    shown = wait(pai_sensor(group_id), mode)
    assert (shown["id"], shown["status"], shown["amount"]) == (group_id, 1, 2)
    assert "text" not in shown
    assert "139" not in json.dumps(shown | {"id": ""})
    assert emulator.billing()["get"] == {"succeeded": 1, "failed": 0, "billed": 1}


@each_mode
def test_a_group_that_becomes_ready_is_waited_for(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    group_id = group()
    emulator.set_clock(emulator.now(), freeze=True)
    shown = wait(pai_sensor(group_id), mode, between=lambda: emulator.advance(5))
    assert (shown["id"], shown["status"], shown["amount"]) == (group_id, 1, 2)
    # One poll that finds it unchecked and one that finds it ready, whoever polls.
    assert emulator.billing()["get"]["billed"] == 2


@each_mode
def test_the_documents_ready_status_is_believed_once_there_are_people(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    emulator.settings(final_status=0)
    emulator.set_clock(emulator.now(), freeze=True)
    shown = wait(pai_sensor(group()), mode, between=lambda: emulator.advance(5))
    assert (shown["status"], shown["amount"]) == (0, 2)


@each_mode
def test_with_an_access_key_status_0_is_still_being_checked(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    """Whoever waits does not know the dialect: the connection's client does."""
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", emulator.pai_connection_uri(dialect="openapi"))
    emulator.settings(processing_seconds=0, final_status=0)
    group_id = group()
    with pytest.raises(AirflowSensorTimeout):
        wait(pai_sensor(group_id, timeout=0.05), mode)
    emulator.settings(final_status=1)
    assert wait(pai_sensor(group(name="B")), mode)["status"] == 1
    assert wait(pai_sensor(group_id, ready_statuses=[0]), mode)["status"] == 0


@each_mode
def test_a_rejected_group_fails_for_good_and_says_why(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    emulator.settings(reject_names=["VIP"])
    emulator.set_clock(emulator.now(), freeze=True)
    with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review") as failure:
        wait(pai_sensor(group()), mode, between=lambda: emulator.advance(5))
    assert isinstance(failure.value, AirflowFailException)


@each_mode
@pytest.mark.parametrize("min_amount", [3, "3"])
def test_a_group_with_too_few_people_fails_for_good(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str, min_amount: int | str
) -> None:
    emulator.set_clock(emulator.now(), freeze=True)
    with pytest.raises(exceptions.GroupRejectedError, match=r"2 people.*min_amount is 3") as failure:
        wait(pai_sensor(group(), min_amount=min_amount), mode, between=lambda: emulator.advance(5))
    assert isinstance(failure.value, AirflowFailException)


@each_mode
def test_a_group_that_does_not_exist_fails_for_good(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str
) -> None:
    with pytest.raises(exceptions.NotFoundError) as failure:
        wait(pai_sensor("nobody"), mode)
    assert isinstance(failure.value, AirflowFailException)
    assert len(emulator.requests()) == 1


@each_mode
def test_a_group_that_is_deleted_meanwhile_fails_for_good(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    group_id = group()
    with pytest.raises(exceptions.NotFoundError) as failure:
        wait(
            pai_sensor(group_id),
            mode,
            between=lambda: emulator.fault("pai.get", "status", status=404, message="Audience group not found"),
        )
    assert isinstance(failure.value, AirflowFailException)


@each_mode
def test_statuses_may_be_told(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    emulator.settings(processing_seconds=0, final_status=7)
    assert wait(pai_sensor(group(), ready_statuses=[7]), mode)["status"] == 7
    with pytest.raises(exceptions.GroupRejectedError):
        wait(pai_sensor(group(name="B"), failed_statuses=(7,)), mode)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_an_unknown_status_is_warned_of_once_and_waited_for(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    mode: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    emulator.settings(processing_seconds=0, final_status=7)
    group_id = group()
    with pytest.raises(AirflowSensorTimeout):
        wait(pai_sensor(group_id, timeout=1, exponential_backoff=False), mode)
    assert len(emulator.requests("pai.get")) > 2
    output = capfd.readouterr()
    said = [line for line in (output.out + output.err).splitlines() if "Unknown status" in line]
    # Deferred, the worker polls once, and the triggerer goes on: each has a log of its own.
    assert len(said) == (2 if mode == "deferrable" else 1)
    assert "Status 7" in said[0]


@each_mode
@pytest.mark.parametrize(
    "arguments",
    [
        {"group_id": ""},
        {"group_id": None},
        {"group_id": "g", "min_amount": -1},
        {"group_id": "g", "min_amount": "many"},
        {"group_id": "g", "ready_statuses": ["new"]},
    ],
)
def test_wrong_arguments_are_refused_before_the_first_request(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidInputError) as refusal:
        wait(pai_sensor(**arguments), mode)
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


# --- several PAI groups ---


def groups_sensor(group_ids: Any, **arguments: Any) -> Callable[..., Any]:
    arguments = {"poke_interval": 0.01, "timeout": 10} | arguments
    return lambda **mode: PaiGroupSensor(task_id="wait", group_ids=group_ids, **(arguments | mode))


@each_mode
def test_several_groups_are_waited_for_until_all_are_ready(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str, pushed: dict[str, Any]
) -> None:
    ids = [group(name=name) for name in "abc"]
    emulator.set_clock(emulator.now(), freeze=True)
    emulator.clear_requests()
    shown = wait(groups_sensor([*ids, ids[0]]), mode, between=lambda: emulator.advance(5))
    assert shown == [
        {"id": item, "name": name, "status": 1, "amount": 2} for item, name in zip(ids, "abc", strict=True)
    ]
    # A page a poll, and nothing to bill.
    assert len(emulator.requests("pai.get")) == 0
    assert len(emulator.requests("pai.list")) == 2
    assert pushed["billable_calls"]["get"] == 0


@each_mode
def test_one_that_is_rejected_fails_all_for_good(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    emulator.settings(reject_names=["bad"])
    ids = [group(name=name) for name in ("good", "bad")]
    emulator.set_clock(emulator.now(), freeze=True)
    with pytest.raises(exceptions.GroupRejectedError, match="did not pass the review") as failure:
        wait(groups_sensor(ids), mode, between=lambda: emulator.advance(5))
    assert isinstance(failure.value, AirflowFailException)
    assert ids[1] in str(failure.value)
    assert emulator.billing()["get"]["billed"] == 1


@each_mode
@pytest.mark.parametrize("group_ids", [[], "[]", "a, b", {"a": 1}, [""], [None], 7])
def test_what_is_no_list_of_groups_is_refused_before_the_first_request(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str, group_ids: Any
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match="group_ids") as refusal:
        wait(groups_sensor(group_ids), mode)
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


@each_mode
@pytest.mark.parametrize("both", [{"group_id": "a", "group_ids": ["b"]}, {}])
def test_one_group_or_several_and_not_both(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str, both: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match="exactly one of group_id and group_ids"):
        wait(lambda **options: PaiGroupSensor(task_id="wait", **both, **options), mode)
    assert emulator.requests() == []


def test_a_batch_in_the_trigger_is_a_list_of_ids_whatever_was_rendered(
    group: Callable[..., str], task_context: MakeContext, emulator: AudiencesEmulator
) -> None:
    ids = [group(name=name) for name in "ab"]
    emulator.freeze()
    deferred = _deferred(groups_sensor(str(ids))(deferrable=True), task_context())
    assert deferred.trigger.serialize()[1]["group_ids"] == ids


@pytest.mark.parametrize("native", ["[20261111, 7]", [20261111, 7], (np.int64(20261111), "7", 7)])
def test_ids_that_templates_made_numbers_of_are_their_text(
    task_context: MakeContext, emulator: AudiencesEmulator, native: Any
) -> None:
    emulator.fault("pai.list", "status", status=503)
    deferred = _deferred(groups_sensor(native)(deferrable=True), task_context())
    assert deferred.trigger.serialize()[1]["group_ids"] == ["20261111", "7"]


@each_mode
@pytest.mark.parametrize(
    "arguments", [{"group_id": 1.5}, {"group_id": "None"}, {"group_id": "g" * 1001}, {"group_ids": ["a", True]}]
)
def test_what_is_no_id_is_refused_before_the_first_request(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidInputError, match=r"^group_ids?[ ,]"):
        wait(lambda **options: PaiGroupSensor(task_id="wait", **arguments, **options), mode)
    assert emulator.requests() == []


@each_mode
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("name", value) for value in ("", " ", "None", 1.5)),
        *((argument, value) for argument in ("platform", "min_user_count") for value in ("", " ", "None", None)),
    ],
)
def test_a_condition_that_says_nothing_is_refused(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str, argument: Any, value: Any
) -> None:
    def make(**options: Any) -> AppLovinAudienceSensor:
        arguments = {"name": "n"} | {argument: "{{ params.nothing }}"}
        sensor = AppLovinAudienceSensor(task_id="wait", **arguments, **options)
        setattr(sensor, argument, value)  # as it was rendered
        return sensor

    with pytest.raises(exceptions.InvalidInputError, match=f"^{argument} "):
        wait(make, mode)
    assert emulator.requests() == []


# --- what it costs ---


@each_mode
def test_a_price_makes_an_estimate_of_the_whole_wait(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    mode: str,
    pushed: dict[str, Any],
    connect: Connect,
) -> None:
    connect("pai", extra={"backoff_seconds": 0, "price_per_call": 0.001})
    emulator.set_clock(emulator.now(), freeze=True)
    wait(pai_sensor(group()), mode, between=lambda: emulator.advance(5))
    assert (pushed["billable_calls"], pushed["estimated_cost"]) == ({"get": 2}, 0.002)


@each_mode
def test_the_polls_of_the_whole_wait_are_pushed_and_told(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    mode: str,
    pushed: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    emulator.set_clock(emulator.now(), freeze=True)
    wait(pai_sensor(group()), mode, between=lambda: emulator.advance(5))
    assert pushed["billable_calls"] == {"get": 2} == {"get": emulator.billing()["get"]["billed"]}
    output = capfd.readouterr()
    assert "Calls that may be billed: get 2." in output.out + output.err


@each_mode
def test_what_a_failed_wait_may_be_billed_is_pushed_too(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, mode: str, pushed: dict[str, Any]
) -> None:
    emulator.settings(reject_names=["VIP"], processing_seconds=0)
    with pytest.raises(exceptions.GroupRejectedError):
        wait(pai_sensor(group()), mode)
    assert pushed["billable_calls"]["get"] == 1


@pytest.mark.parametrize("has_store", [True, False])
def test_another_try_counts_anew(
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    pushed: dict[str, Any],
    has_store: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    airflow_module = sys.modules[BaseSensorOperator.__module__]
    if hasattr(airflow_module, "_orig_start_date"):  # Airflow 2 asks its database itself
        monkeypatch.setattr(airflow_module, "_orig_start_date", lambda **_: None)
    emulator.freeze()
    group_id = group()

    def poll(try_number: int) -> Any:
        context = task_context(try_number=try_number, get_first_reschedule_date=lambda _context: None)
        if not has_store:  # before Airflow 3.3
            del context["task_state_store"]
        with pytest.raises(AirflowRescheduleException):
            pai_sensor(group_id)(mode="reschedule", deferrable=False).execute(context)
        return pushed["billable_calls"]["get"]

    assert [poll(try_number) for try_number in (1, 1, 2, 2)] == ([1, 2, 1, 2] if has_store else [1, 1, 1, 1])


def test_nothing_is_pushed_where_nothing_is_billed_or_wanted(
    wait: Callable[..., Any],
    group: Callable[..., str],
    audience: Callable[..., str],
    emulator: AudiencesEmulator,
    pushed: dict[str, Any],
) -> None:
    emulator.settings(processing_seconds=0)
    audience()
    group_id = group()
    pushed.clear()
    wait(applovin_sensor(name="A"), "poke")
    wait(pai_sensor(group_id, do_xcom_push=False), "poke")
    assert pushed == {}


# --- an AppLovin audience ---


@each_mode
@pytest.mark.parametrize("by", ["audience_id", "name"])
def test_an_audience_that_is_listed_is_returned_at_once(
    wait: Callable[..., Any], audience: Callable[..., str], emulator: AudiencesEmulator, mode: str, by: str
) -> None:
    audience_id = audience(users=3)
    emulator.clear_requests()
    arguments = {"audience_id": audience_id} if by == "audience_id" else {"name": "A", "platform": "iOS"}
    assert wait(applovin_sensor(**arguments), mode) == {
        "audience_id": audience_id,
        "name": "A",
        "package_name": "p",
        "platform": "ios",
        "description": "",
        "user_count": 3,
    }
    assert len(emulator.requests()) == 1


@each_mode
def test_an_audience_that_comes_later_is_waited_for(
    wait: Callable[..., Any], audience: Callable[..., str], emulator: AudiencesEmulator, mode: str
) -> None:
    made: list[Any] = []

    def between() -> None:
        if not made:
            made.append(audience())

    assert wait(applovin_sensor(name="A"), mode, between=between)["audience_id"] == made[0]
    assert len(emulator.requests("applovin.list")) == 2


@each_mode
@pytest.mark.parametrize("min_user_count", [2, "2"])
def test_users_are_waited_for(
    wait: Callable[..., Any],
    audience: Callable[..., str],
    emulator: AudiencesEmulator,
    task_context: MakeContext,
    make_ids: MakeIds,
    mode: str,
    min_user_count: int | str,
) -> None:
    audience_id = audience(users=1)
    operator = AppLovinAppendUsersOperator(task_id="more", audience_id=audience_id, source=make_ids(2))
    sensor = applovin_sensor(audience_id=audience_id, min_user_count=min_user_count)
    shown = wait(sensor, mode, between=lambda: operator.execute(task_context()))
    assert shown["user_count"] == 2


@each_mode
def test_several_audiences_of_a_name_fail_for_good(
    wait: Callable[..., Any], audience: Callable[..., str], mode: str
) -> None:
    ids = [audience(), audience(platform="android")]
    with pytest.raises(exceptions.ConflictError, match=f"{ids[0]}.*{ids[1]}") as failure:
        wait(applovin_sensor(name="A"), mode)
    assert isinstance(failure.value, AirflowFailException)
    assert wait(applovin_sensor(name="A", platform="android"), mode)["audience_id"] == ids[1]


@each_mode
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"audience_id": "a", "name": "A"},
        {"audience_id": ""},
        {"name": " "},
        {"name": "A", "min_user_count": -1},
        {"name": "A", "platform": 1},
    ],
)
def test_wrong_arguments_are_refused_before_the_first_poll(
    wait: Callable[..., Any], emulator: AudiencesEmulator, mode: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidInputError) as refusal:
        wait(applovin_sensor(**arguments), mode)
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


# --- both ---

WAITING = [
    ("pai.get", lambda group, **more: pai_sensor(group(), **more)),
    ("applovin.list", lambda _group, **more: applovin_sensor(name="A", **more)),
]
each_sensor = pytest.mark.parametrize(("operation", "sensor"), WAITING, ids=["pai", "applovin"])


@each_mode
@each_sensor
def test_it_ends_after_its_timeout(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    mode: str,
    operation: str,
    sensor: Callable[..., Any],
) -> None:
    emulator.set_clock(emulator.now(), freeze=True)
    with pytest.raises(AirflowSensorTimeout):
        wait(sensor(group, timeout=0.05), mode)
    assert len(emulator.requests(operation)) >= 1


@each_mode
@each_sensor
@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 500}, {"kind": "drop_before"}, {"kind": "status", "status": 429}]
)
def test_transient_failures_are_borne(
    wait: Callable[..., Any],
    group: Callable[..., str],
    audience: Callable[..., str],
    emulator: AudiencesEmulator,
    mode: str,
    operation: str,
    sensor: Callable[..., Any],
    fault: dict[str, Any],
) -> None:
    emulator.settings(processing_seconds=0)
    audience()
    emulator.clear_requests()
    emulator.fault(operation, **fault, times=3)
    assert wait(sensor(group, max_poll_failures=3), mode)
    # Waiting is the repetition: a poll is one request.
    assert len(emulator.requests(operation)) == 4


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
@each_sensor
def test_too_many_transient_failures_in_a_row_fail_the_try(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    mode: str,
    operation: str,
    sensor: Callable[..., Any],
) -> None:
    emulator.fault(operation, "status", status=500, times=None)
    with pytest.raises(exceptions.ServerError) as failure:
        wait(sensor(group, max_poll_failures=2), mode)
    assert not isinstance(failure.value, AirflowFailException)
    # Deferred, the worker's own poll is not in the row of the trigger.
    assert len(emulator.requests(operation)) == (4 if mode == "deferrable" else 3)


@each_sensor
def test_none_is_borne_when_none_shall_be(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    operation: str,
    sensor: Callable[..., Any],
) -> None:
    for mode in MODES:
        emulator.reset()
        emulator.fault(operation, "status", status=500, times=None)
        with pytest.raises(exceptions.ServerError):
            wait(sensor(group, max_poll_failures=0), mode)
        assert len(emulator.requests(operation)) == 1


@each_sensor
def test_failures_that_are_not_in_a_row_are_borne(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    audience: Callable[..., str],
    operation: str,
    sensor: Callable[..., Any],
) -> None:
    for number in (1, 2, 4, 5):
        emulator.fault(operation, "status", status=500, number=number)
    emulator.set_clock(emulator.now(), freeze=True)
    polls = []

    def between() -> None:
        polls.append(1)
        if len(polls) == 6:
            audience()
            emulator.advance(5)

    assert wait(sensor(group, max_poll_failures=2), "poke", between=between)


def test_with_silent_fail_poking_goes_on_after_any_number_of_failures(
    wait: Callable[..., Any], group: Callable[..., str], emulator: AudiencesEmulator, pushed: dict[str, Any]
) -> None:
    emulator.settings(processing_seconds=0)
    group_id = group()
    emulator.fault("pai.get", "status", status=500, times=3)
    sensor = pai_sensor(group_id, max_poll_failures=0, silent_fail=True, exponential_backoff=False)
    assert wait(sensor, "poke")["id"] == group_id
    assert len(emulator.requests("pai.get")) == 4
    assert pushed["billable_calls"] == {"get": 1}


def test_a_poke_of_its_own_has_the_whole_timeout(
    group: Callable[..., str], emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    emulator.freeze()
    sensor = pai_sensor(group())(deferrable=False)
    assert not sensor.poke(task_context())
    emulator.advance(5)
    assert sensor.poke(task_context())


def _outcome(run: Any) -> str:
    try:
        return "done" if run() else "nothing"
    except AirflowSkipException:
        return "skipped"
    except (AirflowFailException, AirflowSensorTimeout):
        return "failed"
    except Exception:  # noqa: BLE001 - whatever else fails a try is tried again
        return "tried again"


@each_mode
@pytest.mark.parametrize(
    ("happens", "plain", "soft", "never"),
    [
        ("ready", "done", "done", "done"),
        ("rejected", "failed", "skipped", "skipped"),
        ("missing group", "failed", "skipped", "skipped"),
        ("wrong key", "failed", "skipped", "skipped"),
        ("timeout", "failed", "skipped", "skipped"),
        ("server down", "tried again", "tried again", "skipped"),
        ("no connection", "tried again", "tried again", "skipped"),
    ],
)
def test_soft_fail_and_never_fail_mean_the_same_in_each_mode(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    happens: str,
    plain: str,
    soft: str,
    never: str,
) -> None:
    emulator.set_clock(emulator.now(), freeze=True)
    group_id = group()
    arguments: dict[str, Any] = {"max_poll_failures": 0}
    if happens == "ready":
        emulator.advance(5)
    elif happens == "rejected":
        emulator.settings(reject_names=["bad"])
        group_id = group(name="bad")
        emulator.advance(5)
    elif happens == "missing group":
        group_id = "nobody"
    elif happens == "wrong key":
        connect("pai", password="wrong")
    elif happens == "timeout":
        arguments["timeout"] = 0.02
    elif happens == "server down":
        emulator.fault("pai.get", "status", status=500, times=None)
    elif happens == "no connection":
        monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
    for options, expected in (({}, plain), ({"soft_fail": True}, soft), ({"never_fail": True}, never)):
        sensor = pai_sensor(group_id, **arguments, **options)
        assert _outcome(lambda sensor=sensor: wait(sensor, mode)) == expected, options


@pytest.mark.parametrize(
    ("happens", "plain", "soft", "never"),
    [
        ("rejected", "failed", "skipped", "skipped"),
        ("deleted", "failed", "skipped", "skipped"),
        ("server down", "tried again", "tried again", "skipped"),
    ],
)
def test_the_same_rules_hold_for_what_the_trigger_finds(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    happens: str,
    plain: str,
    soft: str,
    never: str,
) -> None:
    for options, expected in (({}, plain), ({"soft_fail": True}, soft), ({"never_fail": True}, never)):
        emulator.reset()
        emulator.set_clock(emulator.now(), freeze=True)
        emulator.settings(reject_names=["VIP"])
        change = {
            "rejected": lambda: emulator.advance(5),
            "deleted": lambda: emulator.fault("pai.get", "status", status=404),
            "server down": lambda: emulator.fault("pai.get", "status", status=500, times=None),
        }[happens]
        sensor = pai_sensor(group(), max_poll_failures=1, **options)
        outcome = _outcome(lambda sensor=sensor, change=change: wait(sensor, "deferrable", between=change))
        assert outcome == expected, options


# --- deferral ---


def _deferred(sensor: Any, context: Any) -> Any:
    with pytest.raises(TaskDeferred) as deferral:
        sensor.execute(context)
    return deferral.value


@each_sensor
def test_what_is_deferred_is_small_json_without_a_secret(
    group: Callable[..., str],
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    operation: str,
    sensor: Callable[..., Any],
) -> None:
    before = time.time()
    deferred = _deferred(sensor(group, timeout=600, poke_interval=30)(deferrable=True), task_context())
    path, arguments = deferred.trigger.serialize()
    text = json.dumps(arguments)
    assert json.loads(text) == arguments
    assert len(text) < 1000
    assert emulator.api_key not in text
    assert emulator.url not in text
    assert deferred.method_name == "execute_complete"
    assert deferred.timeout == dt.timedelta(seconds=600)
    assert before + 599 < arguments["deadline_epoch_seconds"] <= time.time() + 600
    # The sensor has just polled: the trigger's first poll is one interval later.
    assert before + 30 <= arguments["first_poll_epoch_seconds"] <= time.time() + 30
    assert type(_trigger_from(deferred)) is type(deferred.trigger)
    assert _trigger_from(deferred).serialize() == (path, arguments)


@pytest.mark.parametrize("kwargs", [{"soft_fail": True}, {"never_fail": True}, {}])
@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"])
def test_a_deferral_that_the_scheduler_ends_is_a_timeout(
    task_context: MakeContext, kwargs: dict[str, Any], error: str
) -> None:
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True, **kwargs)
    expected = AirflowSkipException if kwargs else AirflowSensorTimeout
    with pytest.raises(expected):
        sensor.resume_execution("__fail__", {"error": error}, task_context())


def test_a_trigger_that_crashed_leads_to_another_try_unless_nothing_shall_fail(task_context: MakeContext) -> None:
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True)
    with pytest.raises(Exception, match="Trigger failure") as failure:
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, task_context())
    assert not isinstance(failure.value, AirflowFailException | AirflowSensorTimeout)
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True, never_fail=True)
    with pytest.raises(AirflowSkipException):
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, task_context())


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"version": 2, "state": "ready", "seen": {}},
        {"version": "1", "state": "ready", "seen": {}},
        {"version": 2, "passed_on": 7, "billable_calls": "many"},
        {"version": 1},
        {"version": 1, "state": "unheard of"},
        {"version": 1, "state": "error", "error_type": None},
        {"version": 1, "state": "error", "error_type": ["ServerError"]},
        {"version": 1, "state": "error", "error_type": "annotations"},
        {"version": 1, "state": "error", "error_type": "__doc__"},
        {"version": 1, "state": "error", "error_type": "__all__"},
        {"version": 1, "state": "error", "error_type": "NoSuchError", "reason": None},
        ["ready"],
        "ready",
        7,
    ],
)
def test_an_event_that_is_not_understood_leads_to_another_try(task_context: MakeContext, event: Any) -> None:
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True)
    with pytest.raises(exceptions.TransientError) as failure:
        sensor.execute_complete(task_context(), event)
    assert not isinstance(failure.value, AirflowFailException)


@pytest.mark.parametrize("error_type", ["GroupRejectedError", "ServerError", "nonsense", None])
def test_a_failure_without_a_known_type_is_still_one(task_context: MakeContext, error_type: str | None) -> None:
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True)
    event = {"version": 1, "state": "failed", "reason": "why", "error_type": error_type}
    with pytest.raises(exceptions.AudienceError, match="why"):
        sensor.execute_complete(task_context(), event)


def test_the_reason_of_a_timeout_is_kept(task_context: MakeContext) -> None:
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True)
    with pytest.raises(AirflowSensorTimeout, match="still being checked"):
        sensor.execute_complete(task_context(), {"version": 1, "state": "timeout", "reason": "still being checked"})


def test_what_the_trigger_saw_is_returned(task_context: MakeContext) -> None:
    sensor = PaiGroupSensor(task_id="wait", group_id="g", deferrable=True)
    event = {"version": 1, "state": "ready", "reason": "ready", "seen": {"id": "g"}}
    assert sensor.execute_complete(task_context(), event) == {"id": "g"}


def test_the_configuration_decides_whether_to_defer_if_the_dag_does_not() -> None:
    assert PaiGroupSensor(task_id="wait", group_id="g").deferrable is False
    assert AppLovinAudienceSensor(task_id="wait", name="A", deferrable=True).deferrable is True


def test_a_missing_connection_is_named(
    wait: Callable[..., Any], group: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = group()
    monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
    for mode in MODES:
        with pytest.raises(AirflowNotFoundException, match="pai_default"):
            wait(pai_sensor(group_id), mode)


@each_mode
def test_a_moment_without_connections_is_a_failed_poll(
    wait: Callable[..., Any],
    group: Callable[..., str],
    emulator: AudiencesEmulator,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    emulator.settings(processing_seconds=0)
    group_id = group()
    fetch = PaiGroupTrigger.fetch_connection
    errors = [OSError("no API server"), RuntimeError("no supervisor")]
    monkeypatch.setattr(PaiGroupTrigger, "fetch_connection", lambda trigger: _raise(errors) or fetch(trigger))  # type: ignore[func-returns-value]  # both, in one lambda
    assert wait(pai_sensor(group_id, max_poll_failures=2), mode)["id"] == group_id
    if mode == "poke":
        errors = [OSError("no API server")] * 3
        with pytest.raises(exceptions.ConnectionFailedError, match="could not be fetched: OSError"):
            wait(pai_sensor(group_id, max_poll_failures=2), mode)


def _raise(errors: Any) -> None:
    if errors:
        raise errors.pop()


def test_polls_of_a_group_become_rarer_by_default(group: Callable[..., str]) -> None:
    """Each poll is billed."""
    trigger = PaiGroupSensor(task_id="wait", group_id="g").trigger(deadline_epoch_seconds=0)
    assert (trigger.poll_interval_seconds, trigger.max_poll_interval_seconds) == (60, 600)
    steady = PaiGroupSensor(task_id="steady", group_id="g", exponential_backoff=False)
    assert steady.trigger(deadline_epoch_seconds=0).max_poll_interval_seconds is None
    open_ended = PaiGroupSensor(task_id="open", group_id="g", max_poke_interval=None, timeout=900)
    assert open_ended.trigger(deadline_epoch_seconds=0).max_poll_interval_seconds == 900
