"""AppLovin's suppression service over HTTP: two paths, with the key and the app in the query."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from .applovin_api import Body
from .members import ParsedIds, parse_ids
from .replies import FORBIDDEN, OK, SUPPRESSION_ADD_PATH, SUPPRESSION_DELETE_PATH, ApiError
from .state import EmulatorState

router = APIRouter()


async def authorised_state(request: Request) -> EmulatorState:
    """
    Return the emulator's state for a request that has the right key.

    If the setting ``suppression_api_key`` is set, only that key is right.

    :param request: request with ``api_key`` in its query.
    :raises ApiError: 403, since the key is missing or wrong.
    """
    state: EmulatorState = request.app.state.emulator
    right = state.settings.suppression_api_key or state.api_key
    if not hmac.compare_digest(request.query_params.get("api_key", "").encode(), right.encode()):
        raise ApiError(FORBIDDEN, "Authentication failed: check the Suppression API key")
    return state


State = Annotated[EmulatorState, Depends(authorised_state)]


@router.post(SUPPRESSION_ADD_PATH)
def add(request: Request, state: State, body: Body) -> JSONResponse:
    """Add users to an app's list."""
    parsed = parse_ids(body)
    with state.lock:
        state.suppression.add(request.query_params, parsed)
    return _counted(parsed)


@router.post(SUPPRESSION_DELETE_PATH)
def delete(request: Request, state: State, body: Body) -> JSONResponse:
    """Remove users from an app's list."""
    parsed = parse_ids(body)
    with state.lock:
        state.suppression.delete(request.query_params, parsed)
    return _counted(parsed)


def _counted(parsed: ParsedIds) -> JSONResponse:
    return JSONResponse({"num_valid_ids": len(parsed.ids), "num_invalid_ids": parsed.invalid_count}, OK)
