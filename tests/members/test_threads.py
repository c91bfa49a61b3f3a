"""Work on several threads: results in order, few of them ahead, and errors where their results would be."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_audiences.members.threads import THREADS, in_turn


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as executor:
        yield executor


def test_results_come_in_the_order_of_the_arguments(threads: ThreadPoolExecutor) -> None:
    second_has_run = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second_has_run.wait(60)
        else:
            second_has_run.set()
        return -number

    assert list(in_turn(threads, work, range(50))) == [-number for number in range(50)]


def test_only_some_arguments_are_taken_ahead(threads: ThreadPoolExecutor) -> None:
    taken: list[int] = []

    def arguments() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_turn(threads, lambda number: number, arguments())
    assert taken == []
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) == 2 * THREADS + 3


def test_an_error_is_raised_in_the_place_of_its_result(threads: ThreadPoolExecutor) -> None:
    def work(number: int) -> float:
        return 1 / (number - 2)

    results = in_turn(threads, work, range(5))
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
