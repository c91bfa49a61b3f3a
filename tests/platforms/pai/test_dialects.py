"""The dialect with signatures: its routes, its gateway's refusals, its idea of ready, and its part of the bill."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
)
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ChangingKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.dialects import BEARER, OPENAPI
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.platforms.pai.signing import AccessKey
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.waiting.polls import PollState

MakePai = Callable[..., PaiClient]
MARKER = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")
SPEC = GroupSpec(source=PaiSource.ALGORITHM, name="VIP", algorithm="recall", inference_job_id="job")


def test_routes(recorder: Any, make_pai: MakePai) -> None:
    replies = {
        "GET": b'{"ErrorCode": 0, "Data": {"Id": "g", "Groups": []}}',
        "POST": b'{"ErrorCode": 0, "Data": {"Id": "g"}}',
        "DELETE": b'{"ErrorCode": 0, "Data": "g"}',
    }
    recorder.reply = lambda method, _target: (200, {}, replies[method])
    client = make_pai("openapi", base_url=recorder.url)
    client.create_group(GroupSpec(source=PaiSource.TEXT, text="13900001111", phone_number=False), marker=None)
    client.get_group("a/b")
    client.delete_group("a/b")
    client.list_groups(name="a b", phone_number=False, source=0, status=0)

    sent = [(method, target, headers["x-acs-action"]) for method, target, headers, _ in recorder.requests]
    assert sent == [
        ("POST", "/api/v2/groups", "CreateGroup"),
        ("GET", "/api/v2/groups/a%2Fb", "GetGroup"),
        ("DELETE", "/api/v2/groups/a%2Fb", "DeleteGroup"),
        (
            "GET",
            "/api/v2/groups?Name=a%20b&PhoneNumber=false&Source=0&Status=0&PageNumber=1&PageSize=100",
            "ListGroups",
        ),
    ]
    assert {headers["x-acs-version"] for _, _, headers, _ in recorder.requests} == {"2022-01-12"}
    assert json.loads(recorder.requests[0][3]) == {"Source": 0, "Text": "13900001111", "PhoneNumber": False}
    types = [headers.get("Content-Type") for _, _, headers, _ in recorder.requests]
    assert types == ["application/json; charset=utf-8", None, None, None]


def test_an_api_key_comes_without_the_headers_of_the_other_dialect(recorder: Any, make_pai: MakePai) -> None:
    recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Id": "g"}}')
    make_pai("bearer", base_url=recorder.url).get_group("g")
    assert not any(name.lower().startswith("x-acs-") for name in recorder.requests[0][2])


def test_all_four_calls(emulator: AudiencesEmulator, make_pai: MakePai, dialect: str) -> None:
    client = make_pai(dialect)
    assert client.dialect == {"bearer": BEARER, "openapi": OPENAPI}[dialect]
    group = client.create_group(SPEC, marker=MARKER).group
    assert client.get_group(group.id).name == "VIP"
    assert [item.id for item in client.list_groups(name="VIP")] == [group.id]
    assert client.count_groups() == 1
    assert client.delete_group(group.id) is True
    assert client.delete_group(group.id, ignore_missing=True) is False
    with pytest.raises(NotFoundError, match="group does not exist"):
        client.get_group(group.id)


class TestReadiness:
    @pytest.mark.parametrize(
        ("dialect", "status", "state"),
        [
            ("bearer", 0, PollState.READY),
            ("bearer", 1, PollState.READY),
            ("bearer", 2, PollState.FAILED),
            ("openapi", 0, PollState.WAITING),
            ("openapi", 1, PollState.READY),
            ("openapi", 2, PollState.FAILED),
        ],
    )
    def test_defaults_of_the_dialect(self, make_pai: MakePai, dialect: str, status: int, state: PollState) -> None:
        group = AudienceGroup.from_api({"Id": "g", "Status": status, "Amount": 5})
        assert ReadinessRule().assess(group, make_pai(dialect).dialect).state is state

    def test_callers_come_first(self, make_pai: MakePai, dialect: str) -> None:
        rule = ReadinessRule.of(min_amount=7, ready_statuses=[3], failed_statuses=[0, 4])
        known = make_pai(dialect).dialect
        assert (rule.min_amount, set(rule.ready_in(known)), set(rule.failed_in(known))) == (7, {3}, {0, 4})


def gateway(code: str, message: str = "m") -> bytes:
    return json.dumps({"Code": code, "Message": message, "RequestId": "r", "HostId": "h"}).encode()


REFUSALS: list[tuple[int, str, type[AudienceError], str, int]] = [
    (400, "SignatureDoesNotMatch", AuthenticationError, "AccessKey secret", 1),
    (400, "IncompleteSignature", AuthenticationError, "AccessKey secret", 1),
    (400, "InvalidTimeStamp.Expired", AuthenticationError, "clock", 1),
    (400, "InvalidTimeStamp.Format", AuthenticationError, "clock", 1),
    (404, "InvalidAccessKeyId.NotFound", AuthenticationError, "AccessKey id", 1),
    (400, "InvalidAccessKeyId.Inactive", AuthenticationError, "AccessKey id", 1),
    (403, "NoPermission", AuthenticationError, "RAM user or role", 1),
    (403, "Forbidden.RAM", AuthenticationError, "RAM user or role", 1),
    (403, "Something.Else", AuthenticationError, "RAM", 1),
    (400, "InvalidSecurityToken.Expired", AuthenticationError, "Renew", 1),
    (400, "InvalidSecurityToken.Malformed", AuthenticationError, "Renew", 1),
    (400, "MissingSecurityToken", AuthenticationError, "security token", 1),
    (404, "InvalidAction.NotFound", NotFoundError, "allow-list", 1),
    (404, "InvalidApi.NotFound", NotFoundError, "allow-list", 1),
    (404, "InvalidVersion", NotFoundError, "allow-list", 1),
    (400, "InvalidParameter", BadRequestError, "group_id", 1),
    (400, "Throttling.User", RateLimitedError, "max_requests_per_second", 2),
    (503, "Throttling", RateLimitedError, "max_requests_per_second", 2),
    (429, "Throttling.Api", RateLimitedError, "max_requests_per_second", 2),
    (503, "ServiceUnavailable", ServerError, "support", 4),
    (400, "ServiceUnavailable", ServerError, "support", 4),
    (500, "InternalError", ServerError, "support", 4),
    (200, "InternalError", ServerError, "support", 4),
    (400, "SignatureNonceUsed", ServerError, "repeats requests", 4),
]


@pytest.mark.parametrize(("status", "code", "error_type", "advice", "requests"), REFUSALS)
def test_refusals_of_the_gateway(
    recorder: Any,
    make_pai: MakePai,
    status: int,
    code: str,
    error_type: type[AudienceError],
    advice: str,
    requests: int,
) -> None:
    recorder.answer(status, {}, gateway(code))
    with pytest.raises(error_type) as caught:
        make_pai("openapi", base_url=recorder.url).get_group("g")

    error = caught.value
    assert type(error) is error_type
    assert (error.http_status, error.api_code, error.request_id) == (status, code, "r")
    assert advice in str(error.advice)
    assert len(recorder.requests) == error.attempts == requests
    assert error.maybe_applied is (error_type is ServerError)


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable", "SignatureNonceUsed"])
def test_create_that_the_gateway_may_have_passed_on_is_looked_up(recorder: Any, make_pai: MakePai, code: str) -> None:
    """A nonce that was used is a request that was sent twice on its way: the first may have made the group."""
    entry = {"Id": "g", "Name": "VIP", "Remark": MARKER.text}

    def reply(method: str, _target: str) -> tuple[int, dict[str, str], bytes]:
        if method == "POST":
            return 400, {}, gateway(code)
        groups = [entry] if len(recorder.requests) > 1 else []
        return 200, {}, json.dumps({"ErrorCode": 0, "Data": {"Groups": groups, "TotalCount": len(groups)}}).encode()

    recorder.reply = reply
    assert make_pai("openapi", base_url=recorder.url).create_group(SPEC, marker=MARKER).group.id == "g"
    assert [method for method, *_ in recorder.requests] == ["GET", "POST", "GET"]


@pytest.mark.parametrize(
    ("status", "body", "deleted"),
    [
        (200, {"ErrorCode": 404, "ErrorMessage": "Audience group not found"}, False),
        (404, {"ErrorCode": 404, "ErrorMessage": "Audience group not found"}, False),
        (404, {"Code": "AudienceGroup.NotFound", "Message": "m"}, False),
        (404, {"Code": "InvalidAction.NotFound", "Message": "no such group of actions"}, None),
        (404, {"Code": "InvalidApi.NotFound", "Message": "Specified api is not found"}, None),
        (404, {"Code": "NotFound", "Message": "m"}, None),
    ],
)
def test_which_404_says_that_a_group_is_gone(
    recorder: Any, make_pai: MakePai, status: int, body: dict[str, Any], deleted: bool | None
) -> None:
    recorder.answer(status, {}, json.dumps(body).encode())
    client = make_pai("openapi", base_url=recorder.url)
    if deleted is None:
        with pytest.raises(NotFoundError):
            client.delete_group("g", ignore_missing=True)
    else:
        assert client.delete_group("g", ignore_missing=True) is deleted


class TestRealRefusals:
    """As the emulator's gateway gives them."""

    def test_wrong_secret(self, make_pai: MakePai) -> None:
        with pytest.raises(AuthenticationError, match="AccessKey secret") as caught:
            make_pai("openapi", key="wrong").list_groups()
        assert caught.value.api_code == "SignatureDoesNotMatch"

    def test_unknown_id(self, make_pai: MakePai) -> None:
        auth = AccessKeyAuth(AccessKey(key_id="LTAI-nobody", secret=Secret("some secret")))
        with pytest.raises(AuthenticationError, match="AccessKey id") as caught:
            make_pai("openapi", auth=auth).list_groups()
        assert str(caught.value.api_code).startswith("InvalidAccessKeyId")

    def test_token_that_does_not_belong(self, emulator: AudiencesEmulator, make_pai: MakePai) -> None:
        key = AccessKey(
            key_id=emulator.access_key_id, secret=Secret(emulator.access_key_secret), security_token=Secret("t0ken")
        )
        with pytest.raises(AuthenticationError) as caught:
            make_pai("openapi", auth=AccessKeyAuth(key)).list_groups()
        assert "t0ken" not in str(caught.value)

    def test_temporary_credentials(self) -> None:
        with AudiencesEmulator(security_token="t0ken") as emulator:
            key = AccessKey(
                key_id=emulator.access_key_id, secret=Secret(emulator.access_key_secret), security_token=Secret("t0ken")
            )
            with PaiClient(auth=AccessKeyAuth(key), base_url=emulator.url) as client:
                assert client.list_groups() == []

    def test_throttling_is_repeated(
        self, emulator: AudiencesEmulator, make_pai: MakePai, waits: list[float], dialect: str
    ) -> None:
        emulator.fault("pai.list", "status", status=429, times=1)
        assert make_pai(dialect).list_groups() == []
        assert waits == [1.0]


class TestChangingKeys:
    def test_each_request_is_signed_with_the_key_of_the_moment(
        self, emulator: AudiencesEmulator, make_pai: MakePai
    ) -> None:
        good = AccessKey(key_id=emulator.access_key_id, secret=Secret(emulator.access_key_secret))
        keys = [AccessKey(key_id=good.key_id, secret=Secret("expired secret")), good, good]
        told: list[str] = []
        auth = ChangingKeyAuth(lambda: keys.pop(0), account="a", on_new_secret=told.append)
        client = make_pai("openapi", auth=auth)
        with pytest.raises(AuthenticationError):
            client.list_groups()
        client.list_groups()
        client.list_groups()

        assert keys == []
        assert told == ["expired secret", emulator.access_key_secret]

    def test_every_key_is_redacted(self, recorder: Any, make_pai: MakePai) -> None:
        keys = [
            AccessKey(key_id="i", secret=Secret(f"secret-{n}"), security_token=Secret(f"token/{n}")) for n in (1, 2)
        ]
        client = make_pai("openapi", auth=ChangingKeyAuth(lambda: keys.pop(0), account="a"), base_url=recorder.url)
        echo = "secret-1 token/1 token%2F1 secret-2 token/2 Signature=abc " + "0" * 64
        recorder.answer(400, {}, gateway("Other", echo))
        for _ in range(2):
            with pytest.raises(BadRequestError) as caught:
                client.get_group("g")
        assert caught.value.message == "*** *** *** *** *** Signature=*** ***"

    def test_a_source_that_fails_sends_nothing(self, recorder: Any, make_pai: MakePai, waits: list[float]) -> None:
        def source() -> AccessKey:
            raise ConnectionFailedError("no credentials")

        client = make_pai("openapi", auth=ChangingKeyAuth(source, account="a"), base_url=recorder.url)
        with pytest.raises(ConnectionFailedError, match="no credentials") as caught:
            client.delete_group("g")

        assert (recorder.requests, waits) == ([], [1.0, 2.0, 4.0])
        assert not caught.value.maybe_applied
        assert client.billable_calls == {"create": 0, "get": 0, "delete": 0}


CREATE, GET, DELETE = {"create": 1}, {"get": 1}, {"delete": 1}
BILLS: list[tuple[str, dict[str, Any] | None, dict[str, int]]] = [
    ("pai.create", None, CREATE),
    ("pai.create", {"kind": "status", "status": 400}, CREATE),
    ("pai.create", {"kind": "status", "status": 500}, CREATE),
    ("pai.create", {"kind": "drop_before"}, CREATE),
    ("pai.create", {"kind": "drop_after"}, CREATE),
    ("pai.create", {"kind": "truncated_json"}, CREATE),
    ("pai.create", {"kind": "html"}, CREATE),
    ("pai.create", {"kind": "error_code", "error_code": 400}, CREATE),
    ("pai.delete", None, DELETE),
    ("pai.delete", {"kind": "status", "status": 403}, DELETE),
    ("pai.delete", {"kind": "drop_after"}, DELETE),
    ("pai.get", None, GET),
    ("pai.get", {"kind": "status", "status": 404}, {}),
    ("pai.get", {"kind": "status", "status": 500}, {}),
    ("pai.get", {"kind": "error_code", "error_code": 500}, {}),
    ("pai.get", {"kind": "html"}, {}),
    ("pai.get", {"kind": "drop_before"}, GET),
    ("pai.get", {"kind": "drop_after"}, GET),
    ("pai.get", {"kind": "truncated_json"}, GET),
    ("pai.list", None, {}),
    ("pai.list", {"kind": "drop_after"}, {}),
]


@pytest.mark.parametrize(("operation", "fault", "billed"), BILLS)
def test_billable_calls(
    emulator: AudiencesEmulator,
    make_pai: MakePai,
    dialect: str,
    operation: str,
    fault: dict[str, Any] | None,
    billed: dict[str, int],
) -> None:
    group_id = make_pai(dialect).create_group(SPEC, marker=None).group.id
    client = make_pai(dialect, max_retries=0)
    if fault:
        emulator.fault(operation, **fault)
    calls: dict[str, Callable[[], object]] = {
        "pai.create": lambda: client.create_group(SPEC, marker=None),
        "pai.get": lambda: client.get_group(group_id),
        "pai.delete": lambda: client.delete_group(group_id),
        "pai.list": client.list_groups,
    }
    try:
        calls[operation]()
    except AudienceError:
        assert fault
    assert client.billable_calls == {"create": 0, "get": 0, "delete": 0} | billed
    # Never less than the platform writes down, the group made above apart.
    bill = emulator.billing()
    for name, count in client.billable_calls.items():
        assert count >= bill[name]["billed"] - (name == "create")


def test_what_was_never_sent_is_not_billed(make_pai: MakePai, dead_port: int, dialect: str) -> None:
    client = make_pai(dialect, base_url=f"http://127.0.0.1:{dead_port}")
    for call in (lambda: client.create_group(SPEC, marker=None), lambda: client.delete_group("g")):
        with pytest.raises(ConnectionFailedError):
            call()
    assert client.billable_calls == {"create": 0, "get": 0, "delete": 0}


def test_each_repetition_is_billed(emulator: AudiencesEmulator, make_pai: MakePai, dialect: str) -> None:
    emulator.fault("pai.create", "status", status=500, times=2)
    client = make_pai(dialect)
    client.create_group(SPEC, marker=MARKER)

    assert client.billable_calls == {"create": 3, "get": 0, "delete": 0}
    # The gateway's own failures reach no service; which they were, a client can't tell.
    assert emulator.billing()["create"]["billed"] == (3 if dialect == "bearer" else 1)


def test_one_client_in_many_threads(emulator: AudiencesEmulator, make_pai: MakePai, dialect: str) -> None:
    """Nothing is lost or mixed up, and connections are kept."""
    client = make_pai(dialect)
    ids = [
        client.create_group(GroupSpec(source=PaiSource.TEXT, name=f"g{n}", text="13900001111"), marker=None).group.id
        for n in range(8)
    ]
    start = threading.Barrier(16)

    def work(number: int) -> list[str]:
        start.wait()
        return [client.get_group(ids[(number + n) % 8]).name for n in range(12)]

    with ThreadPoolExecutor(16) as pool:
        names = [future.result() for future in [pool.submit(work, number) for number in range(16)]]

    assert names == [[f"g{(number + n) % 8}" for n in range(12)] for number in range(16)]
    assert client.billable_calls == {"create": 8, "get": 192, "delete": 0}
    assert client.requests_sent == 200


def test_more_threads_than_kept_connections_lose_none(
    recorder: Any, make_pai: MakePai, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Id": "g"}}')
    client = make_pai("openapi", base_url=recorder.url)
    start = threading.Barrier(40)

    def work() -> str:
        start.wait()
        return client.get_group("g").id

    with ThreadPoolExecutor(40) as pool:
        assert {future.result() for future in [pool.submit(work) for _ in range(40)]} == {"g"}
    assert len({request[2]["x-acs-signature-nonce"] for request in recorder.requests}) == 40
    assert "pool is full" not in caplog.text
