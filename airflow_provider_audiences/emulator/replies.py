"""The errors of the emulated services, and the form that each service gives its replies."""

import json
import uuid
from typing import Any

from fastapi.responses import JSONResponse

APPLOVIN_PREFIX = "/audiences"
SUPPRESSION_ADD_PATH = "/suppressionApps"
SUPPRESSION_DELETE_PATH = "/deleteSuppressionApps"
PAI_ROOT = "/api/PaiPlugin"
PAI_PREFIX = "/api/PaiPlugin/2022-01-12"
OPENAPI_ROOT = "/api/v2"
OPENAPI_PREFIX = "/api/v2/groups"
CONTROL_PREFIX = "/_emulator"

OK = 200
BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
NOT_ACCEPTABLE = 406
TOO_LARGE = 413
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
UNAVAILABLE = 503

# The gateway's name of an error of which only the HTTP status is known.
GATEWAY_CODES = {
    BAD_REQUEST: "InvalidParameter",
    FORBIDDEN: "Forbidden.RAM",
    NOT_FOUND: "InvalidAction.NotFound",
    TOO_MANY_REQUESTS: "Throttling.User",
    UNAVAILABLE: "ServiceUnavailable",
}


class ApiError(Exception):
    """
    A request that the service refuses. The message has neither a key nor a member.

    :param status: HTTP status, which both services repeat in the body.
    :param message: what is wrong, with the name of the parameter.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class GatewayError(Exception):
    """
    A request that the gateway in front of the signed dialect refuses, so that the service never sees it.

    :param status: HTTP status of the reply.
    :param code: the gateway's name of the error, such as ``SignatureDoesNotMatch``.
    :param message: what is wrong, without secrets.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def gateway_error(status: int, message: str, *, code: str | None = None, host: str = "") -> JSONResponse:
    """
    Return an error reply in the form of the signed dialect's gateway.

    :param status: HTTP status of the reply.
    :param message: explanation for people.
    :param code: name of the error; None (default) for the usual one of the status.
    :param host: host that was called; default empty.
    """
    body = {
        "Code": code or GATEWAY_CODES.get(status, "InternalError" if status >= SERVER_ERROR else "UnknownError"),
        "HostId": host,
        "Message": message,
        "RequestId": str(uuid.uuid4()).upper(),
    }
    return JSONResponse(body, status)


def applovin_error(status: int, message: str, *, code: int | None = None) -> JSONResponse:
    """
    Return an error reply of the AppLovin services. AppLovin documents no error body, so the form is this package's own.

    :param status: HTTP status of the reply.
    :param message: explanation for people.
    :param code: code in the body; None (default) for the HTTP status.
    """
    return JSONResponse({"code": status if code is None else code, "message": message}, status)


def pai_envelope(data: Any, *, status: int = OK, error_code: int | None = None, message: str = "OK") -> JSONResponse:
    """
    Return a reply in the envelope that all PAI replies share.

    :param data: value of ``Data``.
    :param status: HTTP status of the reply; default 200.
    :param error_code: value of ``ErrorCode``; None (default) for 0 with a 2xx status, and for the status otherwise.
    :param message: value of ``ErrorMessage``; default ``OK``.
    """
    if error_code is None:
        error_code = 0 if status < 300 else status  # noqa: PLR2004
    body = {
        "Data": data,
        "ErrorCode": error_code,
        "ErrorMessage": message,
        "RequestId": str(uuid.uuid4()),
    }
    return JSONResponse(body, status)


def read_json(body: bytes) -> Any:
    """
    Return the JSON value in a body.

    :param body: body of the request.
    :raises ValueError: the body is no JSON, or has a value that a JSON reply could not repeat.
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON, or no reader could take it") from None
    return value


def is_below(path: str, prefix: str) -> bool:
    """Return whether a path is a prefix, or lies below it."""
    return path == prefix or path.startswith(prefix + "/")


def error_reply(path: str, status: int, message: str, *, code: int | None = None) -> JSONResponse:
    """
    Return an error in the form of the service that a path belongs to.

    :param path: path of the request.
    :param status: HTTP status of the reply.
    :param message: explanation for people.
    :param code: number in the body; None (default) for the HTTP status.
    """
    if is_below(path, PAI_ROOT) or is_below(path, OPENAPI_ROOT):
        return pai_envelope(None, status=status, error_code=code, message=message)
    return applovin_error(status, message, code=code)
