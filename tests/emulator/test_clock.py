"""The emulator's clock: it stands, jumps and runs as it is told, and the limit of calls follows real time."""

import time

import pytest

from airflow_provider_audiences.emulator.clock import Clock, SlidingWindow
from airflow_provider_audiences.emulator.settings import LATEST_SECONDS


def test_a_frozen_clock_stands_and_can_be_moved() -> None:
    clock = Clock()
    clock.change(set_to=1000, freeze=True)
    assert (clock.now(), clock.now()) == (1000, 1000)
    clock.change(advance_seconds=5.5)
    assert clock.now() == 1005.5
    clock.change(set_to=10, advance_seconds=-3)
    assert (clock.now(), clock.describe()["frozen"]) == (7, True)


def test_a_clock_that_runs_again_goes_on_from_where_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    real = [5000.0]
    monkeypatch.setattr(time, "time", lambda: real[0])
    clock = Clock()
    clock.change(freeze=True)
    real[0] += 100
    clock.change(freeze=False)
    assert clock.now() == 5000
    real[0] += 1
    assert clock.describe() == {"now": 5001, "frozen": False, "offset_seconds": -100}


def test_a_time_that_no_date_has_changes_nothing() -> None:
    clock = Clock()
    clock.change(set_to=LATEST_SECONDS, freeze=True)
    with pytest.raises(ValueError, match="no further"):
        clock.change(advance_seconds=1, freeze=False)
    assert (clock.now(), clock.describe()["frozen"]) == (LATEST_SECONDS, True)


def test_a_second_admits_so_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    window = SlidingWindow()
    assert [window.admit(2) for _ in range(4)] == [True, True, False, False]
    moment[0] += 0.99
    assert not window.admit(2)
    assert window.admit(3), "the limit may change"
    moment[0] += 0.01
    assert [window.admit(3) for _ in range(3)] == [True, True, False], "refused calls don't count"
    assert all(window.admit(None) for _ in range(99))
