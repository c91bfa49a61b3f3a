"""The record of requests to the emulated services. It holds no key, token, signature or member."""

import re
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from .replies import (
    APPLOVIN_PREFIX,
    OPENAPI_PREFIX,
    OPENAPI_ROOT,
    PAI_PREFIX,
    PAI_ROOT,
    SUPPRESSION_ADD_PATH,
    SUPPRESSION_DELETE_PATH,
    is_below,
)

OPERATIONS = (
    *(f"applovin.{name}" for name in ("create", "list", "update", "append", "delete")),
    *(f"applovin.suppression_{name}" for name in ("add", "delete")),
    *(f"pai.{name}" for name in ("create", "get", "list", "delete")),
)
SUPPRESSION_PATHS = {SUPPRESSION_ADD_PATH: "add", SUPPRESSION_DELETE_PATH: "delete"}
PAI_PATHS = {"CreateGroup": "create", "GetGroup": "get", "ListGroups": "list", "DeleteGroup": "delete"}
# The signed dialect has one path for all groups and one for each group; the HTTP method says what to do.
OPENAPI_METHODS = {"POST": "create", "GET": "list"}
OPENAPI_GROUP_METHODS = {"GET": "get", "DELETE": "delete"}
RECORDED_HEADERS = ("user-agent", "content-type", "content-length")
REDACTED = "***"
MAX_RECORDED = 100_000
# A shorter key may occur by chance in other parts of a request, so it is not replaced there.
MIN_KEY_CHARACTERS = 8
SECRET_PARAMETERS = frozenset({"api_key", "accesskeyid", "signature", "securitytoken"})
# Credentials of an Authorization header, wherever they occur.
_AUTHORISATION = re.compile(r"(?i)\bbearer\s+\S|\bsignature\s*=|\bcredential\s*=")


def operation_of(path: str, *, method: str) -> str | None:
    """
    Return the operation of a request: one of ``OPERATIONS``.

    A path that is below a service's prefix, but not one of its calls, is ``unknown``; one that is outside is None.

    :param path: decoded path of the request.
    :param method: HTTP method of the request.
    """
    if is_below(path, APPLOVIN_PREFIX):
        name = f"applovin.{path.removeprefix(APPLOVIN_PREFIX).strip('/')}"
        return name if name in OPERATIONS else "unknown"
    if path in SUPPRESSION_PATHS:
        return f"applovin.suppression_{SUPPRESSION_PATHS[path]}"
    if is_below(path, PAI_PREFIX):
        first = path.removeprefix(PAI_PREFIX).lstrip("/").split("/", 1)[0]
        return f"pai.{PAI_PATHS[first]}" if first in PAI_PATHS else "unknown"
    if is_below(path, OPENAPI_PREFIX):
        methods = OPENAPI_METHODS if path == OPENAPI_PREFIX else OPENAPI_GROUP_METHODS
        return f"pai.{methods[method]}" if method in methods else "unknown"
    return "unknown" if is_below(path, PAI_ROOT) or is_below(path, OPENAPI_ROOT) else None


def count_lines(body: bytes) -> int:
    """Return the number of lines in a body. The last line counts with or without a line feed at its end."""
    return body.count(b"\n") + (1 if body and not body.endswith(b"\n") else 0)


@dataclass(kw_only=True)
class RecordedRequest:
    """
    One request as the control API shows it.

    :param number: number of the request since the last reset, from 1.
    :param target: path and query, with keys replaced by ``***``.
    :param status: HTTP status that was sent; None while the request runs, and if the connection was dropped.
    :param fault: kind of the fault that hit the request; None if none did.
    :param received_at: real time of arrival in seconds since the epoch, whatever the emulator's clock says.
    """

    number: int
    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body_bytes: int
    body_lines: int
    status: int | None = None
    fault: str | None = None
    received_at: float = field(default_factory=time.time)


class RequestLog:
    """
    The latest requests, oldest first.

    :param secrets: keys and tokens, which are replaced wherever they occur.
    """

    def __init__(self, *, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secret for secret in secrets if len(secret) >= MIN_KEY_CHARACTERS)
        self._entries: deque[RecordedRequest] = deque(maxlen=MAX_RECORDED)
        self._last_number = 0

    def clear(self) -> None:
        """Forget all requests, and count from 1 again."""
        self._entries.clear()
        self._last_number = 0

    def add(self, *, operation: str, scope: dict[str, Any], body: bytes) -> RecordedRequest:
        """
        Record a request, and return the entry. The caller fills in its status and fault.

        :param operation: operation of the request, such as ``pai.create``.
        :param scope: ASGI scope of the request.
        :param body: body of the request, of which only the sizes are kept.
        """
        self._last_number += 1
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        entry = RecordedRequest(
            number=self._last_number,
            operation=operation,
            method=scope["method"],
            target=self.redact_target(scope),
            headers={name: self._hide(headers[name]) for name in RECORDED_HEADERS if name in headers},
            body_bytes=len(body),
            body_lines=count_lines(body),
        )
        self._entries.append(entry)
        return entry

    def redact_target(self, scope: dict[str, Any]) -> str:
        """Return path and query of an ASGI scope without keys, whether right or wrong ones."""
        raw_path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        path = "/".join(self._hide(segment) for segment in raw_path.split("/"))
        query = scope["query_string"].decode("latin-1")
        return f"{path}?{'&'.join(map(self._hide_pair, query.split('&')))}" if query else path

    def _hide_pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if unquote_plus(name).strip().lower() in SECRET_PARAMETERS:
            value = REDACTED if equals else ""
        return f"{self._hide(name)}{equals}{self._hide(value)}"

    def _hide(self, text: str) -> str:
        # Escapes can spell one key in many ways, so the text is compared in its plain form.
        spellings = (text, unquote(text), unquote_plus(text))
        if any(secret in spelling for secret in self._secrets for spelling in spellings):
            return REDACTED
        return REDACTED if any(map(_AUTHORISATION.search, spellings)) else text

    def describe(self, *, operation: str | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """
        Return the entries as JSON values, oldest first.

        :param operation: only requests of this operation; None (default) for all.
        :param limit: only this many of the latest requests; None (default) for all.
        """
        found = [entry for entry in self._entries if operation in (None, entry.operation)]
        if limit is not None:
            found = found[max(0, len(found) - limit) :]
        return [asdict(entry) for entry in found]
