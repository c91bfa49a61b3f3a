"""Errors for requests without a reply: they say what went wrong, and whether the request may have been carried out."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3

from airflow_provider_audiences.exceptions import AudienceError, ConnectionFailedError, InvalidInputError
from airflow_provider_audiences.http.bodies import too_large
from airflow_provider_audiences.http.exchange import Ending, Exchange
from airflow_provider_audiences.http.timed_calls import MAX_THREADS

REQUEST_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""Errors that the libraries raise for a request that can't be made, or that failed."""

_UNKNOWN_FATE = "Whether the platform carried the request out is unknown."
_CHECK_HOST = "Check the connection's host and port, and that this worker may reach it."
_ANSWERS_WITHOUT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
"""OpenSSL's reasons, of several versions, for a reply in plain text."""

_EXPIRED = (
    "the server's certificate is not valid today",
    "Check this machine's clock; if it is right, the server has to renew its certificate.",
)
_OTHER_HOST = (
    "the server's certificate is for another host",
    "Check the connection's host for typing errors, and proxies between this worker and the platform.",
)
_CERTIFICATE_FAILURES = {9: _EXPIRED, 10: _EXPIRED, 62: _OTHER_HOST, 64: _OTHER_HOST}
"""What OpenSSL's codes mean (X509_V_ERR_…), and what to do."""

_UNKNOWN_ISSUER = (
    "this machine does not trust the server's certificate",
    "Check the connection's host; a proxy that opens TLS needs its own certificate in REQUESTS_CA_BUNDLE.",
)
_MALFORMED = (
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.InvalidHeader,
    http.client.BadStatusLine,
    http.client.LineTooLong,
    http.client.UnknownProtocol,
)


def connection_failure(error: Exception, exchange: Exchange) -> AudienceError:
    """
    Return the error for a request that failed before its whole reply arrived.

    The message does not quote the library's error, as that may hold URLs. Whether the request may have been carried out
    depends on whether any of it was sent, not on the type of the library's error.

    :param error: the library's error, one of :data:`REQUEST_ERRORS`.
    :param exchange: the request's exchange, which tells how far the request has come.
    """
    if exchange.ending is not None:
        return _ended_here(exchange, exchange.ending)
    return _after_sending(error) if exchange.has_begun else _before_sending(error, exchange)


def _ended_here(exchange: Exchange, ending: Ending) -> AudienceError:
    if ending is Ending.NO_THREAD:
        return ConnectionFailedError(
            f"{MAX_THREADS} look-ups of host names hang in this process, so no further one was begun",
            advice="Check this machine's name servers, then try again.",
        )
    if ending is Ending.TOO_LARGE:
        failure = too_large(exchange.status)
        failure.maybe_applied = exchange.has_begun
        return failure
    is_deadline = ending is Ending.DEADLINE
    if not exchange.has_begun:
        seconds = exchange.deadline_seconds if is_deadline else exchange.connect_timeout_seconds
        return ConnectionFailedError(f"no connection within {seconds:.3g} s", advice=_CHECK_HOST)
    seconds = exchange.deadline_seconds if is_deadline else exchange.silence_seconds
    extra = "request_deadline_seconds" if is_deadline else "read_timeout_seconds"
    if not exchange.received_bytes:
        return ConnectionFailedError(
            f"no reply within {seconds:.3g} s",
            maybe_applied=True,
            too_large="likely",
            advice=f"Send smaller batches, or raise {extra} in the connection's extra.",
        )
    what = f"the reply had not ended after {seconds:.3g} s" if is_deadline else f"the reply stopped for {seconds:.3g} s"
    return ConnectionFailedError(
        f"{what}: {exchange.seen()}",
        http_status=exchange.status,
        maybe_applied=True,
        advice=f"{_UNKNOWN_FATE} Should the server need that long, raise {extra} in the connection's extra.",
    )


def _before_sending(error: Exception, exchange: Exchange) -> AudienceError:
    if isinstance(error, requests.exceptions.Timeout):
        return ConnectionFailedError(
            f"no connection within {exchange.connect_timeout_seconds:g} s",
            advice=_CHECK_HOST,
        )
    if isinstance(error, requests.exceptions.SSLError):
        return _tls_failure(error)
    if isinstance(error, ValueError):
        return InvalidInputError(
            "no request can be made of this: the address, a proxy's address, the key or the content type is malformed",
            advice="Check the connection, and the proxy variables in this worker's environment.",
        )
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror | urllib3.exceptions.NameResolutionError) for cause in causes):
        return ConnectionFailedError(
            "could not connect: this machine's name servers don't know the host",
            advice="Check the connection's host for typing errors, and this worker's network.",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return ConnectionFailedError(
            "could not connect: nothing listens at that host and port",
            advice="Check the connection's host and port, and proxies and firewalls of this worker.",
        )
    return ConnectionFailedError("could not connect", advice=_CHECK_HOST)


def _tls_failure(error: Exception) -> ConnectionFailedError:
    failed = "the TLS connection failed"
    cause = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        what, advice = _CERTIFICATE_FAILURES.get(cause.verify_code, _UNKNOWN_ISSUER)
        return ConnectionFailedError(f"{failed}: {what}", advice=advice)
    if cause is not None and cause.reason in _ANSWERS_WITHOUT_TLS:
        return ConnectionFailedError(
            f"{failed}: the server answers without TLS",
            advice="Check the connection's host and port: a server of http, such as the emulator, has no https.",
        )
    return ConnectionFailedError(failed, advice="Check the host name and this machine's certificates.")


def _after_sending(error: Exception) -> ConnectionFailedError:
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFailedError(
            "the TLS connection failed",
            maybe_applied=True,
            # OpenSSL reports this if a server closes a connection without ending TLS first.
            too_large="maybe" if "EOF occurred" in str(error) else "no",
            advice="Check the host name and this machine's certificates.",
        )
    if any(_is_malformed_reply(cause) for cause in _causes(error)):
        return ConnectionFailedError(
            "the reply is malformed: its status line or its headers contradict themselves or HTTP",
            maybe_applied=True,
            advice=f"{_UNKNOWN_FATE} Check the connection's host, and proxies between this worker and the platform.",
        )
    return ConnectionFailedError(
        "the connection broke before the whole reply arrived",
        maybe_applied=True,
        too_large="maybe",
        advice=_UNKNOWN_FATE,
    )


def _is_malformed_reply(error: BaseException) -> bool:
    # RemoteDisconnected is a subclass of BadStatusLine, but means that the server has closed the connection.
    return isinstance(error, _MALFORMED) and not isinstance(error, http.client.RemoteDisconnected)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and, step by step, all errors that it refers to: by its cause, its context or its arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        error = waiting.pop()
        if id(error) not in seen:
            seen.add(id(error))
            yield error
            parts = (error.__cause__, error.__context__, *error.args)
            waiting += [part for part in parts if isinstance(part, BaseException)]
