"""A poll's requests, answered one after the other in this thread."""

from collections.abc import Generator

import pytest

from airflow_provider_audiences.exceptions import ServerError
from airflow_provider_audiences.waiting.polls import Request, answered


def test_each_answer_comes_before_the_next_request() -> None:
    def requests() -> Generator[Request, int, list[int]]:
        first = yield Request(send=lambda: 1)
        second = yield Request(send=lambda: first + 1)
        return [first, second]

    assert answered(requests()) == [1, 2]


def test_no_request_is_a_result_too() -> None:
    def requests() -> Generator[Request, int, str]:
        yield from ()
        return "nothing to ask"

    assert answered(requests()) == "nothing to ask"


def test_the_first_error_ends_it() -> None:
    sent = []

    def down() -> int:
        sent.append(1)
        raise ServerError("down")

    def requests() -> Generator[Request, int, int]:
        yield Request(send=down)
        return (yield Request(send=down))

    with pytest.raises(ServerError):
        answered(requests())
    assert sent == [1]
