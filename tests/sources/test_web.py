"""Files behind a link: a real server on this machine, every answer it may give, and a query that shows nowhere."""

import gzip
import io
import json
import logging
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.airflow_versions import rendered_fields
from support.fixtures import Connect, MakeContext, MakeIds
from support.hostile import DRIPPING, ENDLESS, hostile_server
from support.kinds import ID_KIND

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sources.opening import open_source

IDS = [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) for number in range(50)]
SECRET = "X-Signature=sesame%2Fopen+%3D&Expires=9"


class Server(ThreadingHTTPServer):
    """Answers by path, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, dict[str, Any], bytes]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answers[urlsplit(self.path).path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    """A server; ``answers[path] = (status, headers, body)``."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def members(source: Any) -> Any:
    with open_source(source) as opened, stage(opened, rules=StagingRules(), identifier_kind=ID_KIND) as staged:
        return staged.members


@pytest.fixture
def refused(caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Reads what is to be refused; checks that no part of a query shows anywhere; returns the error."""

    def run(source: Any, kind: Any = InvalidInputError) -> str:
        with caplog.at_level(logging.DEBUG), pytest.raises(kind) as caught:
            members(source)
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__) + caplog.text
        assert "sesame" not in shown
        assert "Expires" not in shown
        return str(caught.value)

    return run


def parquet() -> Any:
    written = io.BytesIO()
    pq.write_table(pa.table({"idfa": IDS}), written)
    return written.getvalue()


TEXT = "\n".join(IDS).encode()
FILES = {
    "/ids.txt": TEXT,
    "/ids": TEXT,
    "/a b/%E8%AE%BE.txt.gz": gzip.compress(TEXT),
    "/ids.csv": b"idfa\n" + TEXT,
    "/ids.csv.gz": gzip.compress(b"idfa\r\n" + TEXT),
    "/ids.json": json.dumps(IDS).encode(),
    "/ids.parquet": parquet(),
    "/empty.csv": b"",
}


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("query", ["", f"?{SECRET}"])
def test_read(path: str, query: str, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.answers[path.replace(" ", "%20")] = (200, {"Content-Type": "application/octet-stream"}, FILES[path])
    with caplog.at_level(logging.DEBUG):
        assert members(f"{server.url}{path}{query}") == (50 if FILES[path] else 0)
    assert [seen for seen, _ in server.seen] == [path.replace(" ", "%20") + query]  # once, and as it was given
    assert "sesame" not in caplog.text
    assert server.seen[0][1]["Accept-Encoding"] == "identity"


def test_what_is_said_of_the_file_counts(server: Server) -> None:
    server.answers["/export"] = (200, {}, "".join(f"x|{item}\n" for item in IDS).encode())
    source = FileSource(f"{server.url}/export?{SECRET}", file_format="csv", header=False, delimiter="|", column=2)
    assert members(source) == 50
    assert "sesame" not in repr(source)
    assert "column=2" in repr(source)


def test_several_that_differ_in_the_query_only(server: Server) -> None:
    server.answers["/ids.txt"] = (200, {}, TEXT)
    assert members([f"{server.url}/ids.txt?part=1", f"{server.url}/ids.txt?part=2"]) == 50
    assert [seen for seen, _ in server.seen] == ["/ids.txt?part=1", "/ids.txt?part=2"]


def test_without_a_length(server: Server) -> None:
    server.answers["/ids.txt"] = (200, {"Content-Length": None, "Connection": "close"}, TEXT)
    assert members(f"{server.url}/ids.txt") == 50


def test_name_and_password(server: Server) -> None:
    server.answers["/ids.txt"] = (200, {}, TEXT)
    assert members(f"{server.url.replace('://', '://me:open%20it@')}/ids.txt") == 50
    assert server.seen[0][1]["Authorization"] == "Basic bWU6b3BlbiBpdA=="


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_is_not_there(status: int, server: Server, refused: Callable[..., str]) -> None:
    server.answers["/ids.txt"] = (status, {}, b"<Code>AccessDenied sesame</Code>")
    address = f"{server.url}/ids.txt?{SECRET}"
    assert f"/ids.txt is not there, or the link has expired or does not allow to read it (HTTP {status})" in refused(
        address
    )
    assert "looks again" in refused(FileSource(address, on_missing="retry"), SourceUnavailableError)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_server_that_fails_may_work_later(status: int, server: Server, refused: Callable[..., str]) -> None:
    server.answers["/ids.txt"] = (status, {}, b"sesame")
    assert f"its server failed (HTTP {status})" in refused(f"{server.url}/ids.txt?{SECRET}", SourceUnavailableError)


@pytest.mark.parametrize("status", [400, 401, 405, 416, 204])
def test_a_request_that_is_refused(status: int, server: Server, refused: Callable[..., str]) -> None:
    server.answers["/ids.txt"] = (status, {}, b"")
    assert f"refuses the request (HTTP {status})" in refused(f"{server.url}/ids.txt?{SECRET}")


def test_an_answer_that_breaks_off(server: Server, refused: Callable[..., str]) -> None:
    server.answers["/ids.txt"] = (200, {"Content-Length": str(len(TEXT) + 9)}, TEXT)
    message = refused(f"{server.url}/ids.txt?{SECRET}", SourceUnavailableError)
    assert "the connection broke after" in message
    server.answers["/ids.csv"] = (200, {"Content-Length": "900000"}, b"idfa\n" + TEXT)
    assert "the connection broke after" in refused(f"{server.url}/ids.csv?{SECRET}", SourceUnavailableError)


def test_nobody_answers(refused: Callable[..., str]) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/ids.txt?{SECRET}"
        assert "could not connect" in refused(address, SourceUnavailableError)


def test_a_server_that_never_answers(
    server: Server, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_audiences.sources.web._READ_TIMEOUT_SECONDS", 0.2)
    wait = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda _: wait.wait(5))
    assert "no reply within" in refused(f"{server.url}/ids.txt?{SECRET}", SourceUnavailableError)
    wait.set()


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_on_the_same_host_are_followed(self, status: int, server: Server) -> None:
        server.answers["/old"] = (status, {"Location": f"/ids.csv?{SECRET}"}, b"")
        server.answers["/ids.csv"] = (200, {}, b"idfa\n" + TEXT)
        assert members(FileSource(f"{server.url}/old?a=b", file_format="csv")) == 50
        assert [seen for seen, _ in server.seen] == ["/old?a=b", f"/ids.csv?{SECRET}"]

    @pytest.mark.parametrize("target", ["https://other.example/ids.txt?sesame=1", "https://login.example/", ""])
    def test_elsewhere_are_not(self, target: str, server: Server, refused: Callable[..., str]) -> None:
        server.answers["/ids.txt"] = (302, {"Location": target}, b"")
        assert "redirects" in refused(f"{server.url}/ids.txt?{SECRET}")
        assert len(server.seen) == 1

    def test_without_end(self, server: Server, refused: Callable[..., str]) -> None:
        server.answers["/ids.txt"] = (302, {"Location": f"/ids.txt?{SECRET}"}, b"")
        assert "more than 5 redirects" in refused(f"{server.url}/ids.txt")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"http://files.example/ids.txt?{SECRET}", "plain http, and members would be readable on the way"),
        (f"HTTP://10.0.0.1/ids.txt?{SECRET}", "plain http"),
        (f"https:///ids.txt?{SECRET}", "no web address"),
        (f"https://host:port/ids.txt?{SECRET}", "no web address"),
        (f"https://[::1/ids.txt?{SECRET}", "no web address"),
        (f"http://192.0.2.7\\a.localhost/ids.txt?{SECRET}", "no web address"),
        (f"https://files.example\\.other/ids.txt?{SECRET}", "no web address"),
        (f"http://user@192.0.2.7\\@localhost/ids.txt?{SECRET}", "no web address"),
        (f"http://127.0.0.1%00.example/ids.txt?{SECRET}", "no web address"),
        (f"http://127.1/ids.txt?{SECRET}", "no web address"),
        (f"https://files .example/ids.txt?{SECRET}", "no web address"),
    ],
)
def test_addresses_that_are_none(address: str, said: str, refused: Callable[..., str]) -> None:
    assert said in refused(address)


def test_a_connection_is_not_for_links(server: Server, refused: Callable[..., str]) -> None:
    assert "takes no conn_id" in refused(FileSource(f"{server.url}/ids.txt?{SECRET}", conn_id="http_default"))


def test_a_web_page_is_no_list(server: Server, refused: Callable[..., str]) -> None:
    server.answers["/ids.txt"] = (200, {"Content-Type": "text/html"}, b"<!doctype html><html>Sign in</html>")
    assert "is a web page (HTML), not text" in refused(f"{server.url}/ids.txt?{SECRET}")


@pytest.mark.parametrize("wrap", [str, FileSource, lambda address: [address], lambda address: FileSource([address])])
def test_the_query_is_not_in_what_airflow_stores(wrap: Callable[..., Any] | type[Any], server: Server) -> None:
    address = f"{server.url}/{{{{ ds }}}}.txt?{SECRET}"
    operator = AppLovinAppendUsersOperator(task_id="t", audience_id="a", source=wrap(address))
    operator.render_template_fields({"ds": "2024-01-02"})
    shown = json.dumps(rendered_fields(operator), default=str) + repr(operator.source)
    assert "2024-01-02.txt" in shown
    assert "sesame" not in shown


def test_a_link_that_a_task_renders_works_and_stays_hidden(
    server: Server,
    connect: Connect,
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.answers["/2024-01-02.txt"] = (200, {}, "\n".join(make_ids(5)).encode())
    operator = AppLovinAppendUsersOperator(
        task_id="t", audience_id="a", source=f"{server.url}/{{{{ ds }}}}.txt?{SECRET}", dry_run=True
    )
    operator.render_template_fields({"ds": "2024-01-02"})
    with caplog.at_level(logging.DEBUG):
        report = operator.execute(task_context())
    assert report["planned_ids"] == 5
    assert "sesame" not in caplog.text


def test_all_errors_are_ours(server: Server) -> None:
    for status in (*range(201, 209), *range(300, 309), *range(400, 430), *range(500, 512)):
        server.answers["/x"] = (status, {}, b"")
        with pytest.raises(AudienceError):
            members(f"{server.url}/x")


@pytest.mark.parametrize("name", ["status line", "headers", "interim 100", "body", "body without length"])
def test_server_without_an_end(monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], name: str) -> None:
    monkeypatch.setattr("airflow_provider_audiences.sources.web._ANSWER_DEADLINE_SECONDS", 0.4)
    monkeypatch.setattr("airflow_provider_audiences.sources.web._READ_TIMEOUT_SECONDS", 0.3)
    began = time.monotonic()
    with hostile_server(DRIPPING[name]) as server:
        refused(f"{server.url}/ids.txt?{SECRET}", SourceUnavailableError)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("name", ["status line", "headers", "interim 100"])
def test_head_without_an_end(refused: Callable[..., str], name: str) -> None:
    with hostile_server(ENDLESS[name]) as server:
        refused(f"{server.url}/ids.txt?{SECRET}", SourceUnavailableError)


def test_links_on_this_machine_go_through_no_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/ids.txt"] = (200, {}, "\n".join(IDS).encode())
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert members(f"{server.url}/ids.txt?{SECRET}") == 50
