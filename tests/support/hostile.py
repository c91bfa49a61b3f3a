"""Servers on loopback that misbehave: replies that never end, or are too large, in any part of them."""

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket], None]
"""What a server does with a connection; its end closes it."""

DRIP_SECONDS = 0.05
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EMPTY_LIST = b'{"code": 200, "audiences": [], "count": 0}'


@dataclass
class Hostile:
    """A server under way: its address, and how many connections it was given."""

    url: str
    connections: list[socket.socket] = field(default_factory=list)


@contextlib.contextmanager
def hostile_server(behaviour: Behaviour, *, context: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """
    Serve each connection by one behaviour, in a thread of its own.

    :param behaviour: function that serves one connection.
    :param context: of a server that speaks TLS.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    scheme = "https" if context else "http"
    server = Hostile(url=f"{scheme}://127.0.0.1:{listening.getsockname()[1]}")

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            behaviour(context.wrap_socket(connection, server_side=True) if context else connection)

    def listen() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            server.connections.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield server
    finally:
        # A close alone would not wake up the thread that accepts.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in server.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def request_read(connection: socket.socket) -> None:
    """Read a request, head and body."""
    with connection.makefile("rb") as file:
        length = 0
        while (line := file.readline()) not in {b"", b"\r\n"}:
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        file.read(length)


def after_request(head: bytes, pieces: Callable[[], Iterator[bytes]], *, pause_seconds: float = 0.0) -> Behaviour:
    """
    Return the behaviour of a server that reads the request, and then sends a beginning and piece after piece.

    :param head: bytes to send first, such as status line and headers.
    :param pieces: function that returns the pieces to send after that.
    :param pause_seconds: pause before each piece; default 0.
    """

    def behave(connection: socket.socket) -> None:
        request_read(connection)
        connection.sendall(head)
        for piece in pieces():
            if pause_seconds:
                time.sleep(pause_seconds)
            connection.sendall(piece)

    return behave


def reply(headers: bytes, body: bytes) -> Behaviour:
    """
    Return the behaviour of a server that sends the same reply to each request of a connection.

    :param headers: header lines after the status line and content type.
    :param body: body of the reply.
    """

    def behave(connection: socket.socket) -> None:
        while True:
            request_read(connection)
            connection.sendall(OK + headers + b"\r\n" + body)

    return behave


def silent(connection: socket.socket) -> None:
    """Take what comes, and say nothing."""
    while connection.recv(65536):
        pass


def deaf(connection: socket.socket) -> None:
    """Take nothing, and say nothing."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    time.sleep(30)


def _again(piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.repeat(piece)


def _bomb(size: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for _ in range(size >> 20):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()


def gzip_bomb(size: int) -> bytes:
    """
    Return gzip of that many zeros.

    :param size: a number of bytes.
    """
    return b"".join(_bomb(size))


_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

DRIPPING: dict[str, Behaviour] = {
    "silent": silent,
    "status line": after_request(b"HTTP/1.1 20", _again(b"0"), pause_seconds=DRIP_SECONDS),
    "headers": after_request(OK, _again(b"X-A: b\r\n"), pause_seconds=DRIP_SECONDS),
    "one header": after_request(OK + b"X-A: ", _again(b"b"), pause_seconds=DRIP_SECONDS),
    "interim 100": after_request(b"", _again(b"HTTP/1.1 100 Continue\r\n\r\n"), pause_seconds=DRIP_SECONDS),
    "interim 103": after_request(b"", _again(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"), pause_seconds=DRIP_SECONDS),
    "body": after_request(OK + b"Content-Length: 1000\r\n\r\n", _again(b" "), pause_seconds=DRIP_SECONDS),
    "body without length": after_request(OK + b"\r\n", _again(b" "), pause_seconds=DRIP_SECONDS),
    "chunks": after_request(_CHUNKED, _again(b"1\r\n \r\n"), pause_seconds=DRIP_SECONDS),
    "size of a chunk": after_request(_CHUNKED, _again(b"0"), pause_seconds=DRIP_SECONDS),
    "trailers": after_request(_CHUNKED + b"0\r\n", _again(b"A: b\r\n"), pause_seconds=DRIP_SECONDS),
}
"""Servers that go on for ever, and slowly."""

ENDLESS: dict[str, Behaviour] = {
    "status line": after_request(b"HTTP/1.1 200 ", _again(b"K" * 65536)),
    "headers": after_request(OK, _again(b"X-A: b\r\n" * 8192)),
    "one header": after_request(OK + b"X-A: ", _again(b"b" * 65536)),
    "interim 100": after_request(b"", _again(b"HTTP/1.1 100 Continue\r\n\r\n" * 4096)),
    "interim 102": after_request(b"", _again(b"HTTP/1.1 102 Processing\r\nA: b\r\n\r\n" * 4096)),
    "body": after_request(OK + b"Content-Length: 99999999999\r\n\r\n", _again(b" " * 65536)),
    "body without length": after_request(OK + b"\r\n", _again(b" " * 65536)),
    "chunks": after_request(_CHUNKED, _again(b"10000\r\n" + b" " * 65536 + b"\r\n")),
    "one chunk": after_request(_CHUNKED + b"FFFFFFFFFF\r\n", _again(b" " * 65536)),
    "size of a chunk": after_request(_CHUNKED, _again(b"0" * 65536)),
    "trailers": after_request(_CHUNKED + b"0\r\n", _again(b"A: b\r\n" * 8192)),
    "gzip": after_request(OK + b"Content-Encoding: gzip\r\n\r\n", _again(gzip.compress(bytes(1 << 20)))),
}
"""Servers that go on for ever, and fast."""
