"""Requests that got no reply: what that means, and whether the platform may have carried them out."""

from __future__ import annotations

import traceback

import requests

from airflow_provider_audiences.exceptions import AudienceApiError, ConnectionFailedError, InvalidInputError


def connection_failure(
    error: Exception, *, connect_timeout_seconds: float, read_timeout_seconds: float
) -> AudienceApiError:
    """
    Say what went wrong on the way, without quoting requests: its texts hold URLs.

    :param error: of requests, or what it raises for a request that can't be made.
    :param connect_timeout_seconds: that it was given.
    :param read_timeout_seconds: that it was given.
    """
    if isinstance(error, ValueError):
        return InvalidInputError(
            "no request can be made of this: the address, a proxy's address, the key or the content type is malformed",
            advice="Check the connection, and the proxy variables in this worker's environment.",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return ConnectionFailedError(
            f"no connection within {connect_timeout_seconds:g} s",
            advice="Check the connection's host and port, and that this worker may reach it.",
        )
    if isinstance(error, requests.exceptions.ReadTimeout):
        return ConnectionFailedError(
            f"no reply within {read_timeout_seconds:g} s",
            maybe_applied=True,
            too_large="likely",
            advice="Send smaller batches, or raise read_timeout_seconds in the connection's extra.",
        )
    if isinstance(error, requests.exceptions.SSLError):
        # Only a certificate that was refused proves that no request was sent; a record may break later on.
        return ConnectionFailedError(
            "the TLS connection failed",
            maybe_applied="CERTIFICATE_VERIFY_FAILED" not in str(error),
            # Over TLS, this is how a server hangs up in the middle.
            too_large="maybe" if "EOF occurred" in str(error) else "no",
            advice="Check the host name and this machine's certificates.",
        )
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ProxyError"}:
        return ConnectionFailedError(
            "could not connect",
            advice="Check the connection's host and port, and that this worker may reach it.",
        )
    return ConnectionFailedError(
        "the connection broke before the whole reply arrived",
        maybe_applied=True,
        too_large="maybe",
        advice="Whether the platform carried the request out is unknown.",
    )


def break_circles(error: BaseException | None, *, until: BaseException | None) -> None:
    """
    Empty the frames of requests and urllib3: they hold errors that hold them, and with them the body.

    :param error: where to begin.
    :param until: what the caller was handling before.
    """
    while error is not None and error is not until:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
