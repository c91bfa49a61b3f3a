"""Calls that take no time limit: each returns, raises, or is left behind, in threads of a bounded number."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_audiences.http import timed_calls
from airflow_provider_audiences.http.timed_calls import TooManyCallsError, call_with_timeout


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_calls, "_free", threading.BoundedSemaphore(1))


def test_returns_and_raises() -> None:
    for _ in range(3):
        assert call_with_timeout(lambda: 7, name="n", seconds=5) == 7
        with pytest.raises(KeyError, match="x"):
            call_with_timeout(lambda: dict[str, Any]()["x"], name="n", seconds=5)


def test_gives_its_thread_back() -> None:
    hangs = threading.Event()
    with pytest.raises(TimeoutError):
        call_with_timeout(hangs.wait, name="hangs", seconds=0.05)
    with pytest.raises(TooManyCallsError):
        call_with_timeout(lambda: 7, name="n", seconds=5)
    with pytest.raises(TimeoutError):
        call_with_timeout(lambda: pytest.fail("there is one under way"), name="hangs", seconds=0.05)
    hangs.set()
    time.sleep(0.5)
    assert call_with_timeout(lambda: 7, name="n", seconds=5) == 7


def test_all_who_ask_for_the_same_have_one_answer() -> None:
    go_on, called = threading.Event(), []

    def step() -> int:
        called.append(1)
        go_on.wait(5)
        raise OSError(7, "gone")

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(call_with_timeout, step, name="n", seconds=5) for _ in range(8)]
        time.sleep(0.2)
        go_on.set()
    errors = [future.exception() for future in asked]
    assert [str(error) for error in errors] == ["[Errno 7] gone"] * 8
    assert len(set(map(id, errors))) == 8
    assert len(called) == 1


def test_one_that_is_lost_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_calls, "_free", threading.BoundedSemaphore(2))
    monkeypatch.setattr(timed_calls, "_YOUNG_SECONDS", 0.05)
    hangs = threading.Event()
    with pytest.raises(TimeoutError):
        call_with_timeout(hangs.wait, name="n", seconds=0.1)
    assert call_with_timeout(lambda: 7, name="n", seconds=5) == 7
    hangs.set()
