"""
Who may talk to the emulator: programs of this machine, and no page in a browser.

The control API asks for no key. So a page that a developer happens to look at must not reach it: not under a name of
its own that leads here (the Host header tells), and not by the requests that a browser sends for any page without
asking first (they have a foreign Origin, or a body that is no ``application/json``).
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
    """:return: whether a Host is no name that a page of the internet can have"""
    match = _HOST.fullmatch(host_header.strip())
    if match is None:
        return False
    name = match.group(1).strip("[]")
    # The services ask for a key: names that only a local network knows will do for them.
    return is_loopback(name) or (not is_control and re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) is not None)


class Visitors:
    """
    ASGI middleware that turns away what a page in a browser may have sent.

    :param app: the emulator
    :param allow_remote: take any Host: the emulator is meant to be reached by other names
    """

    def __init__(self, app: ASGIApp, *, allow_remote: bool) -> None:
        self._app = app
        self._allow_remote = allow_remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or say why not."""
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
