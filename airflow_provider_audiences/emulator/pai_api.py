"""PAI's audience group service over HTTP, in the dialect with a bearer token."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from .pai_calls import answer, answer_create
from .pai_rules import read_list_query
from .replies import FORBIDDEN, PAI_PREFIX, TOO_MANY_REQUESTS, ApiError
from .state import EmulatorState

router = APIRouter(prefix=PAI_PREFIX)


def _has_key(request: Request, state: EmulatorState) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    # Header values arrive as Latin-1, which gives back the bytes that were sent.
    sent = token.strip().encode("latin-1")
    return scheme.lower() == "bearer" and hmac.compare_digest(sent, state.api_key.encode())


async def authorised_state(request: Request) -> EmulatorState:
    """
    Return the emulator's state for a request that has the right key.

    :param request: request with ``Authorization: Bearer <key>``.
    :raises ApiError: 403, since the key is missing or wrong.
    """
    state: EmulatorState = request.app.state.emulator
    if not _has_key(request, state):
        raise ApiError(FORBIDDEN, "Authentication failed: check the API key")
    return state


async def listing_state(request: Request) -> EmulatorState:
    """
    Return the emulator's state for a ListGroups request.

    :param request: request with the right key; or without a key, if the setting ``list_without_auth`` is on.
    :raises ApiError: 403 or 429.
    """
    state: EmulatorState = request.app.state.emulator
    if state.settings.list_without_auth and "authorization" not in request.headers:
        return state
    return await authorised_state(request)


async def raw_body(request: Request) -> bytes:
    """Return the body as it was sent."""
    return await request.body()


State = Annotated[EmulatorState, Depends(authorised_state)]
ListingState = Annotated[EmulatorState, Depends(listing_state)]
Body = Annotated[bytes, Depends(raw_body)]


def _admit(state: EmulatorState, call: str) -> EmulatorState:
    """Apply the rate limit. A call that exceeds it counts as a failed call."""
    if not state.limiter.admit(state.settings.qps):
        state.billing.record(call, succeeded=False)
        raise ApiError(TOO_MANY_REQUESTS, "Throttling.User: too many requests in one second")
    return state


@router.post("/CreateGroup")
def create_group(state: State, body: Body) -> JSONResponse:
    """Make a group."""
    return answer_create(_admit(state, "create"), body)


# The document shows the id in the query for one call and in the path for another; both calls take both.


@router.get("/GetGroup")
def get_group_by_query(request: Request, state: State) -> JSONResponse:
    """Read a group by ``?Id=``."""
    return answer(_admit(state, "get"), "get", lambda: state.pai.get(request.query_params.get("Id", "")))


@router.get("/GetGroup/{group_id:path}")
def get_group_by_path(group_id: str, state: State) -> JSONResponse:
    """Read a group by the last part of the path, in which ``/`` is written ``%2F``."""
    return answer(_admit(state, "get"), "get", lambda: state.pai.get(group_id))


@router.delete("/DeleteGroup")
def delete_group_by_query(request: Request, state: State) -> JSONResponse:
    """Delete a group by ``?Id=``."""
    return answer(_admit(state, "delete"), "delete", lambda: state.pai.delete(request.query_params.get("Id", "")))


@router.delete("/DeleteGroup/{group_id:path}")
def delete_group_by_path(group_id: str, state: State) -> JSONResponse:
    """Delete a group by the last part of the path, in which ``/`` is written ``%2F``."""
    return answer(_admit(state, "delete"), "delete", lambda: state.pai.delete(group_id))


@router.get("/ListGroups")
def list_groups(request: Request, state: ListingState) -> JSONResponse:
    """List the groups, newest first."""
    return answer(_admit(state, "list"), "list", lambda: state.pai.list_groups(read_list_query(request.query_params)))
