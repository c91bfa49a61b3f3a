"""An HTTP proxy in front of a server that lets a test act before each request."""

import contextlib
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit


class Gate:
    """
    Forwards what it is sent, as it is, host header included, so that signatures stay valid.

    :param target: address of the server behind it.
    """

    def __init__(self, target: str) -> None:
        self.url = ""
        self.passed = 0
        """Requests so far."""
        self.before: Callable[[int], None] = lambda _number: None
        """Called with the request's number, from 1 on; the request waits meanwhile."""
        self.error: BaseException | None = None
        """What ``before`` raised; the client sees a broken connection, and may try again."""
        self.lags = False
        """Whether lists are those that were asked for last, before this was set."""
        self._lists: dict[str, tuple[int, str, bytes]] = {}
        self._target = urlsplit(target).netloc

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, str, bytes]:
        """Return status, content type and body of the reply."""
        self.passed += 1
        try:
            self.before(self.passed)
        except BaseException as error:
            self.error = error
            raise
        if self.lags and path in self._lists:
            return self._lists[path]
        answer = self._forward(method, path, headers, body)
        if "PageNumber=" in path:
            self._lists[path] = answer
        return answer

    def open(self, before: Callable[[int], None]) -> None:
        """
        Count requests from the start again, and call a function before each.

        :param before: function that is called before each request, with its number.
        """
        self.passed, self.before, self.error, self.lags = 0, before, None, False
        self._lists.clear()

    def _forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body or None)
            reply = connection.getresponse()
            content = reply.read()
        return reply.status, reply.getheader("content-type", ""), content


@contextlib.contextmanager
def gate_before(target: str) -> Iterator[Gate]:
    """
    Open a gate.

    :param target: address of the server behind it.
    """
    gate = Gate(target)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = [(name, value) for name, value in self.headers.items() if name.lower() != "connection"]
            status, content_type, content = gate.forward(self.command, self.path, headers, body)
            self.send_response_only(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            pass  # kept in the gate

    with Server(("127.0.0.1", 0), Handler) as server:
        gate.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gate
        finally:
            server.shutdown()
            thread.join()
