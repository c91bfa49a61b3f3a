"""A reply by itself: the error that its status means, what it says of a retry, and what is read of its body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests

from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.http.replies import Reply, is_error_status, may_be_id
from airflow_provider_audiences.redaction import MaskedBytes, Redactor, Secret

KEY = "s3cret-key"
MEMBER = "c77bbe4e-0ab1-4c9c-a5ea-6b8ef2d5a0c1"
REDACT = Redactor(Secret(KEY), [])


def reply(
    status: int, body: bytes = b"", *, headers: Mapping[str, str] | None = None, sent: bytes | None = None
) -> Reply:
    """A reply to a request with a body, or without."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    response.request = requests.Request("POST", "https://example.com").prepare()
    if sent is not None:
        response.request.body = MaskedBytes(sent)  # type: ignore[assignment] # as the session sends it
    return Reply.from_response(
        response, body=body, redact=REDACT, request_id_headers=["X-Id", "Trace"], attempts=1, after_lost_try=False
    )


@pytest.mark.parametrize(
    ("status", "error_type", "maybe_applied", "too_large"),
    [
        (301, UnexpectedReplyError, False, "no"),
        (400, BadRequestError, False, "no"),
        (401, AuthenticationError, False, "no"),
        (403, AuthenticationError, False, "no"),
        (404, NotFoundError, False, "no"),
        (406, ConflictError, False, "no"),
        (408, ServerError, True, "likely"),
        (409, ConflictError, False, "no"),
        (413, BadRequestError, False, "likely"),
        (418, BadRequestError, False, "no"),
        (429, RateLimitedError, False, "no"),
        (500, ServerError, True, "maybe"),
        (599, ServerError, True, "maybe"),
    ],
)
def test_errors_by_status(status: int, error_type: type[AudienceError], maybe_applied: bool, too_large: str) -> None:
    for error in (reply(status).error(""), reply(200).error("", status=status)):
        assert type(error) is error_type
        assert (error.maybe_applied, error.too_large) == (maybe_applied, too_large)
        assert error.message


def test_a_platform_that_says_when_is_busy_and_the_size_is_not_the_cause() -> None:
    error = reply(503, headers={"Retry-After": "7"}).error("busy")
    assert (error.retry_after_seconds, error.too_large, error.message) == (7, "no", "busy")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00", 0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_when_to_try_again(header: str, seconds: float | None) -> None:
    assert reply(429, headers={"Retry-After": header}).retry_after_seconds == seconds


def test_a_date_to_try_again_is_told_in_seconds_from_now() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert reply(429, headers={"Retry-After": later}).retry_after_seconds == pytest.approx(3600, abs=120)


def test_a_time_beyond_all_numbers_is_one_that_json_can_hold() -> None:
    seconds = reply(429, headers={"Retry-After": "9" * 400}).retry_after_seconds
    assert json.loads(json.dumps(seconds, allow_nan=False)) == seconds


@pytest.mark.parametrize(
    ("headers", "sent", "request_id"),
    [
        ({"X-Id": "r-1", "Trace": "t-1"}, None, "r-1"),
        ({"Trace": "t-1"}, None, "t-1"),
        ({}, None, None),
        ({"X-Id": MEMBER}, MEMBER.encode(), None),
        ({"X-Id": MEMBER.upper().replace("-", "")}, MEMBER.encode(), None),
        ({"X-Id": MEMBER}, b"other", MEMBER),
    ],
)
def test_the_id_of_a_request_is_no_member_that_was_sent(
    headers: dict[str, str], sent: bytes | None, request_id: str | None
) -> None:
    assert reply(500, sent=sent, headers=headers).request_id == request_id


@pytest.mark.parametrize("name", ["X-Id", "Content-Type", "Location"])
def test_a_key_in_a_header_is_not_shown(name: str) -> None:
    value = f"https://{KEY}.example.com" if name == "Location" else f"{KEY}/x"
    made = reply(302, headers={name: value})
    shown = (made.request_id, made.content_type, made.location_host, str(made.error("")), repr(made))
    assert not [text for text in shown if text and KEY in text]


def test_an_object_is_read() -> None:
    assert reply(200, b' {"a": [1]} ').json_object() == {"a": [1]}


@pytest.mark.parametrize("body", [b"", b"  ", b"{", b'{"a": 1', b'{"a": {"b": 1}', b'{"a": "\xe4'])
def test_the_beginning_of_an_object_is_a_reply_that_was_cut_off(body: bytes) -> None:
    with pytest.raises(ConnectionFailedError, match="cut off") as failure:
        reply(200, body).json_object()
    assert failure.value.maybe_applied


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b"<html>", b"ok", b"{a}", b"[" * 100_000])
def test_anything_else_is_not_the_api(body: bytes) -> None:
    with pytest.raises(UnexpectedReplyError, match="this is not the API: it answered text/html") as failure:
        reply(200, body, headers={"Content-Type": "Text/HTML; charset=utf-8"}).json_object()
    assert not failure.value.maybe_applied


@pytest.mark.parametrize(
    ("body", "text", "content"),
    [
        (b'{"Message": "no", "code": 5}', "no", {"Message": "no", "code": 5}),
        (b'{"message": "", "error": ["x"]}', "['x']", {"message": "", "error": ["x"]}),
        (b'{"other": 1}', "", {"other": 1}),
        (b" down ", "down", {}),
        (b"<html>down</html>", "", {}),
        (b"[1]", "[1]", {}),
        (b"", "", {}),
    ],
)
def test_the_text_of_an_error(body: bytes, text: str, content: dict[str, Any]) -> None:
    assert reply(500, body).error_text("message", "Message", "error") == (text, content)


@pytest.mark.parametrize(
    ("code", "expected"), [(None, False), (0, False), (399, False), (400, True), (599, True), (600, False)]
)
def test_which_codes_are_errors(code: int | None, expected: bool) -> None:
    assert is_error_status(code) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("r-1", True), ("", False), ("x" * 21, False), ("a\nb", False), (f"r-{KEY}", False)]
)
def test_which_texts_may_be_ids(text: str, expected: bool) -> None:
    assert may_be_id(text, most=20, redact=REDACT) is expected
