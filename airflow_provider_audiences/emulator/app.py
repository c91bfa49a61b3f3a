"""The ASGI application: both services, the middleware that records and spoils their requests, and the control API."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from . import applovin_api, applovin_suppression_api, control, pai_api, pai_openapi_api
from .access_keys import AccessKey
from .faults import FaultError
from .gate import Gate
from .replies import (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OPENAPI_ROOT,
    PAI_ROOT,
    ApiError,
    GatewayError,
    error_reply,
    gateway_error,
    is_below,
)
from .settings import Settings, SettingsError
from .state import EmulatorState
from .visitors import Visitors

# The gateway's message for an unknown path, and also for accounts that are not on its allow-list.
UNKNOWN_API = "Specified api is not found"
UNKNOWN_ACTION = "Specified api is not found, please check your url and method."
ROUTING_MESSAGES = {NOT_FOUND: "No such path", METHOD_NOT_ALLOWED: "Method not allowed"}


async def _on_api_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - it is registered for nothing else
    return error_reply(request.scope["path"], error.status, error.message)


async def _on_gateway_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GatewayError)  # noqa: S101 - it is registered for nothing else
    return gateway_error(error.status, error.message, code=error.code, host=request.headers.get("host", ""))


async def _on_routing_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    if is_below(request.scope["path"], OPENAPI_ROOT):
        # The gateway, like the service below, does not tell a wrong method from a wrong path.
        return gateway_error(NOT_FOUND, UNKNOWN_ACTION, host=request.headers.get("host", ""))
    message = ROUTING_MESSAGES.get(error.status_code, error.detail)
    if error.status_code == NOT_FOUND and is_below(request.scope["path"], PAI_ROOT):
        message = UNKNOWN_API
    return error_reply(request.scope["path"], error.status_code, message)


async def _on_control_error(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, BAD_REQUEST)


def create_app(
    *,
    api_key: str | None = None,
    access_key: AccessKey | None = None,
    settings: Settings | None = None,
    allow_remote: bool = False,
) -> FastAPI:
    """
    Build the emulator's application.

    Faults that close the connection need the emulator's own server (``server.build_server``). Everything else works
    under any ASGI server with one process.

    :param api_key: API key of both services; None (default) for a random one, in ``app.state.emulator.api_key``.
    :param access_key: AccessKey pair for signed PAI requests; None (default) for a random one, in
        ``app.state.emulator.access_key``.
    :param settings: settings to start with, and to return to on reset; None (default) for the defaults.
    :param allow_remote: accept requests for any host name. False (default) accepts names of this machine only, so that
        no web page in a browser reaches the emulator under a name of its own.
    """
    # A path with a slash too many is wrong; redirecting it would send the key to another URL.
    app = FastAPI(title="Audiences emulator", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    state = EmulatorState(api_key=api_key, access_key=access_key, settings=settings)
    app.state.emulator = state
    app.add_middleware(Gate, state=state)
    app.add_middleware(Visitors, allow_remote=allow_remote)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(GatewayError, _on_gateway_error)
    app.add_exception_handler(HTTPException, _on_routing_error)
    app.add_exception_handler(control.ControlError, _on_control_error)
    app.add_exception_handler(FaultError, _on_control_error)
    app.add_exception_handler(SettingsError, _on_control_error)
    for api in (applovin_api, applovin_suppression_api, pai_api, pai_openapi_api, control):
        app.include_router(api.router)
    return app
