"""What counts as billable: by the platform's table, and where nobody knows whether a request was carried out."""

from collections.abc import Callable

import pytest

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.platforms.pai.billing import CREATE, DELETE, GET, BillableCalls

LOST = exceptions.ConnectionFailedError("no reply", maybe_applied=True)
NEVER_LEFT = exceptions.ConnectionFailedError("no connection")
REFUSED = exceptions.RateLimitedError("slow down", http_status=429)
DOWN = exceptions.ServerError("down", http_status=503, maybe_applied=True)
ODD = exceptions.UnexpectedReplyError("a page", http_status=200, maybe_applied=True)
TABLE: list[tuple[BaseException | None, bool, bool]] = [
    (None, True, True),
    (LOST, True, True),
    (NEVER_LEFT, False, False),
    (REFUSED, True, False),
    (DOWN, True, False),
    (ODD, True, True),
    (KeyboardInterrupt(), True, True),
]


def _raising(error: BaseException | None) -> Callable[[], str]:
    def send() -> str:
        if error is not None:
            raise error
        return "answer"

    return send


@pytest.mark.parametrize(("error", "create", "get"), TABLE)
def test_both_ways_of_counting_keep_to_one_rule(error: BaseException | None, create: bool, get: bool) -> None:
    for operation, is_billed in ((CREATE, create), (DELETE, create), (GET, get)):
        recorded, counted = BillableCalls(CREATE, GET, DELETE), BillableCalls(operation)
        recorded.record(operation, error)
        if error is None:
            assert counted.counted(operation, _raising(None)) == "answer"
        else:
            with pytest.raises(type(error)):
                counted.counted(operation, _raising(error))
        call = operation.removeprefix("pai.")
        assert recorded.counts() == {"create": 0, "get": 0, "delete": 0} | {call: int(is_billed)}
        assert counted.counts() == {call: int(is_billed)}


def test_a_request_counts_while_it_is_under_way() -> None:
    calls = BillableCalls(GET)
    assert calls.counted(GET, calls.counts) == {"get": 1}


def test_what_costs_nothing_is_not_counted() -> None:
    calls = BillableCalls(GET)
    calls.record("pai.list", None)
    assert calls.counts() == {"get": 0}
