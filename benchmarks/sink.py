"""
A bare server on loopback that accepts AppLovin's uploads, counts them, and keeps nothing.

``python -m benchmarks.sink`` prints its port and runs until its standard input closes, so it never outlives its parent.
It uses plain sockets and a thread for each connection, because it shares the machine with what is measured and must
cost next to nothing. Its list names one audience with a member count, which it computes from the requests. ``GET
/counts`` returns the counts, ``GET /reset`` sets them to 0, ``GET /delay/SECONDS`` delays uploads.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

_BUFFER_BYTES = 1 << 20
_NEWLINE = ord("\n")
_UPLOADS = (b"/audiences/update", b"/audiences/append")

AUDIENCE_ID = "bench"


@dataclass(kw_only=True)
class Received:
    """
    What has arrived.

    :param bodies: number of uploads.
    :param lines: number of lines in the uploads.
    :param bytes: number of bytes in the uploads.
    :param lists: requests for the list.
    :param members: of the audience, which a reset leaves as it is.
    :param most_at_once: most uploads that were under way at the same time.
    """

    bodies: int = 0
    lines: int = 0
    bytes: int = 0
    lists: int = 0
    members: int = 0
    most_at_once: int = 0


class RunningSink:
    """
    The sink as its parent sees it.

    :param url: address that the server listens on.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def reset(self) -> None:
        """Set the counts to 0."""
        self._get("/reset")

    def delay(self, seconds: float) -> None:
        """
        Take some time for each upload from now on.

        :param seconds: how long each upload takes.
        """
        self._get(f"/delay/{seconds}")

    def received(self) -> Received:
        """Return the counts."""
        return Received(**self._get("/counts"))

    def _get(self, path: str) -> dict[str, int]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}{path}", timeout=10) as reply:
            answer: dict[str, int] = json.load(reply)
        return answer


@contextmanager
def running_sink(*, delay_seconds: float = 0.0) -> Iterator[RunningSink]:
    """
    Run a sink in a process of its own.

    :param delay_seconds: how long it waits before it answers an upload.
    """
    command = [sys.executable, "-m", "benchmarks.sink", "--delay-seconds", str(delay_seconds)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield RunningSink(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def main() -> int:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="benchmarks.sink", description=__doc__)
    parser.add_argument("--delay-seconds", type=float, default=0.0, help="wait before each answer to an upload")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sink = _Sink(options.delay_seconds)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=sink.serve, args=(connection,), daemon=True).start()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


class _Sink:
    def __init__(self, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._lock = threading.Lock()
        self._received = Received()
        self._under_way = 0

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection's requests until it closes."""
        buffer = bytearray(_BUFFER_BYTES)
        rest = b""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                while b"\r\n\r\n" not in rest:
                    if not (size := connection.recv_into(buffer)):
                        return
                    rest += buffer[:size]
                head, _, rest = rest.partition(b"\r\n\r\n")
                target, _, query = head.split(b" ", 2)[1].partition(b"?")
                headers = head.lower()
                if b"expect: 100-continue" in headers:
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                length = _content_length(headers)
                if target in _UPLOADS and length is not None:
                    lines = self._take(connection, buffer, rest, length)
                    if lines is None:
                        return
                    rest = b""
                    self._count_members(target, query, lines)
                    answer = b'{"code":200,"num_valid_ids":%d,"num_invalid_ids":0}' % lines
                else:
                    answer = self._control(target)
                status = b"200 OK" if answer else b"404 Not Found"
                connection.sendall(
                    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (status, len(answer), answer)
                )

    def _take(self, connection: socket.socket, buffer: bytearray, rest: bytes, length: int) -> int | None:
        """Read a body and count it; None if the connection closed before its end."""
        with self._lock:
            self._under_way += 1
            self._received.most_at_once = max(self._received.most_at_once, self._under_way)
        try:
            lines = rest.count(b"\n")
            last = rest[-1] if rest else _NEWLINE
            left = length - len(rest)
            while left > 0:
                if not (size := connection.recv_into(buffer, min(left, _BUFFER_BYTES))):
                    return None
                lines += buffer.count(b"\n", 0, size)
                last = buffer[size - 1]
                left -= size
            lines += last != _NEWLINE
            if self._delay_seconds:
                time.sleep(self._delay_seconds)
        finally:
            with self._lock:
                self._under_way -= 1
        with self._lock:
            self._received.bodies += 1
            self._received.lines += lines
            self._received.bytes += length
        return lines

    def _count_members(self, target: bytes, query: bytes, lines: int) -> None:
        with self._lock:
            if target == b"/audiences/update":
                self._received.members = lines
            else:
                self._received.members += -lines if b"ttl_seconds=0" in query.split(b"&") else lines

    def _control(self, target: bytes) -> bytes:
        with self._lock:
            if target == b"/audiences/list":
                self._received.lists += 1
                entry: dict[str, str | int] = {"audience_id": AUDIENCE_ID, "name": AUDIENCE_ID, "platform": "android"}
                entry |= {"user_count": self._received.members}
                return json.dumps({"code": 200, "count": 1, "audiences": [entry]}).encode()
            if target == b"/reset":
                self._received = Received(members=self._received.members)
            elif target.startswith(b"/delay/"):
                self._delay_seconds = float(target.rpartition(b"/")[2])
            elif target != b"/counts":
                return b""
            return json.dumps(asdict(self._received)).encode()


def _content_length(headers: bytes) -> int | None:
    _, found, after = headers.partition(b"\r\ncontent-length:")
    return int(after.partition(b"\r\n")[0]) if found else None


if __name__ == "__main__":
    sys.exit(main())
