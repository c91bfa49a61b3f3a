"""The emulator's own server: uvicorn, which also tells the application the TCP connection of each request."""

import asyncio
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .gate import TRANSPORT_EXTENSION

# Long enough that a client's pooled connection is not closed between two steps of a test.
KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 2


def _base_protocol(http: str) -> type[Any]:
    """Return uvicorn's HTTP protocol of a name; ``auto`` is the faster one if it is installed."""
    if http == "h11":
        return H11Protocol
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415 - optional
    except ImportError:
        if http == "auto":
            return H11Protocol
        raise
    return HttpToolsProtocol


def _naming_its_transport(base: type[Any]) -> type[asyncio.Protocol]:
    """
    Return a subclass that puts the TCP transport into the scope of each request.

    ASGI itself has no way to close a connection without a reply.

    :param base: one of uvicorn's HTTP protocols.
    """

    class NamingProtocol(base):  # type: ignore[misc]
        app: Any

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.app = _with_transport(self.app, transport)

    return NamingProtocol


def _with_transport(app: ASGIApp, transport: asyncio.BaseTransport) -> ASGIApp:
    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[TRANSPORT_EXTENSION] = transport
        await app(scope, receive, send)

    return named


def listen(host: str, port: int) -> socket.socket:
    """
    Return a listening socket, so that the port is known before the server runs.

    :param host: host name or IP address.
    :param port: port number; 0 for any free port.
    :raises OSError: the address can't be used.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket, without a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def build_server(
    app: FastAPI, *, http: str = "auto", log_level: str = "warning", configure_logging: bool = False
) -> uvicorn.Server:
    """
    Return a server, to be run on a socket of :func:`listen`.

    :param app: application that ``create_app`` returned.
    :param http: uvicorn's HTTP implementation: ``h11``, ``httptools``, or ``auto`` (default) for the faster one that is
        installed.
    :param log_level: uvicorn's log level; default ``warning``. There is no access log, which would show the key.
    :param configure_logging: let uvicorn configure logging; default False, as a server inside a test run needs.
    """
    config = uvicorn.Config(
        app,
        http=_naming_its_transport(_base_protocol(http)),
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        log_level=log_level,
        log_config=uvicorn.config.LOGGING_CONFIG if configure_logging else None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)
