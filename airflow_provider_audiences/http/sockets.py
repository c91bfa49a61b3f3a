"""
Connections that keep to an exchange's limits.

``http.client`` only waits in a socket's ``connect``, ``send`` or ``recv``. Here, each of them gets the rest of the
request's time as its timeout, and received bytes are counted. So one thread does everything, and no reply can delay it
past the deadline. Only the look-up of a host name takes no timeout; see
:mod:`airflow_provider_audiences.http.timed_calls`.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
from functools import partial
from http import HTTPStatus
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_provider_audiences.http.addresses import is_loopback
from airflow_provider_audiences.http.exchange import Ending, Exchange, current_exchange
from airflow_provider_audiences.http.timed_calls import TooManyCallsError, call_with_timeout

_PIECE_BYTES = 1024 * 1024
"""Most bytes for one call of a socket's ``send``, which may send fewer."""


class _Incoming(io.RawIOBase):
    """
    The bytes that a socket receives, as a file.

    :param sock: socket to read from.
    :param exchange: exchange whose limits apply.
    """

    def __init__(self, sock: Any, exchange: Exchange) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def readinto(self, buffer: Any, /) -> int:
        self._sock.settimeout(self._exchange.patience())
        try:
            count: int = self._raw.readinto(buffer)
        except TimeoutError:
            self._exchange.waited_in_vain()
            raise
        self._exchange.received(count)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _BoundedReply(http.client.HTTPResponse):
    """A reply; any number of interim replies before it are skipped, within the exchange's limits."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._exchange = current_exchange()
        if self._exchange is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_Incoming(sock, self._exchange))

    def _read_status(self) -> tuple[str, int, str]:
        status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        if self._exchange is not None and status[1] < HTTPStatus.OK:
            self._exchange.interim_replies += 1
        return status

    def begin(self) -> None:
        super().begin()
        # http.client itself only skips interim replies of status 100.
        while self.status < HTTPStatus.OK:
            if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.UnknownProtocol(str(self.version))
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self._exchange is not None:
            self._exchange.head_ended(self.status)


class BoundedConnection(HTTPConnection):
    """A connection that waits only as long as its thread's exchange allows."""

    response_class = _BoundedReply

    def _new_conn(self) -> socket.socket:
        exchange = current_exchange()
        if exchange is None:
            return super()._new_conn()
        try:
            return _connected(self._dns_host, self.port or 0, self, exchange)
        except TimeoutError as error:
            exchange.waited_in_vain()
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            if isinstance(error, TooManyCallsError):
                exchange.ending = Ending.NO_THREAD
            raise NewConnectionError(self, "not connected") from error

    def _tunnel(self) -> None:
        exchange = current_exchange()
        if exchange is None:
            super()._tunnel()
            return
        exchange.is_with_proxy = True
        try:
            super()._tunnel()
        finally:
            exchange.is_with_proxy = False
            exchange.received_bytes = exchange.interim_replies = 0
        # This is the timeout for the TLS handshake, which comes next.
        self.sock.settimeout(exchange.patience(exchange.connect_timeout_seconds))

    def send(self, data: Any) -> None:
        """
        Send a part of the request.

        :param data: the bytes to send.
        :raises TimeoutError: the other side did not take the bytes in time.
        """
        exchange = current_exchange()
        if exchange is None or not isinstance(data, bytes | bytearray | memoryview):
            super().send(data)
            return
        if self.sock is None:
            self.connect()
        exchange.has_begun |= not exchange.is_with_proxy
        left = memoryview(data)
        while left:
            self.sock.settimeout(exchange.patience())
            try:
                count = self.sock.send(left[:_PIECE_BYTES])
            except TimeoutError:
                exchange.waited_in_vain()
                raise
            left = left[count:]


class BoundedSecureConnection(BoundedConnection, HTTPSConnection):
    """A :class:`BoundedConnection` over TLS. The socket's timeout covers each whole handshake, record and send."""


def _connected(host: str, port: int, connection: HTTPConnection, exchange: Exchange) -> socket.socket:
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in _addresses(host, port, exchange):
        if is_loopback(host) and not is_loopback(str(address[0])):
            # Plain http was allowed for this name, as it means this machine; so it must not lead to another one.
            failure = OSError("the name leads to another machine")
            continue
        sock = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(exchange.patience(exchange.connect_timeout_seconds))
            if connection.source_address:
                sock.bind(connection.source_address)
            sock.connect(address)
            # This is the timeout for a TLS handshake, which may come next.
            sock.settimeout(exchange.patience(exchange.connect_timeout_seconds))
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    try:
        raise failure
    finally:
        del failure


def _addresses(host: str, port: int, exchange: Exchange) -> list[Any]:
    host = host.strip("[]")
    asked = (host, port, allowed_gai_family(), socket.SOCK_STREAM)
    look_up = partial(socket.getaddrinfo, *asked)
    seconds = exchange.patience(exchange.connect_timeout_seconds)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return call_with_timeout(look_up, name=asked, seconds=seconds)
    return look_up()
