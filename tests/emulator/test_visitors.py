"""A page in the developer's browser can't steer the emulator; programs of this machine can."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.emulator.app import create_app
from airflow_provider_audiences.emulator.server import build_server, listen

PAI = "/api/PaiPlugin/2022-01-12"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running() -> Iterator[AudiencesEmulator]:
    with AudiencesEmulator() as emulator:
        yield emulator


def ask(
    emulator: AudiencesEmulator, method: str, target: str, body: bytes | None = None, headers: Any = ()
) -> tuple[int, bytes]:
    """Send a request with exactly these headers; each may come twice."""
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=30)
    given = list(dict(headers).items() if isinstance(headers, dict) else headers)
    try:
        connection.putrequest(method, target, skip_host=any(name.lower() == "host" for name, _ in given))
        if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in given):
            given.append(("Content-Length", str(len(body))))
        for name, value in given:
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8765", "192.168.1.7", "10.0.0.1:8765", "[fe80::1]:8765", "[::]"),
        *("localhost.evil.example", "127.0.0.1.evil.example", "a.localhost", "x.", "127.0.0.1:1:2"),
        *("localhost@evil.example", "evil.example#localhost", "", "127.1", "2130706433", "localhost:port", "a b"),
        *("127.0.0.1,evil.example", "[::1", "::1", "[::ffff:10.0.0.1]", "localhost\\.evil.example"),
    ],
)
@pytest.mark.parametrize(
    "target", ["/_emulator/settings", "/audiences/list?api_key=k", f"{PAI}/ListGroups", "/nothing"]
)
def test_other_hosts_are_turned_away(running: AudiencesEmulator, host: str, target: str) -> None:
    recorded = len(running.requests())
    status, said = ask(running, "GET", target, headers={"Host": host})

    assert status in {400, 403}
    assert b"file_roots" not in said
    assert len(running.requests()) == recorded


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "127.0.0.1",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:8765",
        "[::ffff:127.0.0.1]",
    ],
)
def test_names_of_this_machine(running: AudiencesEmulator, host: str) -> None:
    assert ask(running, "GET", "/_emulator/settings", headers={"Host": host})[0] == 200
    assert ask(running, "GET", f"/audiences/list?api_key={running.api_key}", headers={"Host": host})[0] == 200
    assert ask(running, "GET", "/audiences/list?api_key=other", headers={"Host": host})[0] == 403


def test_of_two_hosts_both_count(running: AudiencesEmulator) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    for given in (headers, headers[::-1]):
        assert ask(running, "GET", "/_emulator/settings", headers=given)[0] in {400, 403}


MOVES = [
    ("POST", "/clock", b'{"advance_seconds": 1000}'),
    ("POST", "/faults", b'{"operation": "*", "kind": "status"}'),
    ("POST", "/latency", b'{"operation": "*", "seconds": 9}'),
    ("PATCH", "/settings", b'{"file_roots": {"https://b.oss-x.aliyuncs.com": "/"}}'),
]


@pytest.mark.parametrize(("method", "path", "body"), MOVES)
@pytest.mark.parametrize(
    "content_type",
    [
        *(
            "text/plain",
            "text/plain;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ),
        *("", None, "text/plain; application/json", "application/jsonp", "application/json, text/plain"),
    ],
)
def test_bodies_have_to_be_json_by_name(
    running: AudiencesEmulator, method: str, path: str, body: bytes, content_type: str | None
) -> None:
    running.reset()
    before = (running.settings(), running.faults(), running.now())
    headers = {} if content_type is None else {"Content-Type": content_type}
    for more in ({}, {"Transfer-Encoding": "chunked"}):
        sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if more else body
        status, said = ask(running, method, f"/_emulator{path}", sent, {**headers, **more})
        assert status == 400
        assert "application/json" in json.loads(said)["error"]
    assert (running.settings(), running.faults()) == before[:2]
    assert running.now() - before[2] < 60


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_json(running: AudiencesEmulator, content_type: str) -> None:
    running.reset()
    for method, path, body in MOVES:
        assert ask(running, method, f"/_emulator{path}", body, {"Content-Type": content_type})[0] == 200
    running.reset()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost:3000",
        "https://{host}",
        "{host}",
        "",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/reset"), ("DELETE", "/requests"), ("DELETE", "/faults"), ("POST", "/clock"), ("GET", "/settings")],
)
def test_other_origins_are_turned_away(running: AudiencesEmulator, origin: str, method: str, path: str) -> None:
    running.fault("applovin.list", "status")
    headers = {**JSON, "Origin": origin.format(host=urlsplit(running.url).netloc)}
    body = b'{"advance_seconds": 1000}' if path == "/clock" else None
    assert ask(running, method, f"/_emulator{path}", body, headers)[0] == 403
    assert running.faults()
    running.reset()


def test_its_own_origin_is_none_of_others(running: AudiencesEmulator) -> None:
    assert ask(running, "POST", "/_emulator/reset", headers={"Origin": running.url})[0] == 200
    # Who calls the services is their own matter: they ask for a key.
    target = f"/audiences/list?api_key={running.api_key}"
    assert ask(running, "GET", target, headers={"Origin": "https://evil.example"})[0] == 200


def test_remote_visitors_where_they_are_allowed(running_remotely: Any) -> None:
    for host in ("emulator", "emulator:8765", "10.0.0.1"):
        assert ask(running_remotely, "GET", "/_emulator/settings", headers={"Host": host})[0] == 200
        page = {"Host": host, "Origin": "https://evil.example"}
        assert ask(running_remotely, "POST", "/_emulator/reset", headers=page)[0] == 403
        plain = {"Host": host, "Content-Type": "text/plain"}
        assert ask(running_remotely, "POST", "/_emulator/clock", b'{"freeze": true}', plain)[0] == 400
        assert ask(running_remotely, "POST", "/_emulator/clock", b'{"freeze": true}', {"Host": host, **JSON})[0] == 200


@pytest.fixture
def running_remotely() -> Iterator[Any]:
    """An emulator that was started with --allow-remote."""
    import asyncio
    import threading
    import types

    listener = listen("127.0.0.1", 0)
    server = build_server(create_app(allow_remote=True))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    yield types.SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    thread.join()
