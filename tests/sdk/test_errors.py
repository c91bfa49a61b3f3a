"""
Each call and each kind of error, as the SDK shows it in both of its forms, and what the emulator bills for it.

``pytest tests/sdk/test_errors.py -k printed -s`` prints the table.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support.sdk import Sdk, outcome_of

from airflow_provider_audiences.emulator import AudiencesEmulator

TEXT = {"name": "VIP", "source": 0, "text": "13900001111", "phone_number": True}
Prepare = Callable[[Any], Any]
Call = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """
    :param expected: what the SDK makes of it
    :param call: makes the call
    :param prepare: changes the emulator before it
    :param billed: calls on the bill after it
    :param kept: groups that are there after it
    :param config: what the SDK is told wrong
    :param sts: whether the pair is a temporary one
    """

    expected: str
    call: Call
    prepare: Prepare = lambda _: None
    billed: int = 0
    kept: int = 0
    config: tuple[tuple[str, Any], ...] = ()
    sts: bool = False


def create(sdk: Sdk) -> Any:
    return sdk.create(**TEXT)


def listing(sdk: Sdk) -> Any:
    return sdk.list()


def until_refused(sdk: Sdk) -> Any:
    """Lists until the rate is used up, however slow the machine is."""
    bodies = [sdk.list() for _ in range(200)]
    return bodies[-1]


def existing(call: Any) -> Callable[..., Any]:
    def on_a_group(sdk: Sdk) -> Any:
        return getattr(sdk, call)(create(sdk)["Data"]["Id"])

    return on_a_group


def fault(operation: str, kind: str, **options: Any) -> Callable[..., Any]:
    return lambda emulator: emulator.fault(operation, kind, **options)


ROWS = {
    "create": Row(expected="ok", call=create, billed=1, kept=1),
    "create and get": Row(expected="ok", call=existing("get"), billed=2, kept=1),
    "create and delete": Row(expected="ok", call=existing("delete"), billed=2),
    "list": Row(expected="ok", call=listing),
    "list, STS token": Row(expected="ok", call=listing, sts=True),
    # The service refuses, in its envelope: the SDK looks for Code and Message, and finds neither.
    "create, bad parameter": Row(expected="ClientException 400", call=lambda sdk: sdk.create(source=9), billed=1),
    "create, unknown table": Row(
        expected="ClientException 404", call=lambda sdk: sdk.create(source=3, project="p", table="t"), billed=1
    ),
    "create, no authorization": Row(
        expected="ClientException 403",
        call=lambda sdk: sdk.create(source=3, project="p", table="t"),
        prepare=lambda emulator: emulator.settings(forbidden_projects=["p"]),
        billed=1,
    ),
    "get, unknown id": Row(expected="ClientException 404", call=lambda sdk: sdk.get("unknown")),
    "delete, unknown id": Row(expected="ClientException 404", call=lambda sdk: sdk.delete("unknown"), billed=1),
    "list, bad page": Row(expected="ClientException 400", call=lambda sdk: sdk.list(page_number=0)),
    "create, 500 of the service": Row(
        expected="ServerException 500", call=create, prepare=fault("pai.create", "status", form="service"), billed=1
    ),
    "create, ErrorCode 500 under 200": Row(
        expected="no exception, ErrorCode 500", call=create, prepare=fault("pai.create", "error_code"), billed=1
    ),
    # The gateway refuses, in its own form, before the service knows.
    "list, wrong secret": Row(
        expected="ClientException 400 SignatureDoesNotMatch", call=listing, config=(("access_key_secret", "x"),)
    ),
    "list, unknown AccessKey id": Row(
        expected="ClientException 404 InvalidAccessKeyId.NotFound", call=listing, config=(("access_key_id", "x"),)
    ),
    "list, STS token of nobody": Row(
        expected="ClientException 400 InvalidSecurityToken.Malformed", call=listing, config=(("security_token", "x"),)
    ),
    "list, wrong STS token": Row(
        expected="ClientException 400 InvalidSecurityToken.Malformed",
        call=listing,
        config=(("security_token", "x"),),
        sts=True,
    ),
    "list, no STS token": Row(
        expected="ClientException 400 MissingSecurityToken",
        call=listing,
        config=(("security_token", None),),
        sts=True,
    ),
    "list, expired STS token": Row(
        expected="ClientException 400 InvalidSecurityToken.Expired",
        call=listing,
        prepare=fault("pai.list", "status", status=400, code="InvalidSecurityToken.Expired"),
        sts=True,
    ),
    "list, too many in a second": Row(
        expected="ClientException 400 Throttling.User",
        call=until_refused,
        prepare=lambda emulator: emulator.settings(qps=1),
    ),
    "create, 429": Row(
        expected="ClientException 429 Throttling.User",
        call=create,
        prepare=fault("pai.create", "status", status=429),
    ),
    "create, 503": Row(
        expected="ServerException 503 ServiceUnavailable",
        call=create,
        prepare=fault("pai.create", "status", status=503),
    ),
    "create, 503, though applied": Row(
        expected="ServerException 503 ServiceUnavailable",
        call=create,
        prepare=fault("pai.create", "status", status=503, applied=True),
        billed=1,
        kept=1,
    ),
    # No reply, or none that can be read.
    "create, dropped before": Row(
        expected="UnretryableException", call=create, prepare=fault("pai.create", "drop_before")
    ),
    "create, dropped after": Row(
        expected="UnretryableException",
        call=create,
        prepare=fault("pai.create", "drop_after"),
        billed=1,
        kept=1,
    ),
    "create, half a body": Row(
        expected="UnretryableException",
        call=create,
        prepare=fault("pai.create", "truncated_json"),
        billed=1,
        kept=1,
    ),
    "list, a web page": Row(expected="UnretryableException", call=listing, prepare=fault("pai.list", "html")),
}


@pytest.fixture
def run(audiences_emulator: AudiencesEmulator, sts_emulator: AudiencesEmulator) -> Callable[..., tuple[Any, Any, int]]:
    """Runs one row: what the SDK shows, calls billed, groups kept."""

    def run_row(row: Any, *, asynchronous: bool) -> tuple[Any, Any, int]:
        emulator = sts_emulator if row.sts else audiences_emulator
        emulator.reset()
        row.prepare(emulator)
        sdk = Sdk(emulator, asynchronous=asynchronous, **dict(row.config))
        shown = outcome_of(lambda: row.call(sdk))
        return shown, emulator.billing()["total"]["billed"], len(emulator.groups())

    return run_row


@pytest.mark.parametrize("name", ROWS)
def test_each_call_and_error(run: Callable[..., tuple[Any, Any, int]], name: str, asynchronous: bool) -> None:
    row = ROWS[name]
    assert run(row, asynchronous=asynchronous) == (row.expected, row.billed, row.kept)


def test_the_printed_table_comes_from_the_same_runs(run: Callable[..., tuple[Any, Any, int]]) -> None:
    lines = ["| call | SDK | SDK, async | billed | groups |", "| --- | --- | --- | --- | --- |"]
    for name, row in ROWS.items():
        shown, billed, kept = run(row, asynchronous=False)
        shown_async, *same = run(row, asynchronous=True)
        assert same == [billed, kept]
        lines.append(f"| {name} | {shown} | {shown_async} | {billed} | {kept} |")
    sys.stdout.write("\n".join(["", *lines, ""]))
    assert lines[2] == "| create | ok | ok | 1 | 1 |"
    assert len(lines) == 2 + len(ROWS)


def test_the_sdk_shows_the_message_of_the_gateway(audiences_emulator: AudiencesEmulator) -> None:
    from alibabacloud_tea_openapi.exceptions import ClientException

    sdk = Sdk(audiences_emulator, asynchronous=False, access_key_secret="wrong")
    with pytest.raises(ClientException) as failure:
        sdk.list()
    shown = str(failure.value)
    assert "server StringToSign is [ACS3-HMAC-SHA256" in shown
    assert failure.value.data["HostId"] == audiences_emulator.url.removeprefix("http://")
    assert failure.value.request_id == failure.value.data["RequestId"]
    assert audiences_emulator.access_key_secret not in shown
