"""
Reads files behind a link by HTTPS, as they arrive, and keeps the query of the address secret.

The query of a presigned link is a key. So it is added to the request below all logging, and no message contains it.
"""

from __future__ import annotations

import io
import re
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import requests
import urllib3

from airflow_provider_audiences.common.recognition import shown_address
from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.http.addresses import checked_host, is_loopback
from airflow_provider_audiences.http.connection_failures import REQUEST_ERRORS, connection_failure
from airflow_provider_audiences.http.exchange import Exchange, under_way
from airflow_provider_audiences.http.session import link_session
from airflow_provider_audiences.members.reading.inputs import SourceFile
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.sources.missing import OnMissing, missing_error
from airflow_provider_audiences.wording import counted

_CONNECT_TIMEOUT_SECONDS = 10.0
_READ_TIMEOUT_SECONDS = 60.0
"""Longest wait for the response to begin, and between two parts of it."""

_MIN_BYTES = 1024
"""Least bytes of a file within that time: a server that sends a byte a second never ends."""

_ANSWER_DEADLINE_SECONDS = 60.0
"""Longest wait until all headers are there. The body has no such limit, since it may be of any size."""

_MAX_REDIRECTS = 5
_ODD_PATTERN = re.compile(r"[\s\\\x00-\x20\x7f]")
_IN_QUERY = "%/?:@!$&'()*+,;=~-._[]"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = frozenset({403, 404, 410})
"""Statuses for a missing object. A store may answer 403, so that nobody learns which objects exist."""

_TRANSIENT = frozenset({408, 425, 429})
_MIN_SERVER_ERROR = 500
_READ_ERRORS = (urllib3.exceptions.HTTPError, requests.RequestException, OSError)


def web_file(address: str, *, on_missing: OnMissing) -> SourceFile:
    """
    Return the file behind a link as a file of a source. The request is sent when the file is read.

    :param address: ``https://`` address; ``http://`` only for this machine.
    :param on_missing: what to do if the server says that there is no such file.
    :raises InvalidInputError: it is no such address.
    """
    parts = _checked(address)
    # The name's ending tells the format of the file.
    shown = shown_address(address).removesuffix("?…")
    return SourceFile(name=shown, open=partial(_open, parts, shown, on_missing))  # type: ignore[arg-type]


def _checked(address: str) -> SplitResult:
    shown = shown_address(address)
    try:
        parts = urlsplit(address)
        # Other parsers than urlsplit end the host at a backslash.
        is_address = bool(parts.hostname) and (parts.port or 1) > 0 and _ODD_PATTERN.search(parts.netloc) is None
        if parts.scheme.lower() == "http":
            checked_host(parts.hostname or "")
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidInputError(f"source {shown} is no web address: give scheme, host and path")
    if parts.scheme.lower() == "http" and not is_loopback(parts.hostname or ""):
        raise InvalidInputError(
            f"source {shown} is plain http, and members would be readable on the way: give an https address"
        )
    return parts


def _open(parts: SplitResult, shown: str, on_missing: OnMissing) -> _WebStream:
    for _ in range(_MAX_REDIRECTS + 1):
        response = _answer(parts, shown)
        if response.status_code not in _REDIRECTS:
            return _checked_stream(response, shown, on_missing)
        response.close()
        parts = _redirected(parts, response.headers.get("Location", ""), shown)
    raise InvalidInputError(f"source {shown}: more than {_MAX_REDIRECTS} redirects; give the address that they lead to")


def _answer(parts: SplitResult, shown: str) -> requests.Response:
    user = (unquote(parts.username), unquote(parts.password or "")) if parts.username is not None else None
    session = link_session(query=Secret(quote(parts.query, safe=_IN_QUERY)), user=user)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    exchange = Exchange(
        deadline_seconds=_ANSWER_DEADLINE_SECONDS,
        connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        silence_seconds=_READ_TIMEOUT_SECONDS,
    )
    try:
        with under_way(exchange):
            # The session may be closed before its response is read: the connection belongs to the response.
            response: requests.Response = session.get(
                address,
                stream=True,
                timeout=(_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS),
                headers={"Accept": "*/*", "Accept-Encoding": "identity"},
                allow_redirects=False,
            )
    except REQUEST_ERRORS as error:
        failure = connection_failure(error, exchange)
    else:
        exchange.body_may_last(least_bytes=_MIN_BYTES)
        return response
    if isinstance(failure, InvalidInputError):
        raise InvalidInputError(f"source {shown}: no request can be made of this address")
    raise SourceUnavailableError(
        f"source {shown}: {failure.message}", advice="Check that this worker reaches the host, then try again."
    )


def _redirected(parts: SplitResult, location: str, shown: str) -> SplitResult:
    """Return where a redirect leads. Another host is refused, because the user did not name it."""
    target = _checked(urljoin(parts._replace(fragment="").geturl(), location))
    if not location or target.hostname != parts.hostname or (parts.scheme == "https" and target.scheme != "https"):
        raise InvalidInputError(
            f"source {shown}: the server redirects to {target.scheme}://{target.hostname or '?'}, and redirects to "
            "another host are not followed: give that file's own address"
        )
    return target


def _checked_stream(response: requests.Response, shown: str, on_missing: OnMissing) -> _WebStream:
    status = response.status_code
    if status == requests.codes.ok:
        return _WebStream(response, shown)
    response.close()
    if status in _MISSING:
        raise missing_error(
            f"source {shown} is not there, or the link has expired or does not allow to read it (HTTP {status})",
            on_missing,
        )
    if status in _TRANSIENT or status >= _MIN_SERVER_ERROR:
        raise SourceUnavailableError(
            f"source {shown}: its server failed (HTTP {status})", advice="Try again later.", http_status=status
        )
    raise InvalidInputError(f"source {shown}: its server refuses the request (HTTP {status}); check the address")


class _WebStream(io.RawIOBase):
    """The body of an HTTP response, read as it arrives."""

    def __init__(self, response: requests.Response, shown: str) -> None:
        super().__init__()
        self._response = response
        self._shown = shown
        self._received = 0
        length = response.headers.get("Content-Length", "")
        self._expected = int(length) if length.isascii() and length.isdigit() else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            # Bytes as they are stored: compression is recognised by the content, as everywhere.
            data: bytes = self._response.raw.read(len(buffer), decode_content=False)
            is_broken = not data and len(buffer) > 0 and self._expected not in {None, self._received}
        except _READ_ERRORS:
            is_broken = True
        if is_broken:
            raise SourceUnavailableError(
                f"source {self._shown}: the connection broke after {counted(self._received, 'byte')}, before the whole "
                "file had arrived",
                advice="Try again later.",
            )
        buffer[: len(data)] = data
        self._received += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
        super().close()
