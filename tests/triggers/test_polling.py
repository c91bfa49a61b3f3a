"""The triggers by themselves: what they yield, when, and that they keep nobody waiting."""

import asyncio
import inspect
import itertools
import json
import time
from collections.abc import Callable, Generator
from typing import Any, ClassVar, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from asgiref.sync import async_to_sync
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.http import transport
from airflow_provider_audiences.http.api_client import ApiClient
from airflow_provider_audiences.operators.applovin import AppLovinCreateAudienceOperator
from airflow_provider_audiences.triggers import shared_clients
from airflow_provider_audiences.triggers.applovin import AppLovinAudienceTrigger
from airflow_provider_audiences.triggers.pai import PaiGroupTrigger
from airflow_provider_audiences.triggers.polling import PollingTrigger
from airflow_provider_audiences.waiting.outcomes import EVENT_VERSION
from airflow_provider_audiences.waiting.polls import Poll, PollResult, PollState, Request

EVENT_KEYS = {"version", "state", "reason", "advice", "seen", "error_type", "billable_calls", "retry_after_seconds"}


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def group_id(make_groups: Callable[..., list[str]]) -> str:
    return make_groups(1)[0]


def pai_trigger(group_id: str, **arguments: Any) -> PaiGroupTrigger:
    defaults: dict[str, Any] = {
        "conn_id": "pai_default",
        "group_id": group_id,
        "poll_interval_seconds": 0.01,
        "deadline_epoch_seconds": time.time() + 10,
        "max_poll_failures": 5,
    }
    return PaiGroupTrigger(**(defaults | arguments))


def applovin_trigger(**arguments: Any) -> AppLovinAudienceTrigger:
    defaults: dict[str, Any] = {
        "conn_id": "applovin_default",
        "poll_interval_seconds": 0.01,
        "deadline_epoch_seconds": time.time() + 10,
        "max_poll_failures": 5,
    }
    return AppLovinAudienceTrigger(**(defaults | arguments))


def event_of(trigger: Any) -> Any:
    async def collect() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(collect())
    assert set(event.payload) == EVENT_KEYS
    assert event.payload["version"] == EVENT_VERSION
    assert json.loads(json.dumps(event.payload)) == event.payload
    return event.payload


@pytest.mark.parametrize("trigger_class", [PaiGroupTrigger, AppLovinAudienceTrigger])
def test_every_argument_is_serialized_under_its_name(trigger_class: type[Any]) -> None:
    names = {
        name
        for base in cast("tuple[Any, ...]", trigger_class.__mro__)
        if base.__module__.startswith("airflow_provider_audiences")
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if name != "self" and parameter.kind is parameter.KEYWORD_ONLY
    }
    values: dict[str, Any] = {name: number for number, name in enumerate(sorted(names))}
    values |= {name: [1, 2] for name in names if name.endswith(("_statuses", "_ids"))}
    values["passed_on"] = {"a": 1}
    path, arguments = trigger_class(**values).serialize()
    assert path == f"{trigger_class.__module__}.{trigger_class.__qualname__}"
    assert arguments == values
    documented = " ".join(filter(None, (base.__doc__ for base in cast("tuple[Any, ...]", trigger_class.__mro__))))
    assert all(f":param {name}:" in documented for name in names)


def test_a_ready_group(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.advance(5)
    event = event_of(pai_trigger(group_id))
    assert event["state"] == "ready"
    assert event["error_type"] is None
    assert (event["seen"]["id"], event["seen"]["amount"]) == (group_id, 2)
    assert "139" not in json.dumps(event["seen"] | {"id": ""})
    assert event["billable_calls"] == {"get": 1}
    assert emulator.billing()["get"]["billed"] == 1


def test_what_is_passed_on_comes_back(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.advance(5)

    async def collect() -> list[Any]:
        return [event.payload async for event in pai_trigger(group_id, passed_on={"old": ["a"]}).run()]

    (payload,) = asyncio.run(collect())
    assert (payload["state"], payload["passed_on"]) == ("ready", {"old": ["a"]})


def test_a_failed_group(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.advance(5)
    event = event_of(pai_trigger(group_id, min_amount=3))
    assert event["state"] == "failed"
    assert "min_amount is 3" in event["reason"]
    assert event["seen"]["amount"] == 2


@pytest.mark.parametrize(
    ("trigger", "error_type"),
    [
        (lambda: pai_trigger("nobody"), "NotFoundError"),
        (lambda: pai_trigger(""), "InvalidInputError"),
        (lambda: pai_trigger("g", min_amount=-1), "InvalidInputError"),
        (applovin_trigger, "InvalidInputError"),
    ],
)
def test_what_stays_wrong_is_an_event_with_its_type(trigger: Callable[..., Any], error_type: str) -> None:
    event = event_of(trigger())
    assert (event["state"], event["error_type"], event["seen"]) == ("failed", error_type, None)


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"password": None}, {"password": "$KEY"}, {"host": "ftp://a"}]
)
def test_a_wrong_connection_is_an_event_without_the_key(
    connect: Connect, emulator: AudiencesEmulator, wrong: dict[str, Any]
) -> None:
    connect("pai", **wrong)
    event = event_of(pai_trigger("g"))
    assert event["state"] == "failed"
    assert emulator.api_key not in json.dumps(event)
    assert event["error_type"] in {"AuthenticationError", "InvalidInputError"}


def test_a_missing_connection_is_an_event_that_names_it() -> None:
    event = event_of(pai_trigger("g", conn_id="nowhere"))
    assert event["state"] == "error"
    assert "nowhere" in event["reason"]


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a function of the number of the fetch do something before each fetch of a connection."""

    def before(change: Any) -> None:
        numbers = itertools.count()
        fetch = vars(shared_clients)["get_async_connection"]

        async def changed(conn_id: str) -> Any:
            change(next(numbers))
            return await fetch(conn_id)

        monkeypatch.setattr(shared_clients, "get_async_connection", changed)

    return before


def test_one_refused_key_after_the_other_ends_the_wait(
    group_id: str, emulator: AudiencesEmulator, connect: Connect, fetching: Callable[..., None]
) -> None:
    """As from a secrets backend that makes new credentials for each who asks."""
    fetching(lambda number: connect("pai", password=f"wrong {number}"))
    event = event_of(pai_trigger(group_id))
    assert (event["state"], event["error_type"]) == ("failed", "AuthenticationError")
    assert len(emulator.requests("pai.get")) == 2


def test_a_renewed_key_is_taken_after_a_wait(
    group_id: str, emulator: AudiencesEmulator, connect: Connect, fetching: Callable[..., None]
) -> None:
    emulator.advance(5)
    fetching(lambda number: connect("pai", password="old") if number == 0 else connect("pai"))
    deadline = time.time() + 0.2
    event = event_of(pai_trigger(group_id, poll_interval_seconds=3600, deadline_epoch_seconds=deadline))
    assert event["state"] == "ready"
    first, second = emulator.requests("pai.get")
    assert (first["status"], second["status"]) == (403, 200)
    # There was a wait between them: an hour, cut short by the deadline.
    assert second["received_at"] >= deadline


def test_a_renewed_key_does_not_move_the_deadline(
    group_id: str, connect: Connect, fetching: Callable[..., None]
) -> None:
    fetching(lambda number: connect("pai", password=f"wrong {number}"))
    event = event_of(pai_trigger(group_id, deadline_epoch_seconds=time.time() - 1))
    assert (event["state"], event["error_type"]) == ("timeout", None)


@pytest.mark.parametrize("error", [OSError("https://x/?token=s3cret"), RuntimeError("no supervisor")])
def test_a_moment_without_connections_is_a_failed_poll(
    group_id: str, emulator: AudiencesEmulator, fetching: Callable[..., None], error: Any
) -> None:
    emulator.advance(5)

    def fail(numbers: Any) -> Callable[..., None]:
        def change(number: int) -> None:
            if number in numbers:
                raise error

        return change

    fetching(fail({0, 1}))
    assert event_of(pai_trigger(group_id, max_poll_failures=2))["state"] == "ready"
    fetching(fail({0, 1, 2}))
    event = event_of(pai_trigger(group_id, max_poll_failures=2))
    assert (event["state"], event["error_type"]) == ("error", "ConnectionFailedError")
    assert type(error).__name__ in event["reason"]
    assert "s3cret" not in json.dumps(event)


def test_a_moment_without_connections_when_a_key_is_refused(
    group_id: str, emulator: AudiencesEmulator, connect: Connect, fetching: Callable[..., None]
) -> None:
    emulator.advance(5)

    def change(number: int) -> None:
        connect("pai", **({"password": "old"} if number == 0 else {}))
        if number == 1:
            raise OSError

    fetching(change)
    assert event_of(pai_trigger(group_id, max_poll_failures=1))["state"] == "ready"


def test_transient_failures_in_a_row(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.advance(5)
    emulator.fault("pai.get", "status", status=503, times=3)
    assert event_of(pai_trigger(group_id, max_poll_failures=3))["state"] == "ready"
    assert len(emulator.requests("pai.get")) == 4
    emulator.clear_requests()
    emulator.fault("pai.get", "status", status=503, times=None)
    event = event_of(pai_trigger(group_id, max_poll_failures=3))
    assert (event["state"], event["error_type"]) == ("error", "ServerError")
    assert len(emulator.requests("pai.get")) == 4


def test_the_deadline_is_kept_and_the_reason_told(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.freeze()
    event = event_of(pai_trigger(group_id, poll_interval_seconds=3600, deadline_epoch_seconds=time.time() + 0.1))
    assert event["state"] == "timeout"
    assert "still being checked (Status 0, Amount 0)" in event["reason"]
    # Once at the beginning, and once more when the time is up: not after an hour.
    assert len(emulator.requests("pai.get")) == 2


def test_a_deadline_that_has_passed_leaves_one_poll(group_id: str, emulator: AudiencesEmulator) -> None:
    """As after a restart of the triggerer: what is ready meanwhile is not called late."""
    emulator.freeze()
    assert event_of(pai_trigger(group_id, deadline_epoch_seconds=time.time() - 100))["state"] == "timeout"
    emulator.advance(5)
    assert event_of(pai_trigger(group_id, deadline_epoch_seconds=time.time() - 100))["state"] == "ready"
    assert len(emulator.requests("pai.get")) == 2


def test_failures_until_the_deadline_are_a_timeout_that_tells_them(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.fault("pai.get", "status", status=503, times=None)
    trigger = pai_trigger(group_id, max_poll_failures=10**6, deadline_epoch_seconds=time.time() + 0.1)
    event = event_of(trigger)
    assert event["state"] == "timeout"
    assert "503" in event["reason"]


def test_the_first_poll_waits_for_its_time_but_not_beyond_the_deadline(
    group_id: str, emulator: AudiencesEmulator
) -> None:
    first = time.time() + 0.2
    event_of(pai_trigger(group_id, first_poll_epoch_seconds=first, deadline_epoch_seconds=first))
    assert emulator.requests("pai.get")[0]["received_at"] >= first
    emulator.clear_requests()
    deadline = time.time() + 0.1
    event_of(pai_trigger(group_id, first_poll_epoch_seconds=deadline + 3600, deadline_epoch_seconds=deadline))
    assert len(emulator.requests("pai.get")) == 1


def test_an_audience_is_waited_for(emulator: AudiencesEmulator, task_context: MakeContext) -> None:
    assert event_of(applovin_trigger(name="A", deadline_epoch_seconds=0))["state"] == "timeout"
    create = AppLovinCreateAudienceOperator(task_id="create", name="A", platform="ios", package_name="p")
    audience_id = create.execute(task_context())
    event = event_of(applovin_trigger(name="A"))
    assert (event["state"], event["seen"]["audience_id"]) == ("ready", audience_id)
    event = event_of(applovin_trigger(audience_id=audience_id, min_user_count=1, deadline_epoch_seconds=0))
    assert event["state"] == "timeout"


def test_it_blocks_nobody(group_id: str, emulator: AudiencesEmulator) -> None:
    """While the emulator keeps the trigger waiting, other triggers of the same loop go on."""
    emulator.advance(5)
    emulator.latency("pai.get", 0.5)

    async def both() -> tuple[int, Any]:
        ticks = 0
        ended = asyncio.Event()

        async def tick() -> None:
            nonlocal ticks
            while not ended.is_set():
                ticks += 1
                await asyncio.sleep(0.005)

        async def run() -> list[Any]:
            events = [event async for event in pai_trigger(group_id).run()]
            ended.set()
            return events

        _, events = await asyncio.gather(tick(), run())
        return ticks, events

    ticks, (event,) = asyncio.run(both())
    assert event.payload["state"] == "ready"
    # A loop that was blocked would have got to a handful.
    assert ticks > 20


def test_many_wait_side_by_side(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.advance(5)
    emulator.latency("pai.get", 0.05)

    async def run(trigger: Any) -> list[Any]:
        return [event.payload["state"] async for event in trigger.run()]

    async def together() -> Any:
        return await asyncio.gather(*(run(pai_trigger(group_id)) for _ in range(20)))

    assert asyncio.run(together()) == [["ready"]] * 20


def test_a_trigger_that_is_cancelled_ends_and_closes_its_client(
    group_id: str, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.freeze()
    closed = []
    close = transport.Transport.close
    monkeypatch.setattr(transport.Transport, "close", lambda self: (closed.append(self), close(self))[1])  # type: ignore[func-returns-value]  # both, in one lambda

    async def cancel() -> None:
        async def run() -> list[Any]:
            return [event async for event in pai_trigger(group_id, poll_interval_seconds=60).run()]

        task = asyncio.create_task(run())
        while not emulator.requests("pai.get"):  # noqa: ASYNC110 - another process of the mind: the emulator
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert len(closed) == 1


class _MaskingTrigger(PollingTrigger):
    """Does in its poll what masking a secret does in the triggerer of Airflow 3.0 and 3.1."""

    loops: ClassVar[list[object]] = []

    @staticmethod
    def hook_class() -> Any:
        return _MaskingHook

    def poll(self) -> Any:
        return _MaskingPoll()

    @classmethod
    def mask(cls) -> None:
        async def tell_supervisor() -> None:
            cls.loops.append(asyncio.get_running_loop())

        async_to_sync(tell_supervisor)()


class _MaskingHook:
    @classmethod
    def client_of(cls, _connection: Any, **_options: Any) -> ApiClient:
        _MaskingTrigger.mask()
        return ApiClient(transport.Transport(base_url="", session=_NO_SESSION, settings=_NO_SETTINGS))


class _MaskingPoll(Poll):
    def __call__(self, _client: Any) -> Generator[Request, Any, PollResult]:
        yield Request(send=_MaskingTrigger.mask)
        return PollResult(state=PollState.READY, reason="")


class _NoSession:
    def close(self) -> None:
        pass


_NO_SESSION: Any = _NoSession()
_NO_SETTINGS: Any = None


def test_a_poll_can_talk_to_the_supervisor_on_the_triggerers_loop() -> None:
    trigger = _MaskingTrigger(
        conn_id="pai_default", poll_interval_seconds=0, deadline_epoch_seconds=0, max_poll_failures=0
    )

    async def run() -> list[Any]:
        events = [event.payload["state"] async for event in trigger.run()]
        assert set(trigger.loops) == {asyncio.get_running_loop()}
        assert len(trigger.loops) == 2
        return events

    assert asyncio.run(run()) == ["ready"]


def test_what_a_trigger_is_called_in_logs_has_no_secret(emulator: AudiencesEmulator) -> None:
    assert emulator.api_key not in repr(pai_trigger("g"))
    assert emulator.api_key not in repr(applovin_trigger(name="A"))


@pytest.mark.parametrize(("most", "pauses"), [(600, [1, 2, 4, 8, 10, 10]), (None, [1] * 6)])
def test_the_pause_between_two_polls_grows_to_its_most(
    group_id: str, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch, most: int | None, pauses: list[int]
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 6:
            emulator.advance(5)

    monkeypatch.setattr(shared_clients.InTriggerer, "_sleep", staticmethod(sleep))
    deadline = time.time() + 86_400
    trigger = pai_trigger(
        group_id, poll_interval_seconds=60, max_poll_interval_seconds=most, deadline_epoch_seconds=deadline
    )
    assert event_of(trigger)["state"] == "ready"
    assert 60 <= slept[0] <= 72
    assert slept == pytest.approx([slept[0] * pause for pause in pauses])


# --- rows that an earlier version has stored ---

ROW: dict[str, Any] = {
    "conn_id": "pai_default",
    "poll_interval_seconds": 0.01,
    "deadline_epoch_seconds": 4102444800.0,
    "max_poll_failures": 5,
    "max_poll_interval_seconds": 600.0,
    "first_look_epoch_seconds": 0.5,
    "jitter": True,
    "passed_on": {"billable_calls": {"get": 1}, "price_per_call": None},
}


def test_rows_of_groups_are_read_on(group_id: str, emulator: AudiencesEmulator) -> None:
    emulator.advance(5)
    now = time.time()
    of_pai: dict[str, Any] = {
        "min_amount": 1,
        "ready_statuses": None,
        "failed_statuses": None,
        "first_look_epoch_seconds": now,
    }
    for wanted in ({"group_id": group_id, "group_ids": None}, {"group_id": None, "group_ids": [group_id]}):
        trigger = PaiGroupTrigger(**(ROW | of_pai | wanted))

        async def collect(trigger: Any = trigger) -> list[Any]:
            return [event.payload async for event in trigger.run()]

        (payload,) = asyncio.run(collect())
        assert (payload["state"], payload["passed_on"]) == ("ready", ROW["passed_on"])
        _, arguments = trigger.serialize()
        assert arguments["first_poll_epoch_seconds"] == now
        assert PaiGroupTrigger(**arguments).serialize() == trigger.serialize()


def test_rows_of_audiences_are_read_on() -> None:
    row = ROW | {"passed_on": None, "conn_id": "applovin_default", "deadline_epoch_seconds": 0.0}
    trigger = AppLovinAudienceTrigger(**row, audience_id=None, name="A", platform=None, min_user_count=None)
    assert event_of(trigger)["state"] == "timeout"


# --- in a worker, as the triggerer does ---


@pytest.fixture
def here(connect: Connect) -> Callable[..., tuple[Any, list[Any]]]:
    """Waits with a trigger in this thread; ``between`` is called instead of each sleep."""

    def wait(between: Any, **arguments: Any) -> tuple[Any, list[Any]]:
        defaults: dict[str, Any] = {
            "conn_id": "pai_default",
            "poll_interval_seconds": 60,
            "max_poll_interval_seconds": 600,
            "deadline_epoch_seconds": time.time() + 86_400,
            "max_poll_failures": 1,
        }
        slept = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            between(len(slept))

        trigger = PaiGroupTrigger(**(defaults | arguments))
        return trigger.wait_here(trigger.poll(), sleep=sleep), slept

    return wait


def test_a_worker_waits_as_the_triggerer_does(
    here: Callable[..., tuple[Any, list[Any]]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    (group_id,) = make_groups(1)
    emulator.freeze()
    outcome, slept = here(lambda sleeps: sleeps == 3 and emulator.advance(5), group_id=group_id)
    assert (outcome.state, outcome.seen["id"]) == ("ready", group_id)
    assert 60 <= slept[0] <= 72
    assert slept == pytest.approx([slept[0], 2 * slept[0], 4 * slept[0]])
    assert outcome.billable_calls == {"get": 4} == {"get": emulator.billing()["get"]["billed"]}


def test_a_worker_ends_as_the_triggerer_does(
    here: Callable[..., tuple[Any, list[Any]]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    (group_id,) = make_groups(1)
    emulator.freeze()
    late, _ = here(lambda _: None, group_id=group_id, deadline_epoch_seconds=0)
    assert (late.state, late.billable_calls) == ("timeout", {"get": 1})
    emulator.fault("pai.get", "status", status=503, times=2)
    down, slept = here(lambda _: None, group_id=group_id)
    assert (down.state, type(down.error), len(slept)) == ("error", exceptions.ServerError, 1)
    assert down.billable_calls == {"get": 0}
    refused: list[dict[str, Any]] = [
        {},
        {"group_id": group_id, "group_ids": [group_id]},
        {"group_ids": []},
        {"group_id": ""},
    ]
    for wrong in refused:
        with pytest.raises(exceptions.InvalidInputError):
            here(lambda _: None, **wrong)


class _Fetching(PaiGroupTrigger):
    """Does something before each fetch of its connection."""

    before_fetch: Callable[[], Any]

    def fetch_connection(self) -> Any:
        self.before_fetch()
        return super().fetch_connection()


@pytest.fixture
def waiting_here(make_groups: Callable[..., list[str]]) -> Callable[..., Any]:
    """A trigger that waits for a group for an hour, in this thread: ``wait(before_fetch=…)``."""
    (group_id,) = make_groups(1)

    def wait(*, before_fetch: Any = lambda: None, sleep: Any = lambda _seconds: None, poll: Any = None) -> Any:
        trigger = _Fetching(
            conn_id="pai_default",
            group_id=group_id,
            poll_interval_seconds=60,
            deadline_epoch_seconds=time.time() + 3600,
            max_poll_failures=2,
        )
        trigger.before_fetch = before_fetch
        return trigger.wait_here(poll or trigger.poll(), sleep=sleep)

    return wait


def test_a_worker_takes_a_renewed_token_after_a_pause(
    waiting_here: Callable[..., Any], emulator: AudiencesEmulator, connect: Connect
) -> None:
    emulator.advance(5)
    slept: list[Any] = []
    passwords = iter([{"password": "old"}, {}])
    outcome = waiting_here(before_fetch=lambda: connect("pai", **next(passwords)), sleep=slept.append)
    assert outcome.state == "ready"
    assert [request["status"] for request in emulator.requests("pai.get")] == [403, 200]
    assert len(slept) == 1


def test_a_worker_does_not_go_on_with_one_wrong_token_after_the_other(
    waiting_here: Callable[..., Any], emulator: AudiencesEmulator, connect: Connect
) -> None:
    numbers = itertools.count()
    outcome = waiting_here(before_fetch=lambda: connect("pai", password=f"wrong {next(numbers)}"))
    assert (outcome.state, type(outcome.error)) == ("failed", exceptions.AuthenticationError)
    assert len(emulator.requests("pai.get")) == 2


@pytest.mark.parametrize("error", [OSError("https://x/?token=s3cret"), RuntimeError("no supervisor")])
def test_a_worker_bears_a_moment_without_connections(
    waiting_here: Callable[..., Any], emulator: AudiencesEmulator, error: Any
) -> None:
    emulator.advance(5)
    left = [error, error]

    def fail() -> None:
        if left:
            raise left.pop()

    assert waiting_here(before_fetch=fail).state == "ready"
    left = [error] * 3
    outcome = waiting_here(before_fetch=fail)
    assert (outcome.state, type(outcome.error)) == ("error", exceptions.ConnectionFailedError)
    assert type(error).__name__ in outcome.reason
    assert "s3cret" not in str(outcome)


def test_a_connection_that_is_missing_is_named_in_a_worker(
    waiting_here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
    with pytest.raises(AirflowNotFoundException, match="pai_default"):
        waiting_here()


def test_a_wait_that_is_interrupted_leaves_what_it_may_be_billed(
    waiting_here: Callable[..., Any], emulator: AudiencesEmulator, make_groups: Callable[..., list[str]]
) -> None:
    poll = pai_trigger(make_groups(1)[0]).poll()
    emulator.freeze()

    class TaskTimeoutError(BaseException):
        pass

    def sleep(_seconds: Any) -> None:
        if poll.billable_calls["get"] == 3:
            raise TaskTimeoutError

    with pytest.raises(TaskTimeoutError):
        waiting_here(poll=poll, sleep=sleep)
    assert poll.billable_calls == {"get": 3} == {"get": emulator.billing()["get"]["billed"]}


def test_a_lost_reply_may_be_billed_and_a_refused_request_is_not(
    here: Callable[..., tuple[Any, list[Any]]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    (group_id,) = make_groups(1)
    emulator.advance(5)
    emulator.fault("pai.get", "drop_after")
    outcome, _ = here(lambda _: None, group_id=group_id)
    assert outcome.billable_calls == {"get": 2} == {"get": emulator.billing()["get"]["billed"]}
    emulator.fault("pai.get", "status", status=429)
    outcome, _ = here(lambda _: None, group_id=group_id)
    assert outcome.billable_calls == {"get": 1}
