"""The control API, with which tests move the clock, plan faults and look at the state. It asks for no key."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from .applovin import Audience
from .members import format_page, to_ms
from .recording import OPERATIONS
from .replies import CONTROL_PREFIX, read_json
from .settings import is_flag, is_seconds
from .state import EmulatorState

DOWNLOAD_PAGE_IDS = 20_000

router = APIRouter(prefix=CONTROL_PREFIX)


class ControlError(ValueError):
    """A control request that makes no sense."""


async def current_state(request: Request) -> EmulatorState:
    """Return the emulator's state."""
    state: EmulatorState = request.app.state.emulator
    return state


async def json_object(request: Request) -> dict[str, Any]:
    """
    Return the JSON object in the body of a control request.

    :raises ControlError: the body is not a JSON object.
    """
    try:
        body = read_json(await request.body())
    except ValueError as error:
        raise ControlError(str(error)) from None
    if not isinstance(body, dict):
        raise ControlError("The body is not a JSON object")
    return body


State = Annotated[EmulatorState, Depends(current_state)]
Body = Annotated[dict[str, Any], Depends(json_object)]

# Handlers that use state of the event loop are async; handlers that wait for the lock run in threads.


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the server is running."""
    return {"status": "ok"}


@router.post("/reset")
async def reset(state: State) -> dict[str, str]:
    """Return everything to its state at the start."""
    await state.late.cancel()
    await state.traffic.stop()
    await run_in_threadpool(state.reset_services)
    state.reset_records()
    return {"status": "ok"}


@router.get("/clock")
async def read_clock(state: State) -> dict[str, Any]:
    """Show the clock."""
    return state.clock.describe()


@router.post("/clock")
async def change_clock(state: State, body: Body) -> dict[str, Any]:
    """Set, advance and freeze the clock, in this order and in one step."""
    for name, check in (("set", is_seconds), ("advance_seconds", is_seconds), ("freeze", is_flag)):
        if name in body and not check(body[name]):
            raise ControlError(f"{name} has a value that the clock can't use")
    unknown = sorted(set(body) - {"set", "advance_seconds", "freeze"})
    if unknown or not body:
        raise ControlError("Expected set, advance_seconds or freeze")
    try:
        state.clock.change(
            set_to=body.get("set"), advance_seconds=body.get("advance_seconds", 0), freeze=body.get("freeze")
        )
    except ValueError as error:
        raise ControlError(str(error)) from None
    return state.clock.describe()


@router.get("/requests")
async def read_requests(request: Request, state: State) -> dict[str, Any]:
    """Show the recorded requests, oldest first."""
    operation = request.query_params.get("operation")
    if operation not in (None, "unknown", *OPERATIONS):
        raise ControlError("operation is unknown")
    limit = request.query_params.get("limit")
    if limit is not None and not re.fullmatch(r"[0-9]{1,15}", limit):
        raise ControlError("limit must be an integer of at least 0")
    found = state.requests.describe(operation=operation, limit=None if limit is None else int(limit))
    return {"requests": found}


@router.delete("/requests")
async def clear_requests(state: State) -> dict[str, Any]:
    """Forget the recorded requests."""
    state.requests.clear()
    return {"requests": []}


@router.post("/faults")
async def add_fault(state: State, body: Body) -> dict[str, Any]:
    """Plan a fault."""
    return state.faults.add(body)


@router.get("/faults")
async def read_faults(state: State) -> dict[str, Any]:
    """Show the planned faults, the used up ones included."""
    return {"faults": state.faults.describe()}


@router.delete("/faults")
async def clear_faults(state: State) -> dict[str, Any]:
    """Forget the planned faults."""
    state.faults.clear_faults()
    return {"faults": []}


@router.post("/latency")
async def set_latency(state: State, body: Body) -> dict[str, Any]:
    """Make requests wait before they are worked on."""
    state.faults.set_latency(body.get("operation"), body.get("seconds"))
    return {"latencies": state.faults.latencies()}


@router.get("/settings")
async def read_settings(state: State) -> dict[str, Any]:
    """Show the settings."""
    return state.settings.as_dict()


@router.patch("/settings")
def change_settings(state: State, body: Body) -> dict[str, Any]:
    """Change some settings."""
    state.change_settings(body)
    return state.settings.as_dict()


@router.get("/billing")
async def read_billing(state: State) -> dict[str, Any]:
    """Show what the PAI side would put on the bill."""
    return state.billing.describe()


@router.get("/pai/groups")
def read_groups(state: State) -> dict[str, Any]:
    """Show all groups, the deleted ones included."""
    with state.lock:
        return {"groups": state.pai.inspect()}


def _find_audience(state: EmulatorState, audience_id: str) -> Audience:
    params: Mapping[str, str] = {"audience_id": audience_id}
    return state.applovin.find(params)


@router.get("/applovin/audiences")
def read_audiences(state: State) -> dict[str, Any]:
    """Show all audiences."""
    with state.lock:
        audiences = state.applovin.audiences.values()
        return {"audiences": [state.applovin.inspect(audience) for audience in audiences]}


@router.get("/applovin/audiences/{audience_id}")
def read_audience(audience_id: str, state: State) -> dict[str, Any]:
    """Show one audience."""
    with state.lock:
        return state.applovin.inspect(_find_audience(state, audience_id))


@router.get("/applovin/suppression/{package_name:path}/members")
def download_suppressed(package_name: str, state: State) -> Response:
    """Stream the users on an app's suppression list, one a line, sorted."""

    def pages() -> Iterator[str]:
        after = b""
        while True:
            with state.lock:
                rows = state.suppression.page(package_name, after=after, limit=DOWNLOAD_PAGE_IDS)
            if not rows:
                return
            yield "".join(format_page(rows, include_ttl=False))
            after = rows[-1][0]

    return StreamingResponse(pages(), media_type="text/plain")


@router.get("/applovin/audiences/{audience_id}/members")
def download_members(audience_id: str, request: Request, state: State) -> Response:
    """Stream the live members, one a line, sorted."""
    include_ttl = request.query_params.get("include_ttl") in ("1", "true")
    with state.lock:
        audience = _find_audience(state, audience_id)
    pages = _member_pages(state, audience, include_ttl=include_ttl)
    return StreamingResponse(pages, media_type="text/plain")


def _member_pages(state: EmulatorState, audience: Audience, *, include_ttl: bool) -> Iterator[str]:
    # The lock is held for one page at a time, so that a slow reader does not block other requests.
    now_ms, after = to_ms(state.clock.now()), b""
    while True:
        with state.lock:
            rows = audience.members.page(after=after, now_ms=now_ms, limit=DOWNLOAD_PAGE_IDS)
        if not rows:
            return
        yield "".join(format_page(rows, include_ttl=include_ttl))
        after = rows[-1][0]
