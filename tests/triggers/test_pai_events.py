"""The trigger that wakes DAGs: one event for each group of the name that becomes ready, also over a restart."""

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import airflow.triggers.base
import pytest
from support.fixtures import Connect

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.triggers import shared_clients
from airflow_provider_audiences.triggers.pai_events import PaiGroupReadyTrigger


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


class _Hasty(PaiGroupReadyTrigger):
    """Polls more often than once a second."""

    min_interval_seconds = 0.02


def watcher(**arguments: Any) -> Any:
    given: dict[str, Any] = {"name": "VIP", "poll_interval_seconds": 0.02}
    return _Hasty(**(given | arguments))


async def _polls(emulator: AudiencesEmulator, more: Any) -> None:
    """Waits until that many further polls have come to their end: the next has begun."""
    seen = len(emulator.requests("pai.list"))
    while len(emulator.requests("pai.list")) <= seen + more:  # noqa: ASYNC110 - another process of the mind
        await asyncio.sleep(0.01)


@pytest.fixture
def watch(emulator: AudiencesEmulator) -> Callable[..., list[Any]]:
    """Runs a trigger beside a coroutine, until that has ended, and returns the ids that it fired for."""

    def run(script: Any, **arguments: Any) -> list[Any]:
        fired = []

        async def listen() -> None:
            async for event in watcher(**arguments).run():
                assert json.loads(json.dumps(event.payload)) == event.payload
                assert set(event.payload) == {"id", "name", "status", "amount", "ready_seen_at"}
                fired.append(event.payload)

        async def both() -> None:
            listening = asyncio.create_task(listen())
            try:
                await script()
                assert not listening.done()
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

        asyncio.run(both())
        return fired

    return run


def test_it_fires_once_for_each_group_that_becomes_ready(
    watch: Callable[..., list[Any]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    emulator.set_clock(time.time(), freeze=True)
    made = []

    async def script() -> None:
        made.extend(make_groups(2))
        await _polls(emulator, 1)
        emulator.advance(5)
        await _polls(emulator, 3)
        made.extend(make_groups(1))
        emulator.advance(5)
        await _polls(emulator, 3)

    fired = watch(script)
    assert [event["id"] for event in fired[2:]] == made[2:]
    assert {event["id"] for event in fired} == set(made)
    assert len(fired) == 3
    assert {(event["name"], event["status"], event["amount"]) for event in fired} == {("VIP", 1, 2)}
    # It lists, and that is free.
    assert emulator.billing()["get"]["billed"] == 0


def test_a_part_of_the_name_is_not_the_name(
    watch: Callable[..., list[Any]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    make_groups(1, name="VIP customers")
    right = make_groups(1, name="VIP")
    emulator.set_clock(time.time() + 5)

    async def script() -> None:
        await _polls(emulator, 1)

    assert [event["id"] for event in watch(script)] == right


def test_groups_that_were_ready_long_before_are_no_news(
    watch: Callable[..., list[Any]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    """Over a restart: what became ready while the triggerer was away is told, what is older is not."""
    now = time.time()
    emulator.set_clock(now - 1000, freeze=True)
    make_groups(3)
    emulator.set_clock(now - 200)
    missed = make_groups(1)
    emulator.set_clock(now - 100)

    async def script() -> None:
        await _polls(emulator, 2)

    assert [event["id"] for event in watch(script)] == missed
    assert watch(script, lookback_seconds=60) == []
    assert len(watch(script, lookback_seconds=2000)) == 4


def test_failures_and_a_missing_connection_end_nothing(
    watch: Callable[..., list[Any]],
    make_groups: Callable[..., list[str]],
    emulator: AudiencesEmulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT")
    emulator.fault("pai.list", "status", status=503, times=2)
    made = make_groups(1)
    emulator.set_clock(time.time() + 5)

    async def script() -> None:
        await asyncio.sleep(0.05)
        connect("pai", password="wrong")
        await _polls(emulator, 2)
        connect("pai")
        await _polls(emulator, 2)

    assert [event["id"] for event in watch(script)] == made
    told = capfd.readouterr()
    for reason in ("pai_default", "503", "403"):
        assert reason in told.out + told.err


def test_too_few_people_and_another_status_are_not_ready(
    watch: Callable[..., list[Any]], make_groups: Callable[..., list[str]], emulator: AudiencesEmulator
) -> None:
    make_groups(1)
    emulator.set_clock(time.time() + 5)

    async def script() -> None:
        await _polls(emulator, 2)

    assert watch(script, min_amount=3) == []
    assert watch(script, ready_statuses=[9]) == []
    assert len(watch(script, ready_statuses=[1], min_amount=2)) == 1


def test_every_argument_is_serialized_under_its_name() -> None:
    names = set(inspect.signature(PaiGroupReadyTrigger).parameters) - {"kwargs"}
    values: dict[str, Any] = dict.fromkeys(names, 3) | {"name": "VIP", "ready_statuses": [1, 2]}
    path, arguments = PaiGroupReadyTrigger(**values).serialize()
    assert path == f"{PaiGroupReadyTrigger.__module__}.{PaiGroupReadyTrigger.__qualname__}"
    assert arguments == values == json.loads(json.dumps(arguments))
    documented = inspect.getdoc(PaiGroupReadyTrigger)
    assert all(f":param {name}:" in str(documented) for name in names)


def test_a_moment_without_connections_ends_nothing(
    watch: Callable[..., list[Any]],
    make_groups: Callable[..., list[str]],
    emulator: AudiencesEmulator,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    errors = [OSError("https://x/?token=s3cret"), RuntimeError("no supervisor")]
    fetch = vars(shared_clients)["get_async_connection"]

    async def failing(conn_id: str) -> Any:
        if errors:
            raise errors.pop(0)
        return await fetch(conn_id)

    monkeypatch.setattr(shared_clients, "get_async_connection", failing)
    made = make_groups(1)
    emulator.set_clock(time.time() + 5)

    async def script() -> None:
        await _polls(emulator, 1)

    assert [event["id"] for event in watch(script)] == made
    told = capfd.readouterr()
    assert "could not be fetched: OSError" in told.out + told.err
    assert "s3cret" not in told.out + told.err


@pytest.mark.parametrize("interval", [0, "0", 1e-9])
def test_it_polls_once_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch, emulator: AudiencesEmulator, interval: Any
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(shared_clients.InTriggerer, "_sleep", staticmethod(sleep))

    async def listen() -> None:
        async for _ in PaiGroupReadyTrigger(name="VIP", poll_interval_seconds=interval).run():
            pass

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(listen())
    assert slept == [1, 1, 1]


def test_numbers_come_as_text_too() -> None:
    texts: dict[str, Any] = {"poll_interval_seconds": "5", "lookback_seconds": "60.5", "min_amount": "2"}
    taken = PaiGroupReadyTrigger(name="VIP", **texts, ready_statuses=cast("Any", ["1"]))
    assert taken.serialize()[1] == {
        "name": "VIP",
        "conn_id": "pai_default",
        "poll_interval_seconds": 5,
        "lookback_seconds": 60.5,
        "min_amount": 2,
        "ready_statuses": [1],
    }


def test_a_name_of_digits_and_lengths_of_time_too() -> None:
    taken = PaiGroupReadyTrigger(
        name=cast("Any", 20261111), poll_interval_seconds=timedelta(minutes=2), lookback_seconds=timedelta(hours=1)
    )
    assert taken.serialize()[1] | {"min_amount": 1} == {
        "name": "20261111",
        "conn_id": "pai_default",
        "poll_interval_seconds": 120.0,
        "lookback_seconds": 3600.0,
        "min_amount": 1,
        "ready_statuses": None,
    }


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *((name, value) for name in ("poll_interval_seconds", "lookback_seconds") for value in ("x", None, -1, "nan")),
        *(("min_amount", value) for value in ("x", None, -1, 1.5)),
        *(("ready_statuses", value) for value in (5, "1", ["x"], {1: 2})),
    ],
)
def test_what_is_no_number_is_refused_by_name_when_the_dag_is_parsed(argument: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=argument):
        PaiGroupReadyTrigger(**{"name": "VIP", argument: value})


@pytest.mark.parametrize("name", ["", "  ", None, "None", 1.5, True])
def test_a_name_is_needed_when_the_dag_is_parsed(name: Any) -> None:
    with pytest.raises(InvalidInputError, match="name"):
        PaiGroupReadyTrigger(name=name)


def test_an_asset_watcher_takes_it() -> None:
    # Airflow 2 has no watchers, and no mark of the triggers that they take.
    wanted = getattr(airflow.triggers.base, "BaseEventTrigger", airflow.triggers.base.BaseTrigger)
    assert isinstance(watcher(), wanted)
