"""The one error of the emulated services, and how each of them words it on the wire."""

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

# What the gateway calls an error of which only the HTTP status is known.
GATEWAY_CODES = {
    BAD_REQUEST: "InvalidParameter",
    FORBIDDEN: "Forbidden.RAM",
    NOT_FOUND: "InvalidAction.NotFound",
    TOO_MANY_REQUESTS: "Throttling.User",
    UNAVAILABLE: "ServiceUnavailable",
}


class ApiError(Exception):
    """
    A request that the service refuses. The message holds neither a key nor a member.

    :param status: HTTP status, which both services repeat in the body
    :param message: what is wrong, naming the parameter
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class GatewayError(Exception):
    """
    A request that the gateway in front of the signed dialect refuses; the service never sees it.

    :param status: HTTP status
    :param code: the gateway's name of the error, such as ``SignatureDoesNotMatch``
    :param message: what is wrong; holds no secret
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def gateway_error(status: int, message: str, *, code: str | None = None, host: str = "") -> JSONResponse:
    """
    :param status: HTTP status
    :param message: text for people
    :param code: name of the error; None takes the usual one of the status
    :param host: the host that was called
    :return: an error as the gateway of the signed dialect sends it
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
    :param status: HTTP status
    :param message: text for people
    :param code: code of the body when it differs from the HTTP status
    :return: an error as the AppLovin side sends it; its document shows no error body, so the form is ours
    """
    return JSONResponse({"code": status if code is None else code, "message": message}, status)


def pai_envelope(data: Any, *, status: int = OK, error_code: int | None = None, message: str = "OK") -> JSONResponse:
    """
    :param data: what goes into ``Data``
    :param status: HTTP status
    :param error_code: ``ErrorCode``; when None it is 0 with a 2xx status, else the status
    :param message: ``ErrorMessage``
    :return: a reply in the envelope that all PAI replies share
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
    :param body: of a request
    :return: what it says
    :raises ValueError: it is no JSON, or holds what no reply could say again
    """
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON, or no reader could take it") from None
    return value


def is_below(path: str, prefix: str) -> bool:
    """:return: whether the path is the prefix or lies under it"""
    return path == prefix or path.startswith(prefix + "/")


def error_reply(path: str, status: int, message: str, *, code: int | None = None) -> JSONResponse:
    """
    :param path: path of the request, which decides whose error this is
    :param status: HTTP status
    :param message: text for people
    :param code: number in the body when it differs from the HTTP status
    :return: the error in the form of the service that the path belongs to
    """
    if is_below(path, PAI_ROOT) or is_below(path, OPENAPI_ROOT):
        return pai_envelope(None, status=status, error_code=code, message=message)
    return applovin_error(status, message, code=code)
