"""
Middleware in front of both services: records each request, delays it, and spoils its reply if a fault asks for that.

It is plain ASGI middleware, because only at that level can a reply be cut short, or not be sent at all.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .faults import Fault
from .late import Traffic
from .recording import operation_of
from .replies import OK, OPENAPI_ROOT, SERVER_ERROR, TOO_MANY_REQUESTS, error_reply, gateway_error, is_below
from .state import EmulatorState

# The emulator's own server puts the connection's transport here; see server.py.
TRANSPORT_EXTENSION = "audiences_emulator.transport"
ELSEWHERE = "http://elsewhere.invalid/"
HTML_PAGE = b"<!DOCTYPE html><html><body><h1>This is not the API</h1></body></html>"
BILLED_FAULTS = ("status", "error_code")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """
    A whole reply that is not sent yet.

    :param cut: send only half of the body, with the content length of the whole, and close the connection.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """
    One request on its way to a service, whose body was read already.

    :param era: token of the time when it arrived; the next reset sets it.
    """

    app: ASGIApp
    scope: Scope
    body: bytes
    receive: Receive
    traffic: Traffic
    era: asyncio.Event

    def is_refused_by_gateway(self, fault: Fault) -> bool:
        """Return whether a fault's error comes from the gateway, which only the signed dialect has."""
        return fault.is_of_gateway() and is_below(self.scope["path"], OPENAPI_ROOT)

    async def apply(self) -> Reply:
        """Let the service handle the request, which changes its state, and return the reply."""
        collected: list[Message] = []
        pending = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> Message:
            return pending.pop() if pending else await self.receive()

        async def send(message: Message) -> None:
            collected.append(message)

        with self.traffic.active():
            await self.app(self.scope, receive, send)
        return Reply(
            status=collected[0]["status"],
            headers=tuple(collected[0]["headers"]),
            body=b"".join(message.get("body", b"") for message in collected[1:]),
        )

    def error(self, status: int, message: str, *, fault: Fault) -> Reply:
        """Return an error in the form of the service that was called, or of the gateway in front of it."""
        if self.is_refused_by_gateway(fault):
            host = next((value for name, value in self.scope["headers"] if name == b"host"), b"").decode("latin-1")
            response = gateway_error(status, message, code=fault.options.get("code"), host=host)
        else:
            response = error_reply(self.scope["path"], status, message, code=fault.options.get("error_code"))
        return _as_reply(response)


def _as_reply(response: Response) -> Reply:
    return Reply(status=response.status_code, headers=tuple(response.raw_headers), body=bytes(response.body))


def _is_billed(call: Call, fault: Fault) -> bool:
    """Return whether a fault counts as a failed call of PAI; a call that was applied is counted by the service."""
    if fault.kind not in BILLED_FAULTS or fault.options.get("applied", False):
        return False
    return not call.is_refused_by_gateway(fault)


def _html(status: int) -> Reply:
    return Reply(status=status, headers=((b"content-type", b"text/html; charset=utf-8"),), body=HTML_PAGE)


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body; None if the client went away before its end."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _with_wrong_counts(reply: Reply, by: int) -> Reply:
    try:
        body = json.loads(reply.body)
    except ValueError:
        return reply
    holder = body.get("Data") if isinstance(body.get("Data"), dict) else body
    # Too few valid IDs, and too many groups: the directions that clients must notice.
    for name, change in (("num_valid_ids", -by), ("count", by), ("TotalCount", by)):
        if name in holder:
            holder[name] += change
    return replace(reply, body=json.dumps(body, ensure_ascii=False).encode())


class Gate:
    """
    ASGI middleware that records requests and carries out planned faults.

    :param app: ASGI application of the services.
    :param state: state of the emulator, with the recorded requests and planned faults.
    """

    def __init__(self, app: ASGIApp, *, state: EmulatorState) -> None:
        self._app = app
        self._state = state
        self._kinds: dict[str, Callable[[Call, Fault], Awaitable[Reply | None]]] = {
            "status": self._status,
            "drop_before": self._drop_before,
            "drop_after": self._drop_after,
            "apply_late": self._apply_late,
            "slow": self._slow,
            "truncated_json": self._truncated_json,
            "html": self._html,
            "wrong_counts": self._wrong_counts,
            "redirect": self._redirect,
            "error_code": self._error_code,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: record it, wait if a latency is planned, then pass it on or carry out its fault."""
        operation = operation_of(scope["path"], method=scope["method"]) if scope["type"] == "http" else None
        if operation is None:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        entry = self._state.requests.add(operation=operation, scope=dict(scope), body=body)
        fault = self._state.faults.take(operation)
        entry.fault = fault.kind if fault else None
        reply: Reply | None = None
        traffic, era = self._state.traffic, self._state.traffic.era()
        call = Call(app=self._app, scope=scope, body=body, receive=receive, traffic=traffic, era=era)
        if await traffic.wait(self._state.faults.latency(operation), era=era):
            reply = await self._kinds[fault.kind](call, fault) if fault else await call.apply()
        # Set before the reply is sent, because the client may read the record at once.
        entry.status = reply.status if reply else None
        if fault and _is_billed(call, fault):
            self._bill_failed(operation)
        await self._send(reply, scope, receive, send)

    def _bill_failed(self, operation: str) -> None:
        service, _, call = operation.partition(".")
        if service == "pai":
            self._state.billing.record(call, succeeded=False)

    async def _send(self, reply: Reply | None, scope: Scope, receive: Receive, send: Send) -> None:
        if reply is None:
            await _close_connection(scope, receive, abort=True)
            return
        headers = [pair for pair in reply.headers if pair[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if reply.cut:
            half = reply.body[: len(reply.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await _close_connection(scope, receive, abort=False)
        else:
            await send({"type": "http.response.body", "body": reply.body, "more_body": False})

    async def _status(self, call: Call, fault: Fault) -> Reply:
        options = fault.options
        if options.get("applied", False):
            await call.apply()
        status = options.get("status", SERVER_ERROR)
        default = "Throttling: injected fault" if status == TOO_MANY_REQUESTS else "Injected fault"
        reply = call.error(status, options.get("message", default), fault=fault)
        if options.get("html", False):
            reply = _html(status)
        if "retry_after" in options:
            header = (b"retry-after", str(options["retry_after"]).encode())
            reply = replace(reply, headers=(*reply.headers, header))
        return reply

    async def _drop_before(self, _call: Call, _fault: Fault) -> None:
        return None

    async def _drop_after(self, call: Call, _fault: Fault) -> None:
        await call.apply()

    async def _apply_late(self, call: Call, fault: Fault) -> Reply | None:
        self._state.late.start(call.apply, delay_seconds=fault.options.get("delay_seconds", 1.0))
        if fault.options.get("drop", False):
            return None
        return call.error(fault.options.get("status", SERVER_ERROR), "Injected fault", fault=fault)

    async def _slow(self, call: Call, fault: Fault) -> Reply | None:
        seconds = fault.options.get("seconds", 1.0)
        reply = await call.apply()
        return reply if await call.traffic.wait(seconds, era=call.era) else None

    async def _truncated_json(self, call: Call, fault: Fault) -> Reply:
        reply = await call.apply()
        if fault.options.get("cut", "body") == "connection":
            return replace(reply, cut=True)
        return replace(reply, body=reply.body[: len(reply.body) // 2])

    async def _html(self, _call: Call, _fault: Fault) -> Reply:
        return _html(OK)

    async def _wrong_counts(self, call: Call, fault: Fault) -> Reply:
        return _with_wrong_counts(await call.apply(), fault.options.get("by", 1))

    async def _redirect(self, _call: Call, fault: Fault) -> Reply:
        location = fault.options.get("location", ELSEWHERE)
        status = fault.options.get("status", 302)
        return Reply(status=status, headers=((b"location", location.encode()),), body=b"")

    async def _error_code(self, call: Call, fault: Fault) -> Reply:
        response = error_reply(
            call.scope["path"],
            OK,
            fault.options.get("message", "Injected fault"),
            code=fault.options.get("error_code", SERVER_ERROR),
        )
        return _as_reply(response)


async def _close_connection(scope: Scope, receive: Receive, *, abort: bool) -> None:
    """
    Close the TCP connection without a reply.

    Waits until the server has noticed: if an application returns earlier and without a reply, the server sends one of
    its own.
    """
    transport = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    if transport is None:
        raise ConnectionAbortedError("The connection can be dropped under the emulator's own server only")
    if abort:
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
