"""Thousands may wait in one triggerer: what they share, and whom they must not keep waiting."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.fixtures import Connect

from airflow_provider_audiences.emulator.testing import PAI_PATH, AudiencesEmulator
from airflow_provider_audiences.hooks.pai import PaiHook
from airflow_provider_audiences.http.transport import Transport
from airflow_provider_audiences.triggers import lanes, shared_clients
from airflow_provider_audiences.triggers.lanes import MAX_QUICK
from airflow_provider_audiences.triggers.pai import PaiGroupTrigger


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """The transports that were opened, and those that were closed, in the order of it."""
    opened, closed = [], []
    begin, close = Transport.__init__, Transport.close

    def init(self: Transport, **arguments: Any) -> None:
        begin(self, **arguments)
        opened.append(self)

    monkeypatch.setattr(Transport, "__init__", init)
    monkeypatch.setattr(Transport, "close", lambda self: (closed.append(self), close(self))[1])  # type: ignore[func-returns-value]  # both, in one lambda
    return opened, closed


def trigger(group_id: Any, **arguments: Any) -> PaiGroupTrigger:
    defaults = {"poll_interval_seconds": 0.01, "deadline_epoch_seconds": time.time() + 30, "max_poll_failures": 5}
    return PaiGroupTrigger(**({"conn_id": "pai_default", "group_id": group_id} | defaults | arguments))


async def state_of(waiter: Any) -> Any:
    (event,) = [event async for event in waiter.run()]
    return event.payload["state"]


async def _requests(emulator: AudiencesEmulator, count: int) -> None:
    while len(emulator.requests("pai.get")) < count:  # noqa: ASYNC110 - another process of the mind: the emulator
        await asyncio.sleep(0.01)


async def _cancel(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_many_share_one_client_that_is_closed_after_the_last(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, opened: tuple[list[Any], list[Any]]
) -> None:
    ids = make_groups(3)
    emulator.freeze()
    began, closed = (list(things) for things in opened)

    async def together() -> list[Any]:
        waiting = [asyncio.create_task(state_of(trigger(group_id))) for group_id in ids * 10]
        await _requests(emulator, 40)
        assert len(opened[0]) == len(began) + 1
        emulator.advance(5)
        states = await asyncio.gather(*waiting)
        # Who comes later opens it anew.
        return [*states, await state_of(trigger(ids[0]))]

    assert asyncio.run(together()) == ["ready"] * 31
    assert len(opened[0]) == len(began) + 2
    assert opened[1][len(closed) :] == opened[0][len(began) :]


def test_it_stays_open_for_those_who_are_left(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, opened: tuple[list[Any], list[Any]]
) -> None:
    ids = make_groups(2)
    emulator.freeze()
    closed = len(opened[1])

    async def one_leaves() -> Any:
        leaving, staying = (asyncio.create_task(state_of(trigger(group_id))) for group_id in ids)
        await _requests(emulator, 4)
        await _cancel([leaving])
        assert len(opened[1]) == closed
        emulator.advance(5)
        return await staying

    assert asyncio.run(one_leaves()) == "ready"
    assert len(opened[1]) == closed + 1


def test_the_first_who_leaves_while_it_is_opened_takes_nothing_away(
    make_groups: Callable[..., list[str]],
    emulator: AudiencesEmulator,
    opened: tuple[list[Any], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group_id = make_groups(1)[0]
    emulator.advance(5)
    began, closed = len(opened[0]), len(opened[1])
    go_on, begin = threading.Event(), Transport.__init__
    monkeypatch.setattr(Transport, "__init__", lambda self, **arguments: (go_on.wait(20), begin(self, **arguments))[1])

    async def leave_at_once() -> Any:
        leaving = asyncio.create_task(state_of(trigger(group_id)))
        staying = asyncio.create_task(state_of(trigger(group_id)))
        clients = shared_clients._shared.setdefault(asyncio.get_running_loop(), {})
        while [shared.users for shared in clients.values()] != [2]:  # noqa: ASYNC110 - it is opened in a thread
            await asyncio.sleep(0.01)
        await _cancel([leaving])
        go_on.set()
        return await staying

    assert asyncio.run(leave_at_once()) == "ready"
    assert len(opened[1]) - closed == len(opened[0]) - began == 1


def test_another_connection_is_another_client(
    make_groups: Callable[..., list[str]],
    emulator: AudiencesEmulator,
    connect: Connect,
    opened: tuple[list[Any], list[Any]],
) -> None:
    group_id = make_groups(1)[0]
    emulator.freeze()
    connect("pai", conn_id="other")
    began = len(opened[0])

    async def both() -> Any:
        waiting = [
            asyncio.create_task(state_of(trigger(group_id, conn_id=conn_id)))
            for conn_id in ("pai_default", "other_default")
        ]
        await _requests(emulator, 4)
        # The same connection, changed: for those who come from now on.
        connect("pai", extra={"read_timeout_seconds": 7})
        waiting.append(asyncio.create_task(state_of(trigger(group_id))))
        await _requests(emulator, 8)
        emulator.advance(5)
        return await asyncio.gather(*waiting)

    assert asyncio.run(both()) == ["ready"] * 3
    timeouts = [transport.settings.read_timeout_seconds for transport in opened[0][began:]]
    assert sorted(timeouts) == [7, 60, 60]


def test_a_connection_that_is_wrong_fails_all_who_wait_and_nobody_after_it_is_mended(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, connect: Connect
) -> None:
    group_id = make_groups(1)[0]
    emulator.advance(5)

    async def wrong_then_right() -> tuple[Any, Any]:
        connect("pai", password="$KEY")
        wrong = await asyncio.gather(*(state_of(trigger(group_id)) for _ in range(5)))
        connect("pai")
        return wrong, await state_of(trigger(group_id))

    assert asyncio.run(wrong_then_right()) == (["failed"] * 5, "ready")


def test_a_key_that_was_renewed_meanwhile_is_taken(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, connect: Connect
) -> None:
    """A token in a connection may live for an hour, and a wait longer."""
    group_id = make_groups(1)[0]
    emulator.advance(5)
    connect("pai", password="old")
    emulator.latency("pai.get", 0.2)

    async def renew() -> Any:
        waiting = asyncio.create_task(state_of(trigger(group_id)))
        await _requests(emulator, 1)
        connect("pai")
        return await waiting

    assert asyncio.run(renew()) == "ready"
    assert [request["status"] for request in emulator.requests("pai.get")] == [403, 200]


def test_a_key_that_stays_wrong_fails(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, connect: Connect
) -> None:
    connect("pai", password="old")
    assert asyncio.run(state_of(trigger(make_groups(1)[0]))) == "failed"
    assert len(emulator.requests("pai.get")) == 1


def test_who_waits_for_a_turn_takes_one_and_no_thread(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, connect: Connect
) -> None:
    """At one request in a thousand seconds, the second of two has to wait: in the loop."""
    group_id = make_groups(1)[0]
    emulator.advance(5)
    # By another name the emulator is another account: those of other tests don't stand in this line.
    host = emulator.url.replace("127.0.0.1", "localhost") + PAI_PATH
    connect("pai", host=host, extra={"max_requests_per_second": 0.001})

    async def two() -> tuple[list[Any], list[Any]]:
        waiting = [asyncio.create_task(state_of(trigger(group_id))) for _ in range(2)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        busy = [thread.name for thread in threading.enumerate() if thread.name.startswith("audiences")]
        await _cancel(waiting)
        return [task.result() for task in done], busy

    connection = PaiHook("pai_default").get_connection("pai_default")
    with PaiHook.client_of(connection) as client:
        states, threads = asyncio.run(two())
        assert states == ["ready"]
        assert len(emulator.requests("pai.get")) == 1
        # Two turns were taken, one for each: the third comes after them, and not after a fourth.
        assert 1000 < client.limiter.reserve() <= 2000
    assert len(threads) <= MAX_QUICK


def test_a_platform_that_hangs_does_not_keep_the_threads_of_other_triggers(
    make_groups: Callable[..., list[str]], emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that no request leaves the quick lane while the others are being started, however busy the machine is.
    monkeypatch.setattr(lanes, "SLOW_SECONDS", 45.0)
    group_id = make_groups(1)[0]
    emulator.latency("pai.get", 50)

    async def others_go_on() -> tuple[Any, int]:
        waiting = [asyncio.create_task(state_of(trigger(group_id))) for _ in range(3 * MAX_QUICK)]
        await _requests(emulator, MAX_QUICK)
        answers = await asyncio.gather(*(asyncio.to_thread(str, number) for number in range(100)))
        assert not any(task.done() for task in waiting)
        in_flight = len(emulator.requests("pai.get"))
        await _cancel(waiting)
        return answers, in_flight

    answers, in_flight = asyncio.run(others_go_on())
    emulator.reset()
    assert answers == [str(number) for number in range(100)]
    assert in_flight == MAX_QUICK
