"""A bare HTTP server that records requests, with related fixtures; all tests load it as a plugin."""

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Recorder:
    """A bare HTTP server: records what it is sent and answers what it is told to."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    reply: Callable[[str, str], tuple[int, dict[str, str], bytes] | bytes | None] = lambda _method, _target: (
        200,
        {},
        b'{"code": 200, "audiences": [], "count": 0}',
    )
    """From method and target to status, headers and body; to raw bytes in place of a reply; None hangs up."""

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer every request like this from now on."""
        self.reply = lambda _method, _target: (status, headers, body)

    @property
    def targets(self) -> list[str]:
        return [target for _, target, _, _ in self.requests]


@contextlib.contextmanager
def _recording_server(context: ssl.SSLContext | None) -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            recorder.requests.append((self.command, self.path, dict(self.headers), body))
            answer = recorder.reply(self.command, self.path)
            if answer is None or isinstance(answer, bytes):
                # Below TLS, if there is any: what arrives is no record of it.
                descriptor = self.connection.fileno()
                raw = socket.socket(fileno=descriptor)
                raw.sendall(answer or b"")
                raw.shutdown(socket.SHUT_RDWR)
                raw.detach()
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        recorder.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with _recording_server(None) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that signs itself, and its key: two paths."""
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    certificate_path, key_path = folder / "certificate.pem", folder / "key.pem"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate_path), str(key_path)


@pytest.fixture
def tls_recorder(certificate: tuple[str, str]) -> Iterator[Recorder]:
    """The same server over TLS, with a certificate that nobody trusts by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with _recording_server(context) as server:
        yield server


@pytest.fixture
def dead_port() -> int:
    """A port of the loopback address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
