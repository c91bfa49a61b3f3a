"""AppLovin's audience service over HTTP: five paths, with the key in the query."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from .members import parse_ids
from .replies import APPLOVIN_PREFIX, FORBIDDEN, OK, ApiError
from .state import EmulatorState

router = APIRouter(prefix=APPLOVIN_PREFIX)


async def authorised_state(request: Request) -> EmulatorState:
    """
    Return the emulator's state for a request that has the right key.

    :param request: request with ``api_key`` in its query.
    :raises ApiError: 403, since the key is missing or wrong.
    """
    state: EmulatorState = request.app.state.emulator
    key = request.query_params.get("api_key", "")
    if not hmac.compare_digest(key.encode(), state.api_key.encode()):
        raise ApiError(FORBIDDEN, "Authentication failed: check the API key")
    return state


async def raw_body(request: Request) -> bytes:
    """Return the body as it was sent. It is never parsed as a form, whatever its content type says."""
    return await request.body()


State = Annotated[EmulatorState, Depends(authorised_state)]
Body = Annotated[bytes, Depends(raw_body)]

# Handlers are plain functions: FastAPI runs them in threads, so a large body never stops the event loop.


@router.get("/create")
def create(request: Request, state: State) -> JSONResponse:
    """Create an empty audience."""
    with state.lock:
        audience_id = state.applovin.create(request.query_params)
    return JSONResponse({"audience_id": audience_id})


@router.get("/list")
def list_audiences(state: State) -> JSONResponse:
    """List all audiences of the account."""
    with state.lock:
        entries = state.applovin.entries()
    return JSONResponse({"code": OK, "audiences": entries, "count": len(entries)})


@router.post("/update")
def update(request: Request, state: State, body: Body) -> JSONResponse:
    """Replace the members of an audience."""
    parsed = parse_ids(body)
    with state.lock:
        audience_id = state.applovin.update(request.query_params, parsed)
    counts = {"num_valid_ids": len(parsed.ids), "num_invalid_ids": parsed.invalid_count}
    return JSONResponse({"audience_id": audience_id, **counts})


@router.post("/append")
def append(request: Request, state: State, body: Body) -> JSONResponse:
    """Add members to an audience; with a TTL of 0 remove them."""
    parsed = parse_ids(body)
    with state.lock:
        audience_id = state.applovin.append(request.query_params, parsed)
    # The document's sample reply of append names the second count differently from that of update.
    counts = {"num_valid_ids": len(parsed.ids), "num_invalid_users": parsed.invalid_count}
    return JSONResponse({"audience_id": audience_id, **counts})


@router.get("/delete")
def delete(request: Request, state: State) -> Response:
    """Delete an audience. The reply has no body."""
    with state.lock:
        state.applovin.delete(request.query_params)
    return Response(status_code=OK)
