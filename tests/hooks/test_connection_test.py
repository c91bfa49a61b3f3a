"""What the test of a connection says is wrong: the key, its product, the host, the network, the clock."""

import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.hooks.applovin import AppLovinHook
from airflow_provider_audiences.hooks.pai import PaiHook
from airflow_provider_audiences.platforms.pai import signing

Connect = Callable[..., None]
HOOKS: dict[str, Any] = {"applovin": AppLovinHook, "pai": PaiHook}
each_type = pytest.mark.parametrize("conn_type", HOOKS)


class Proxy(http.server.BaseHTTPRequestHandler):
    """Shows a page to log in, as proxies do, or sends everybody there."""

    def do_GET(self) -> None:
        page = b"<html><title>Log in</title></html>"
        is_sent_there = self.path.startswith("/elsewhere")
        self.send_response(302 if is_sent_there else 200)
        if is_sent_there:
            self.send_header("Location", "https://login.example.com/?from=here")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments: Any) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    """The address of a proxy with a login page."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@each_type
@pytest.mark.parametrize(
    ("host", "sentences"),
    [
        (
            "https://api.misspelt.invalid",
            "this machine's name servers don't know the host [attempts 1]. Check the connection's host for typing",
        ),
        ("https://{emulator}", "the server answers without TLS [attempts 1]. Check the connection's host and port"),
        (
            "http://{emulator}/v0",
            "[HTTP 404, attempts 1]. Check the connection's host: its name, and the path behind it.",
        ),
        ("{proxy}", "this is not the API: it answered text/html, and no JSON object [HTTP 200, attempts 1]. Check the"),
        (
            "{proxy}/elsewhere",
            "the server redirects to login.example.com, which is not followed [HTTP 302, attempts 1].",
        ),
    ],
    ids=["unknown host", "no TLS", "another path", "login page", "redirect"],
)
def test_a_wrong_host_is_told_apart(
    connect: Connect, emulator: AudiencesEmulator, proxy: str, conn_type: str, host: str, sentences: str
) -> None:
    connect(conn_type, host=host.format(emulator=emulator.url.removeprefix("http://"), proxy=proxy))
    works, text = HOOKS[conn_type]().test_connection()
    assert not works
    assert sentences in text


def test_a_key_of_another_product_is_told_as_such(connect: Connect, emulator: AudiencesEmulator) -> None:
    """AppLovin's reporting key is refused as any other key that is not the Management Key."""
    connect("applovin", password="report-key-of-the-same-account")
    works, text = AppLovinHook().test_connection()
    assert not works
    assert "Other keys that this page may show are of other products, and refused here." in text
    assert "report-key" not in text


def test_a_clock_that_is_wrong_is_told_as_such(
    connect: Connect, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz or UTC) - timedelta(minutes=16)

    monkeypatch.setattr(signing, "datetime", Slow)
    connect("pai", dialect="openapi")
    works, text = PaiHook().test_connection()
    assert not works
    assert "code InvalidTimeStamp.Expired" in text
    assert text.endswith("Set this machine's clock: a signature is good for 15 minutes.")


def test_a_role_without_the_right_is_told_as_such(connect: Connect, emulator: AudiencesEmulator) -> None:
    emulator.fault("pai.list", "status", status=403)
    connect("pai", dialect="openapi")
    works, text = PaiHook().test_connection()
    assert not works
    assert "Give the RAM user or role a policy that allows the calls of PaiPlugin" in text
