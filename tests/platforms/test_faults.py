"""Every operation under every fault: requests, waits, result or error, state, duplicates."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from support import fault_table as table

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    ServerError,
    TransientError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.platforms.pai.client import CreatedGroup

FAULTS: dict[str, Any] = table.FAULTS
OPERATIONS: tuple[str, ...] = tuple(table.OPERATIONS)
CREATES = ("applovin.create", "pai.create", "openapi.create")
PAI_CREATES = ("pai.create", "openapi.create")

# Repeated once, after these seconds.
REPEATED: dict[str, tuple[float, float]] = {
    "500": (1, 1),
    "500, though applied": (1, 1),
    "502 with a web page": (1, 1),
    "503, Retry-After: 7": (7, 7),
    "503, Retry-After: a date": (10, 20),
    "429": (1, 1),
    "429, Retry-After: 3": (3, 3),
    "408": (1, 1),
    "dropped before": (1, 1),
    "dropped after": (1, 1),
    "500, applied in the wait": (1, 1),
    "dropped, applied in the wait": (1, 1),
    "dropped, applied at the end": (1, 1),
    "slow": (1, 1),
    "half a body": (1, 1),
    "half a body, then dropped": (1, 1),
    "200 with code 500": (1, 1),
}
# The first request was carried out before the second one went out.
APPLIED = {
    "500, though applied",
    "dropped after",
    "500, applied in the wait",
    "dropped, applied in the wait",
    "slow",
    "half a body",
    "half a body, then dropped",
}
NOT_APPLIED_FOR_SURE = {"429", "429, Retry-After: 3"}
REFUSED: dict[str, tuple[type[AudienceError], int]] = {
    "200 with a web page": (UnexpectedReplyError, 200),
    "302": (UnexpectedReplyError, 302),
    "200 with code 400": (BadRequestError, 200),
    "400": (BadRequestError, 400),
    "401": (AuthenticationError, 401),
    "403": (AuthenticationError, 403),
    "404": (NotFoundError, 404),
}
GATEWAY_CODES = {
    "400": "InvalidParameter",
    "401": "UnknownError",
    "403": "Forbidden.RAM",
    "404": "InvalidAction.NotFound",
}
SILENT = {"wrong counts"}


def test_every_fault_has_an_expectation() -> None:
    assert set(FAULTS) == set(REPEATED) | set(REFUSED) | SILENT
    assert set(REPEATED) >= APPLIED | NOT_APPLIED_FOR_SURE


def is_pai(operation: str) -> bool:
    return operation.startswith(("pai.", "openapi."))


def name_of(operation: str) -> str:
    """What the client calls it."""
    return operation.replace("openapi.", "pai.")


def _cells(faults: Iterable[str]) -> list[tuple[str, str]]:
    """All pairs of operation and fault, but PAI's 408: of 4xx its document lets 429 only be repeated."""
    pairs = [(operation, fault) for fault in faults for operation in OPERATIONS]
    return [(operation, fault) for operation, fault in pairs if not (fault == "408" and is_pai(operation))]


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if is_pai(operation)])
def test_408_of_pai_is_not_repeated(emulator_server: AudiencesEmulator, operation: str) -> None:
    outcome = table.run(emulator_server, operation, FAULTS["408"])

    assert type(outcome.error) is BadRequestError
    assert (outcome.requests, outcome.error.http_status, outcome.duplicates) == (1, 408, 0)


def check_that_it_is_the_one_that_exists(emulator: AudiencesEmulator, outcome: table.Outcome) -> None:
    """What a create returns whose first request was carried out, and its reply lost."""
    made = outcome.result
    assert not made.adopted
    if isinstance(made, CreatedGroup):
        assert made.group.id == emulator.groups()[0]["Id"]
        assert made.group.remark == ""
    else:
        assert made.audience_id == emulator.audiences()[0]["audience_id"]


@pytest.mark.parametrize(("operation", "fault"), _cells(REPEATED))
def test_transient_fault_is_repeated(emulator_server: AudiencesEmulator, operation: str, fault: str) -> None:
    outcome = table.run(emulator_server, operation, FAULTS[fault])

    assert outcome.error is None
    assert outcome.state == table.OPERATIONS[operation].done
    # The limit of looking first: a request that sleeps in the network until after the look.
    is_out_of_sight = operation in PAI_CREATES and FAULTS[fault].late == "after"
    assert outcome.duplicates == (1 if is_out_of_sight else 0)
    if operation in CREATES and fault in APPLIED:
        check_that_it_is_the_one_that_exists(emulator_server, outcome)
    if operation == "applovin.delete" and fault.startswith("half a body"):
        # Its reply has no body of which half could be lost.
        assert (outcome.requests, outcome.waits) == (1, [])
        return
    least, most = REPEATED[fault]
    assert len(outcome.waits) == 1
    assert least <= outcome.waits[0] <= most
    expected = (2, 0)
    if operation in PAI_CREATES:
        expected = (1, 1) if fault in APPLIED else (2, 0 if fault in NOT_APPLIED_FOR_SURE else 1)
    elif operation == "applovin.create" and fault in APPLIED:
        expected = (2, 1)  # the second create is refused, and the list tells which audience it is
    assert (outcome.requests, outcome.looks) == expected


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", REFUSED)
def test_refusal_is_not_repeated(emulator_server: AudiencesEmulator, operation: str, fault: str) -> None:
    outcome = table.run(emulator_server, operation, FAULTS[fault])

    error_type, http_status = REFUSED[fault]
    error = outcome.error
    assert type(error) is error_type
    assert isinstance(error, PermanentError)
    assert (outcome.requests, outcome.looks, outcome.waits, outcome.duplicates) == (1, 0, [], 0)
    assert outcome.state != table.OPERATIONS[operation].done or outcome.state == "read"
    assert (error.operation, error.http_status, error.attempts) == (name_of(operation), http_status, 1)
    assert not error.maybe_applied
    assert error.retry_after_seconds is None
    assert error.advice
    says_a_code = fault not in {"200 with a web page", "302"}
    code: int | str = http_status if http_status != 200 else 400
    if operation.startswith("openapi.") and http_status != 200:
        code = GATEWAY_CODES[fault] if says_a_code else code
    assert error.api_code == (code if says_a_code else None)
    # Only PAI's replies have an id, and only when they are PAI's.
    assert bool(error.request_id) == (is_pai(operation) and says_a_code)
    assert str(error).startswith(f"{name_of(operation)}: ")
    assert "attempts 1" in str(error)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_counts_are_taken_with_a_warning(
    emulator_server: AudiencesEmulator, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = table.run(emulator_server, operation, FAULTS["wrong counts"])

    assert outcome.error is None
    assert (outcome.waits, outcome.duplicates) == ([], 0)
    assert outcome.state == table.OPERATIONS[operation].done
    # One more group than there is makes the client ask for one more page, and as its total is another, for all again.
    assert outcome.requests == (2 + 1 if name_of(operation) == "pai.list" else 1)
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider")]
    if operation == "applovin.list":
        assert warnings == ["AppLovin's list says 2 audiences and shows 1: treat it as incomplete."]
        assert len(outcome.result) == 1
    elif name_of(operation) == "pai.list":
        # The second page's total is right.
        assert warnings == []
        assert len(outcome.result) == 1
    elif operation in {"applovin.update", "applovin.append"}:
        assert outcome.result.valid == len(table.NEW) - 1
    else:
        assert warnings == []


# Error type, status, whether it may have been applied, seconds asked for.
PERSISTENT: dict[str, tuple[type[AudienceError], int | None, bool]] = {
    "500": (ServerError, 500, True),
    "503, Retry-After: 7": (ServerError, 503, True),
    "429": (RateLimitedError, 429, False),
    "429, Retry-After: 3": (RateLimitedError, 429, False),
    "408": (ServerError, 408, True),
    "dropped before": (ConnectionFailedError, None, True),
    "dropped after": (ConnectionFailedError, None, True),
    "half a body": (ConnectionFailedError, 200, True),
    "200 with code 500": (ServerError, 200, True),
}
# What the client finds out although every reply is spoilt: requests and looks.
SURVIVED = {
    ("pai.create", "dropped after"): (1, 1),
    ("pai.create", "half a body"): (1, 1),
    ("applovin.create", "half a body"): (2, 1),  # the status of the second reply, 406, arrives whole
    ("applovin.delete", "half a body"): (1, 0),
}
# Who says that it is too much, and not until when, is asked once more only.
WAITS = {"503, Retry-After: 7": [7.0, 7.0, 7.0], "429, Retry-After: 3": [3.0, 3.0, 4.0], "429": [1.0]}


@pytest.mark.parametrize(("operation", "fault"), _cells(PERSISTENT))
def test_persistent_fault_uses_the_retries_up(emulator_server: AudiencesEmulator, operation: str, fault: str) -> None:
    outcome = table.run(emulator_server, operation, FAULTS[fault], times=None)

    if (name_of(operation), fault) in SURVIVED:
        assert outcome.error is None
        assert (outcome.requests, outcome.looks) == SURVIVED[name_of(operation), fault]
        assert (outcome.state, outcome.duplicates) == (table.OPERATIONS[operation].done, 0)
        return
    if (name_of(operation), fault) == ("pai.delete", "half a body"):
        # A 404 whose body is cut off does not say that it is the group that is missing.
        assert (type(outcome.error), outcome.requests, outcome.state) == (NotFoundError, 2, "deleted")
        return
    error_type, http_status, maybe_applied = PERSISTENT[fault]
    error = outcome.error
    assert type(error) is error_type
    assert isinstance(error, TransientError)
    assert outcome.waits == WAITS.get(fault, [1.0, 2.0, 4.0])
    requests = 1 + len(outcome.waits)
    assert outcome.requests == requests
    # Before each repetition and before giving up.
    assert outcome.looks == (4 if operation in PAI_CREATES and maybe_applied else 0)
    assert (error.operation, error.attempts) == (name_of(operation), requests)
    assert error.http_status == http_status
    assert error.maybe_applied is maybe_applied
    assert error.retry_after_seconds == (WAITS[fault][0] if "Retry-After" in fault else None)
    assert outcome.duplicates == 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("max_retries", [0, 1, 5])
def test_retry_count_is_a_setting(emulator_server: AudiencesEmulator, operation: str, max_retries: int) -> None:
    outcome = table.run(emulator_server, operation, FAULTS["dropped before"], times=None, max_retries=max_retries)

    assert outcome.requests == max_retries + 1
    assert outcome.error
    assert outcome.error.attempts == max_retries + 1
    assert outcome.waits == [2.0**n for n in range(max_retries)]


def test_the_printed_table_comes_from_the_same_runs() -> None:
    head, _, first, second = itertools.islice(table.table(), 4)

    assert head.startswith("| fault | applovin.create |")
    assert first.startswith("| 500 | ok, 2 req, made |")
    assert first.count("ok, 2 req") == len(OPERATIONS)
    assert "ok, 1 req + 1 look, made" in second
