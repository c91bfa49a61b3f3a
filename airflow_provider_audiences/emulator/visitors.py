"""
Refuses requests that a web page in a browser may have sent: only programs may use the emulator.

The control API asks for no key, so a page that a developer happens to visit must not reach it. Such a page could use a
host name of its own that leads to this machine: the Host header shows that. Or it could send a request that browsers
allow from any page: such a request has a foreign Origin, or a body that is not ``application/json``.
"""

import re

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .addresses import is_loopback
from .replies import BAD_REQUEST, CONTROL_PREFIX, FORBIDDEN, is_below

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
JSON_TYPE = "application/json"


def _is_near(host_header: str, *, is_control: bool) -> bool:
    """Return whether a Host is a name that no page of the internet can have."""
    match = _HOST.fullmatch(host_header.strip())
    if match is None:
        return False
    name = match.group(1).strip("[]")
    # The services ask for a key, so names of a local network are accepted for them.
    return is_loopback(name) or (not is_control and re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) is not None)


class Visitors:
    """
    ASGI middleware that refuses what a web page in a browser may have sent.

    :param app: ASGI application of the emulator.
    :param allow_remote: accept any Host, because the emulator is meant to be reached under other names.
    """

    def __init__(self, app: ASGIApp, *, allow_remote: bool) -> None:
        self._app = app
        self._allow_remote = allow_remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or reply with the reason why not."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        is_control = is_below(scope["path"], CONTROL_PREFIX)
        if not self._allow_remote and not (hosts and all(_is_near(host, is_control=is_control) for host in hosts)):
            return _refused(FORBIDDEN, "Host is not a loopback name: start the emulator with --allow-remote for others")
        if not is_control:
            return None
        own = f"{scope['scheme']}://{hosts[0] if hosts else ''}".lower()
        if any(origin.lower() != own for origin in headers.getlist("origin")):
            return _refused(FORBIDDEN, "The control API is not for pages of other origins")
        if _has_body(headers) and headers.get("content-type", "").partition(";")[0].strip().lower() != JSON_TYPE:
            return _refused(BAD_REQUEST, f"A body has to have the content type {JSON_TYPE}")
        return None


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip("0 ") != ""


def _refused(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status)
