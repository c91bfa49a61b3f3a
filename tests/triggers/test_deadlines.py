"""A wait ends at its deadline, whatever the poll under way does, and whoever is slow keeps nobody else waiting."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from support.fixtures import Connect, MakeContext
from support.hostile import DRIPPING, hostile_server
from support.recorder import Recorder

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.http.transport import Transport
from airflow_provider_audiences.sensors.applovin import AppLovinAudienceSensor
from airflow_provider_audiences.sensors.pai import PaiGroupSensor
from airflow_provider_audiences.triggers.applovin import AppLovinAudienceTrigger
from airflow_provider_audiences.triggers.lanes import MAX_QUICK, MAX_SLOW, MAX_TAKEN_OUT
from airflow_provider_audiences.triggers.pai import PaiGroupTrigger
from airflow_provider_audiences.waiting import wait as waiting

TIMEOUT_SECONDS = 0.6
LATE_SECONDS = 2.5
GROUP = {"ErrorCode": 0, "Data": {"Id": "quick", "Name": "n", "Status": 1, "Amount": 5}}


@pytest.fixture(autouse=True)
def _short_last_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LAST_POLL_SECONDS", 0.3)


def trigger_of(
    platform: Any, *, seconds: float = TIMEOUT_SECONDS, **arguments: Any
) -> AppLovinAudienceTrigger | PaiGroupTrigger:
    defaults: dict[str, Any] = {
        "poll_interval_seconds": 0.05,
        "deadline_epoch_seconds": time.time() + seconds,
        "max_poll_failures": 3,
        "conn_id": f"{platform}_default",
    }
    if platform == "applovin":
        return AppLovinAudienceTrigger(**(defaults | {"audience_id": "a"} | arguments))
    return PaiGroupTrigger(**(defaults | {"group_id": "slow"} | arguments))


async def payload_of(trigger: Any) -> Any:
    (event,) = [event async for event in trigger.run()]
    return event.payload


def in_triggerer(trigger: Any) -> Any:
    return asyncio.run(payload_of(trigger))


def in_worker(trigger: Any) -> Any:
    return trigger.wait_here(trigger.poll()).as_event()


@pytest.mark.parametrize("wait", [in_triggerer, in_worker])
@pytest.mark.parametrize("platform", ["applovin", "pai"])
@pytest.mark.parametrize("name", ["silent", "headers", "interim 103", "chunks"])
def test_a_wait_ends_at_its_deadline(connect: Connect, wait: Callable[..., Any], platform: str, name: str) -> None:
    with hostile_server(DRIPPING[name]) as server:
        connect(platform, host=server.url)
        began = time.monotonic()
        payload = wait(trigger_of(platform, max_poll_failures=0))
        seconds = time.monotonic() - began
    assert payload["state"] == "timeout"
    assert TIMEOUT_SECONDS - 0.1 <= seconds < LATE_SECONDS
    # A poll of a group is billed if it succeeds, and nobody knows.
    assert payload["billable_calls"] == ({"get": 1} if platform == "pai" else {})


@pytest.mark.parametrize("platform", ["applovin", "pai"])
def test_the_triggerer_goes_on_whatever_its_thread_does(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    release = threading.Event()
    monkeypatch.setattr(Transport, "send", lambda *_: release.wait(20))
    began = time.monotonic()
    try:
        payload = in_triggerer(trigger_of(platform))
        seconds = time.monotonic() - began
    finally:
        release.set()
    assert payload["state"] == "timeout"
    assert "was not answered in time" in payload["reason"]
    assert seconds < LATE_SECONDS
    assert payload["billable_calls"] == ({"get": 1} if platform == "pai" else {})


@pytest.mark.parametrize("platform", ["applovin", "pai"])
def test_a_connection_that_is_never_fetched(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    async def never(_conn_id: Any) -> None:
        await asyncio.sleep(20)

    monkeypatch.setattr("airflow_provider_audiences.triggers.shared_clients.get_async_connection", never)
    began = time.monotonic()
    assert in_triggerer(trigger_of(platform))["state"] == "timeout"
    assert time.monotonic() - began < LATE_SECONDS


def sensor_of(platform: Any, **arguments: Any) -> AppLovinAudienceSensor | PaiGroupSensor:
    defaults: dict[str, Any] = {
        "task_id": "wait",
        "poke_interval": 0.05,
        "timeout": TIMEOUT_SECONDS,
        "max_poll_failures": 0,
    }
    if platform == "applovin":
        return AppLovinAudienceSensor(**(defaults | {"audience_id": "a"} | arguments))
    return PaiGroupSensor(**(defaults | {"group_id": "slow"} | arguments))


# Airflow 2 asks its database when a wait in reschedule mode began, and there is none here.
MODES = ["poke", "reschedule"] if AIRFLOW_V_3_0_PLUS else ["poke"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("platform", ["applovin", "pai"])
def test_a_sensor_ends_at_its_timeout(connect: Connect, task_context: MakeContext, platform: str, mode: Any) -> None:
    with hostile_server(DRIPPING["headers"]) as server:
        connect(platform, host=server.url)
        began = time.monotonic()
        with pytest.raises(AirflowSensorTimeout):
            sensor_of(platform, mode=mode).execute(_context(task_context))
        with pytest.raises(AirflowSkipException):
            sensor_of(platform, mode=mode, soft_fail=True).execute(_context(task_context))
        seconds = time.monotonic() - began
    assert seconds < 2 * LATE_SECONDS


def _context(task_context: MakeContext) -> Any:
    return task_context(get_first_reschedule_date=lambda _context: None)


def test_an_interval_beyond_the_timeout_does_not_prolong_it(
    connect: Connect, emulator: AudiencesEmulator, task_context: MakeContext
) -> None:
    connect("applovin")
    began = time.monotonic()
    with pytest.raises(AirflowSensorTimeout):
        sensor_of("applovin", poke_interval=60).execute(task_context())
    assert TIMEOUT_SECONDS <= time.monotonic() - began < LATE_SECONDS
    assert len(emulator.requests("applovin.list")) == 2


@pytest.fixture
def half_dead(recorder: Recorder, connect: Connect) -> Any:
    """A platform that says nothing about the group ``slow``, and answers for all others at once."""
    release = threading.Event()

    def reply(_method: Any, target: Any) -> tuple[int, dict[str, Any], bytes]:
        if "slow" in target:
            release.wait(30)
        return 200, {}, json.dumps(GROUP).encode()

    recorder.reply = reply
    connect("pai", host=recorder.url)
    yield recorder
    release.set()


@pytest.mark.parametrize("slow_ones", [MAX_QUICK, 3 * MAX_QUICK])
def test_slow_polls_hold_up_nobody_else_at_the_connection(half_dead: Any, slow_ones: Any) -> None:
    async def together() -> tuple[Any, float]:
        slow = [asyncio.create_task(payload_of(trigger_of("pai", seconds=20))) for _ in range(slow_ones)]
        while len(half_dead.requests) < MAX_QUICK:  # noqa: ASYNC110 - it answers in threads
            await asyncio.sleep(0.01)
        began = time.monotonic()
        quick = await payload_of(trigger_of("pai", seconds=20, group_id="quick"))
        seconds = time.monotonic() - began
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return quick["state"], seconds

    state, seconds = asyncio.run(together())
    assert state == "ready"
    assert seconds < 6


def test_who_was_slow_stands_in_another_line(half_dead: Any, connect: Connect) -> None:
    connect("pai", host=half_dead.url, extra={"request_deadline_seconds": 1.3})
    slow_ones = MAX_QUICK + MAX_SLOW + 4

    async def together() -> list[Any]:
        arguments: dict[str, Any] = {"seconds": 20, "max_poll_failures": 9}
        slow = [asyncio.create_task(payload_of(trigger_of("pai", **arguments))) for _ in range(slow_ones)]
        await asyncio.sleep(4)
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert (await payload_of(trigger_of("pai", seconds=20, group_id="quick")))["state"] == "ready"
            took.append(time.monotonic() - began)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return took

    # Neither for the time that a slow one takes, nor longer.
    assert min(asyncio.run(together())) < 1


def test_threads_are_bounded_and_come_back(half_dead: Any) -> None:
    most = MAX_QUICK + MAX_SLOW + 4

    before = set(threading.enumerate())

    def ours() -> Any:
        return sum(thread.name.startswith("audiences") and thread not in before for thread in threading.enumerate())

    async def many() -> tuple[list[Any], Any]:
        waiting = [asyncio.create_task(payload_of(trigger_of("pai", seconds=3))) for _ in range(3 * most)]
        seen = 0
        while not all(task.done() for task in waiting):
            seen = max(seen, ours())
            await asyncio.sleep(0.05)
        return [task.result()["state"] for task in waiting], seen

    with mock.patch("airflow_provider_audiences.triggers.lanes.MAX_TAKEN_OUT", 4):
        states, seen = asyncio.run(many())
    assert set(states) == {"timeout"}
    assert MAX_QUICK <= seen <= MAX_QUICK + MAX_SLOW + MAX_TAKEN_OUT
    for _ in range(100):
        if not ours():
            break
        time.sleep(0.05)
    assert not ours()


def test_a_dead_server_holds_up_nobody_at_another(
    half_dead: Any, connect: Connect, emulator: AudiencesEmulator, make_groups: Callable[..., list[str]]
) -> None:
    async def together() -> tuple[Any, float]:
        connect("pai", conn_id="dead", host=half_dead.url)
        connect("pai")
        arguments: dict[str, Any] = {"seconds": 20, "conn_id": "dead_default"}
        slow = [asyncio.create_task(payload_of(trigger_of("pai", **arguments))) for _ in range(200)]
        await asyncio.sleep(0.3)
        began = time.monotonic()
        ready = await payload_of(trigger_of("pai", seconds=20, group_id=group_id))
        seconds = time.monotonic() - began
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return ready["state"], seconds

    (group_id,) = make_groups(1)
    emulator.advance(5)
    state, seconds = asyncio.run(together())
    assert state == "ready"
    assert seconds < 2
