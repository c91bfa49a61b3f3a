"""A reply as a value, and the error that its status means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeGuard
from urllib.parse import urlsplit
from uuid import UUID

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
from airflow_provider_audiences.redaction import MaskedBytes, Redactor
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    import requests

_AFTER_LAST_STATUS = 600
_MAX_RETRY_AFTER_SECONDS = 1e9
"""Longer waits are cut to this: a number of any length of digits would be infinite, which JSON can't hold."""
_ERROR_TYPES: dict[int, type[AudienceError]] = {
    HTTPStatus.UNAUTHORIZED: AuthenticationError,
    HTTPStatus.FORBIDDEN: AuthenticationError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.NOT_ACCEPTABLE: ConflictError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.REQUEST_TIMEOUT: ServerError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitedError,
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """
    One HTTP reply.

    :param status: HTTP status.
    :param content_type: media type without parameters, in lower case; empty if the reply has none.
    :param body: the whole body; masked, as a server may repeat members and keys in its reply.
    :param retry_after_seconds: value of the header Retry-After, in seconds from now; None if there is none.
    :param location_host: host that a redirect points to; None if there is none.
    :param request_id_header: the platform's id of the request, from a header; None if there is none, or if the header
        does not look like an id.
    :param sent: body of the request; None if it had none.
    :param attempts: number of requests that the call has sent so far, this one included.
    :param after_lost_try: whether an earlier request of the same call may have been carried out.
    """

    status: int
    content_type: str
    body: MaskedBytes
    retry_after_seconds: float | None
    location_host: str | None
    request_id_header: str | None
    sent: MaskedBytes | None
    attempts: int
    after_lost_try: bool

    @classmethod
    def from_response(
        cls,
        response: requests.Response,
        *,
        body: bytes,
        redact: Redactor,
        request_id_headers: Sequence[str],
        attempts: int,
        after_lost_try: bool,
    ) -> Reply:
        """
        Return a response as a reply. A reply does not refer to the request's URL and headers, as the response does.

        :param response: response of the library ``requests``.
        :param body: whole body of the response, unpacked.
        :param redact: removes secrets and members from the headers that messages show.
        :param request_id_headers: headers that may have the platform's id of the request, best first.
        :param attempts: number of requests that the call has sent so far, this one included.
        :param after_lost_try: whether an earlier request of the same call may have been carried out.
        """
        headers = response.headers
        request_ids = (headers[name] for name in request_id_headers if headers.get(name))
        sent = response.request.body
        return cls(
            status=response.status_code,
            content_type=redact(headers.get("Content-Type", "").partition(";")[0].strip().lower()),
            body=MaskedBytes(body),
            retry_after_seconds=_retry_after_seconds(headers.get("Retry-After")),
            location_host=redact(_host(headers.get("Location", "")) or "") or None,
            request_id_header=redact.identifier(next(request_ids, None)),
            sent=sent if isinstance(sent, MaskedBytes) else None,
            attempts=attempts,
            after_lost_try=after_lost_try,
        )

    @property
    def request_id(self) -> str | None:
        """The platform's id of the request; None if there is none, or if the text is a member that was sent."""
        if self.request_id_header is None or self.sent is None:
            return self.request_id_header
        words = {self.request_id_header.lower()}
        with suppress(ValueError):
            words.add(str(UUID(self.request_id_header)))  # the header may be a member without its hyphens
        sent = self.sent.reveal().lower()
        return None if any(word.encode() in sent for word in words) else self.request_id_header

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_web_page(self) -> bool:
        """Whether the body is HTML or XML; neither API sends those, so the reply comes from another server."""
        return self.begins_with("<")

    def begins_with(self, *texts: str) -> bool:
        """
        Return whether the body begins with one of several texts; white space before it is ignored.

        :param texts: the texts, in ASCII.
        """
        beginnings = tuple(text.encode() for text in texts)
        return self.body.reveal().lstrip().startswith(beginnings)

    def _parsed(self) -> tuple[str, Any]:
        """Return the body as text and as a JSON value; the value is None if the body is not JSON."""
        text = self.body.decode("utf-8", errors="replace").strip()
        try:
            return text, json.loads(text)
        except (ValueError, RecursionError):
            return text, None

    def json_object(self) -> dict[str, Any]:
        """
        Read the body as a JSON object.

        :raises ConnectionFailedError: the body is only the beginning of a JSON object, or empty: the rest was lost.
        :raises UnexpectedReplyError: the body is something else, such as a login page.
        """
        text, value = self._parsed()
        if isinstance(value, dict):
            return value
        if not text or (value is None and _is_beginning_of_object(text)):
            raise ConnectionFailedError(
                f"the reply was cut off after {counted(len(self.body), 'byte')}",
                http_status=self.status,
                request_id=self.request_id,
                maybe_applied=True,
                too_large="maybe",
                advice="Whether the platform carried the request out is unknown.",
            )
        raise UnexpectedReplyError(
            f"this is not the API: it answered {self.content_type or 'an unnamed type'}, and no JSON object",
            http_status=self.status,
            request_id=self.request_id,
            advice="Check the connection's host, and proxies between this worker and the platform.",
        )

    def error_text(self, *names: str) -> tuple[str, dict[str, Any]]:
        """
        Return the error message in the body of a failed request, and the body as a JSON object; empty if it is none.

        :param names: JSON keys that may hold the message; the first one with a value is used.
        """
        text, value = self._parsed()
        if isinstance(value, dict):
            found = next((str(value[name]) for name in names if value.get(name)), "")
            return found, value
        return ("" if text.startswith("<") else text), {}

    def error(
        self,
        message: str,
        *,
        status: int | None = None,
        api_code: int | str | None = None,
        request_id: str | None = None,
        advice: str | None = None,
    ) -> AudienceError:
        """
        Return the error that this reply means.

        :param message: the platform's error message, redacted; empty for the standard phrase of the status.
        :param status: HTTP error status in the body; it decides the type of the error. None for the reply's own status.
        :param api_code: the platform's error code as the body has it; None if there is none.
        :param request_id: the request's id in the body; None for the one in the header.
        :param advice: what the user can do; None for the default advice of the error's type.
        """
        status = status or self.status
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return UnexpectedReplyError(
                f"the server redirects to {self.location_host or 'another address'}, which is not followed",
                http_status=self.status,
                request_id=request_id or self.request_id,
                advice="Check the connection's host.",
            )
        error_type = _ERROR_TYPES.get(status)
        if error_type is None:
            error_type = ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else BadRequestError
        return error_type(
            message or _phrase(status),
            http_status=self.status,
            api_code=api_code,
            request_id=request_id or self.request_id,
            retry_after_seconds=self.retry_after_seconds,
            maybe_applied=error_type is ServerError,
            too_large=self._too_large(status, error_type),
            advice=advice,
        )

    def _too_large(self, status: int, error_type: type[AudienceError]) -> Literal["no", "maybe", "likely"]:
        if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
            return "likely"
        # A platform that sends Retry-After is busy; the size of the request is not the cause.
        return "maybe" if error_type is ServerError and self.retry_after_seconds is None else "no"


def _is_beginning_of_object(text: str) -> bool:
    """Return whether a text that is not JSON looks like a JSON object that was cut off."""
    return text.startswith("{") and (not text.endswith("}") or text.count("{") > text.count("}"))


def is_error_status(code: int | None) -> TypeGuard[int]:
    """
    Return whether a number in a reply's body is an HTTP error status.

    :param code: number in the body; None if there is none.
    """
    return code is not None and HTTPStatus.BAD_REQUEST <= code < _AFTER_LAST_STATUS


def may_be_id(text: str, *, most: int, redact: Redactor) -> bool:
    """
    Return whether a text of a reply may be an id, which logs and errors then show.

    :param text: text of the reply.
    :param most: most characters of an id.
    :param redact: redactor that knows the secrets; a text with a secret is no id.
    """
    return 0 < len(text) <= most and text.isprintable() and not redact.has_secret(text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "the platform gave no reason"


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _retry_after_seconds(header: str | None) -> float | None:
    if not header:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header), _MAX_RETRY_AFTER_SECONDS)
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
