"""PAI's audience group service over HTTP, in the dialect with signed requests."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from .acs3 import read_request
from .pai_calls import answer, answer_create
from .pai_rules import read_list_query
from .replies import BAD_REQUEST, OPENAPI_PREFIX, GatewayError
from .state import EmulatorState

# API names by the call that recording.operation_of recognises by method and path.
ACTIONS = {"create": "CreateGroup", "get": "GetGroup", "list": "ListGroups", "delete": "DeleteGroup"}

router = APIRouter(prefix=OPENAPI_PREFIX)


class Admission:
    """
    FastAPI dependency that accepts signed requests for one API, and refuses others as the gateway does.

    :param call: ``create``, ``get``, ``list`` or ``delete``.
    """

    def __init__(self, call: str) -> None:
        self._action = ACTIONS[call]

    async def __call__(self, request: Request) -> EmulatorState:
        """
        Return the emulator's state for a request that is signed and within the rate limit.

        :param request: request for that API.
        :raises GatewayError: the request is not signed as it must be, or exceeds the rate limit.
        """
        state: EmulatorState = request.app.state.emulator
        state.verifier.verify(read_request(request.scope, await request.body()), action=self._action)
        if not state.limiter.admit(state.settings.qps):
            raise GatewayError(BAD_REQUEST, "Throttling.User", "Request was denied due to user flow control.")
        return state


async def raw_body(request: Request) -> bytes:
    """Return the body as it was sent."""
    return await request.body()


CreateState = Annotated[EmulatorState, Depends(Admission("create"))]
GetState = Annotated[EmulatorState, Depends(Admission("get"))]
ListState = Annotated[EmulatorState, Depends(Admission("list"))]
DeleteState = Annotated[EmulatorState, Depends(Admission("delete"))]
Body = Annotated[bytes, Depends(raw_body)]


@router.post("")
def create_group(state: CreateState, body: Body) -> JSONResponse:
    """Make a group."""
    return answer_create(state, body)


@router.get("")
def list_groups(request: Request, state: ListState) -> JSONResponse:
    """List the groups, newest first."""
    return answer(state, "list", lambda: state.pai.list_groups(read_list_query(request.query_params)))


@router.get("/{group_id:path}")
def get_group(group_id: str, state: GetState) -> JSONResponse:
    """Read a group; ``/`` in its id is written ``%2F``."""
    return answer(state, "get", lambda: state.pai.get(group_id))


@router.delete("/{group_id:path}")
def delete_group(group_id: str, state: DeleteState) -> JSONResponse:
    """Delete a group; ``/`` in its id is written ``%2F``."""
    return answer(state, "delete", lambda: state.pai.delete(group_id))
