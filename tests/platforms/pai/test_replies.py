"""What PAI's refusals become: type, code, request id and advice."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    InvalidInputError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.platforms.pai.client import DEFAULT_REGION, DEFAULT_REQUESTS_PER_SECOND, PaiClient
from airflow_provider_audiences.platforms.pai.dialects import (
    BEARER,
    CHINA_BASE_URL,
    INTERNATIONAL_BASE_URL,
    OPENAPI,
)
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

MARKER = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")


def test_addresses() -> None:
    assert CHINA_BASE_URL == "https://api.aliyun.com/api/PaiPlugin/2022-01-12"
    assert INTERNATIONAL_BASE_URL == "https://api.alibabacloud.com/api/PaiPlugin/2022-01-12"
    assert BEARER.base_url(DEFAULT_REGION) == BEARER.base_url("cn-shanghai") == CHINA_BASE_URL
    assert BEARER.base_url("ap-southeast-1") == INTERNATIONAL_BASE_URL
    for region in (DEFAULT_REGION, "cn-shanghai", "ap-southeast-1"):
        assert OPENAPI.base_url(region) == "https://paiplugin.cn-hangzhou.aliyuncs.com"
    assert DEFAULT_REQUESTS_PER_SECOND < 100


def test_wrong_key(emulator: AudiencesEmulator, make_pai: Callable[..., PaiClient]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        make_pai(key="wrong").list_groups()

    assert (caught.value.http_status, caught.value.api_code) == (403, 403)
    assert caught.value.request_id
    assert caught.value.request_id in str(caught.value)


def test_missing_permission_says_what_to_do(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    emulator.settings(forbidden_projects=["p"], maxcompute={"p": {"t": 1}})
    with pytest.raises(AuthenticationError) as caught:
        pai.create_group(GroupSpec(source=PaiSource.MAXCOMPUTE, project="p", table="t"), marker=MARKER)

    assert "one-click authorization" in str(caught.value.advice)
    assert "pai=plugin" in str(caught.value.advice)
    assert len(emulator.requests("pai.create")) == 1


def test_three_kinds_of_not_found(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    with pytest.raises(NotFoundError) as table:
        pai.create_group(GroupSpec(source=PaiSource.MAXCOMPUTE, project="p", table="t"), marker=MARKER)
    with pytest.raises(NotFoundError) as group:
        pai.get_group("x")
    emulator.fault("pai.list", "status", status=404, message="Specified api is not found, please check your url")
    with pytest.raises(NotFoundError) as api:
        pai.list_groups()

    assert "MaxCompute project and table" in str(table.value.advice)
    assert "group does not exist" in str(group.value.advice)
    assert "allow-list" in str(api.value.advice)


@pytest.mark.parametrize(
    ("status", "code", "error_type"),
    [
        (200, 400, BadRequestError),
        (200, 403, AuthenticationError),
        (200, 404, NotFoundError),
        (200, 429, RateLimitedError),
        (200, 500, ServerError),
        (200, 1001, BadRequestError),
        (500, 400, BadRequestError),
        (500, 404, NotFoundError),
        (500, 0, ServerError),
        (500, 7, ServerError),
        (404, 500, ServerError),
        (400, 123456, BadRequestError),
    ],
)
def test_number_in_the_body_classifies(
    emulator: AudiencesEmulator,
    make_pai: Callable[..., PaiClient],
    status: int,
    code: int,
    error_type: type[AudienceError],
) -> None:
    if status == 200:
        emulator.fault("pai.get", "error_code", error_code=code, message="m")
    else:
        emulator.fault("pai.get", "status", status=status, error_code=code, message="m")
    with pytest.raises(error_type) as caught:
        make_pai(max_retries=0).get_group("x")

    assert type(caught.value) is error_type
    assert (caught.value.http_status, caught.value.api_code) == (status, code)
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"Code": "Throttling.User", "Message": "slow down", "RequestId": "r"}'),
        (503, b'{"ErrorCode": 503, "ErrorMessage": "Throttling: too many", "RequestId": "r"}'),
        (200, b'{"ErrorCode": "Throttling", "RequestId": "r"}'),
    ],
)
def test_throttling_in_any_form_is_repeated(
    recorder: Any, make_pai: Callable[..., PaiClient], waits: list[float], status: int, body: bytes
) -> None:
    recorder.answer(status, {"Retry-After": "2"}, body)
    with pytest.raises(RateLimitedError) as caught:
        make_pai(base_url=recorder.url).get_group("x")

    assert caught.value.request_id == "r"
    assert caught.value.retry_after_seconds == 2
    assert waits == [2.0, 2.0, 4.0]
    assert not caught.value.maybe_applied
    assert "max_requests_per_second" in str(caught.value.advice)


def test_error_of_the_gateway(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    body = b'{"Code": "InvalidParameter", "Message": "no good"}'
    recorder.answer(400, {"x-acs-request-id": "FROM-THE.HEADER_1"}, body)
    with pytest.raises(BadRequestError, match="no good") as caught:
        make_pai(base_url=recorder.url).get_group("x")

    assert (caught.value.api_code, caught.value.request_id) == ("InvalidParameter", "FROM-THE.HEADER_1")


@pytest.mark.parametrize("body", [b"{}", b'{"Data": {"Id": "x"}}', b'{"ErrorCode": null}'])
def test_success_needs_an_error_code_of_zero(recorder: Any, make_pai: Callable[..., PaiClient], body: bytes) -> None:
    recorder.answer(200, {}, body)
    with pytest.raises(UnexpectedReplyError, match="no ErrorCode"):
        make_pai(base_url=recorder.url).get_group("x")


@pytest.mark.parametrize("data", ["null", '"x"', "{}", '{"Id": ""}', "[]"])
def test_get_without_a_group(recorder: Any, make_pai: Callable[..., PaiClient], data: str) -> None:
    recorder.answer(200, {}, f'{{"ErrorCode": 0, "Data": {data}}}'.encode())
    with pytest.raises(UnexpectedReplyError, match="no group with an Id"):
        make_pai(base_url=recorder.url).get_group("x")


def test_web_page_is_named_by_its_type(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    emulator.fault("pai.get", "html")
    with pytest.raises(UnexpectedReplyError, match="this is not the API: it answered text/html, and no JSON object"):
        pai.get_group("x")


def test_failed_creates_are_billed_and_wrong_input_is_not(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    with pytest.raises(ValueError, match="text is missing"):
        GroupSpec(source=PaiSource.TEXT).checked()
    assert emulator.billing()["create"]["billed"] == 0
    with pytest.raises(ValueError, match="text is missing"):
        pai.create_group(GroupSpec(source=PaiSource.TEXT), marker=MARKER)
    assert emulator.billing()["create"]["billed"] == 0
    emulator.fault("pai.create", "status", status=400)
    with pytest.raises(BadRequestError):
        pai.create_group(GroupSpec(source=PaiSource.TEXT, text="13900000001"), marker=MARKER)
    assert emulator.billing()["create"]["billed"] == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (
            "application/json",
            b'{"Code": "InvalidApi.NotFound", "Message": "Specified api is not found", "RequestId": "r"}',
        ),
        ("application/json", b'{"ErrorCode": 404, "ErrorMessage": "Specified api is not found", "RequestId": "r"}'),
        ("application/json", b'{"message": "no Route matched with those values"}'),
        ("text/html", b"<html>404 Not Found</html>"),
        ("text/plain", b""),
    ],
)
def test_a_404_that_is_not_about_the_group_is_no_deletion(
    recorder: Any, make_pai: Callable[..., PaiClient], content_type: str, body: bytes
) -> None:
    recorder.answer(404, {"Content-Type": content_type}, body)
    with pytest.raises(NotFoundError):
        make_pai(base_url=recorder.url).delete_group("g", ignore_missing=True)


def test_a_404_of_create_does_not_speak_of_a_missing_group(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    emulator.fault("pai.create", "status", status=404, message="NoSuchObject")
    spec = GroupSpec(source=PaiSource.TEXT_FILE, uri="https://bucket.oss-cn-hangzhou.aliyuncs.com/k")
    with pytest.raises(NotFoundError) as caught:
        pai.create_group(spec, marker=MARKER)
    assert "what the group is made from" in str(caught.value.advice)


def test_throttling_of_the_gateway_with_200_is_repeated(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    recorder.answer(200, {"Content-Type": "application/json"}, b'{"Code": "Throttling.User", "Message": "slow down"}')
    with pytest.raises(RateLimitedError):
        make_pai(base_url=recorder.url).get_group("g")
    # Once: it does not say when it would answer.
    assert len(recorder.requests) == 2


def test_a_server_that_repeats_its_last_page_is_left_soon(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    page = b'{"Data": {"Groups": [{"Id": "a"}], "TotalCount": "99"}, "ErrorCode": 0}'
    recorder.answer(200, {"Content-Type": "application/json"}, page)
    assert [group.id for group in make_pai(base_url=recorder.url).list_groups()] == ["a"]
    # Three pages, and from the beginning twice: it speaks of more groups.
    assert len(recorder.requests) == 3 * 3


def test_typographic_quotes_are_no_json_and_no_lost_reply(recorder: Any, make_pai: Callable[..., PaiClient]) -> None:
    recorder.answer(200, {"Content-Type": "application/json"}, '{ "ErrorCode" : \u201c0\u201d }'.encode())
    with pytest.raises(UnexpectedReplyError):
        make_pai(base_url=recorder.url).get_group("g")
    assert len(recorder.requests) == 1


def test_history_keeps_its_dates(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    emulator.fault("pai.get", "status", status=400, message="failed at 2024-01-01 12:00:00 for 13900000001")
    with pytest.raises(BadRequestError, match=r"failed at 2024-01-01 12:00:00 for \*\*\*"):
        pai.get_group("g")


# Advice fits the call: what is said of a create is not said of the others, in either dialect.
CALLS: dict[str, Callable[[PaiClient], Any]] = {
    "create": lambda client: client.create_group(GroupSpec(source=PaiSource.TEXT, text="13900001111"), marker=None),
    "get": lambda client: client.get_group("g"),
    "list": lambda client: client.list_groups(name="VIP"),
    "delete": lambda client: client.delete_group("g"),
}
SAID = {
    "create": "Check the parameters against the source; a failed create is billed",
    "get": "Check the group_id: list the groups to see those that exist",
    "list": "Check the filters",
    "delete": "Check the group_id: list the groups to see those that exist; a failed delete is billed",
}
REPLIES = {
    "status": (400, {"ErrorCode": 400, "ErrorMessage": "no", "RequestId": "r"}),
    "body": (200, {"ErrorCode": 400, "ErrorMessage": "no", "RequestId": "r"}),
    "unknown": (200, {"ErrorCode": 7, "ErrorMessage": "no", "RequestId": "r"}),
    "gateway": (400, {"Code": "MissingParameter", "Message": "no", "RequestId": "r"}),
    "gateway in 200": (200, {"Code": "InvalidParameter", "Message": "no", "RequestId": "r"}),
    "timeout": (408, {"ErrorCode": 408, "ErrorMessage": "no", "RequestId": "r"}),
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("call", CALLS)
def test_of_bad_requests(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, call: str, reply: str
) -> None:
    status, body = REPLIES[reply]
    recorder.answer(status, {}, json.dumps(body).encode())
    with pytest.raises(BadRequestError) as failure:
        CALLS[call](make_pai(dialect, base_url=recorder.url))

    assert SAID[call] in str(failure.value)
    others = [said for other, said in SAID.items() if not SAID[call].startswith(said) and other != call]
    assert not any(said in str(failure.value) for said in others)


@pytest.mark.parametrize(
    ("call", "said"), [("create", "file, table or job"), ("get", "group does not exist"), ("list", "connection's host")]
)
def test_of_what_is_not_found(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, call: str, said: str
) -> None:
    recorder.answer(404, {}, b'{"ErrorCode": 404, "ErrorMessage": "Not Found", "RequestId": "r"}')
    with pytest.raises(NotFoundError, match=said):
        CALLS[call](make_pai(dialect, base_url=recorder.url))


@pytest.mark.parametrize("call", ["get_group", "delete_group"])
def test_an_id_has_at_most_1000_characters(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, call: str
) -> None:
    recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Id": "g"}}')
    client = make_pai(dialect, base_url=recorder.url)
    getattr(client, call)("g" * 1000)
    with pytest.raises(InvalidInputError, match=r"^group_id has 1,001 characters, and PAI takes at most 1,000"):
        getattr(client, call)("g" * 1001)
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("name", ["name", "remark"])
@pytest.mark.parametrize("value", ["", " ", "None", 2.5, True])
def test_the_client_lists_nothing_by_an_empty_filter(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, name: str, value: Any
) -> None:
    client = make_pai(dialect, base_url=recorder.url)
    with pytest.raises(InvalidInputError, match=f"^{name} "):
        client.list_groups(**{name: value})
    assert recorder.requests == []
