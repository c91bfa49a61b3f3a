import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.bare_clients import Pai

from airflow_provider_audiences.emulator.pai_files import FileCounter, FileError, FileSource

BUCKET = "https://bucket.oss-cn-hangzhou.aliyuncs.com"
NUMBERS = "13900001111\r\n139-0000-2222\n\n 13900001111 \n1390000****\nnobody"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/people.txt")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    folder = tmp_path / "files"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("13900003333")
    return folder


@pytest.fixture
def web(folder: Any) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["folder", "web"])
def files(request: pytest.FixtureRequest, pai: Pai, folder: Any) -> Callable[..., tuple[Any, Any]]:
    """A PAI side that reads the files of a bucket, from a folder or over HTTP; calls tell amount and history."""
    root = str(folder) if request.param == "folder" else request.getfixturevalue("web")
    pai.emulator.settings(processing_seconds=0, file_roots={f"{BUCKET}/data/": root})

    def create(name: str, **body: Any) -> tuple[Any, Any]:
        group = pai.create(**{"Source": 1, "Uri": f"{BUCKET}/data/{name}", "PhoneNumber": True, **body})
        details = pai.get(group["Id"])
        assert details["Status"] == (2 if details["History"] else 1)
        return details["Amount"], details["History"]

    return create


def test_distinct_phone_numbers_are_counted(files: Callable[..., tuple[Any, Any]], folder: Any) -> None:
    (folder / "people.txt").write_text(NUMBERS, newline="")
    assert files("people.txt") == (2, "")
    assert files("people.txt", PhoneNumber=False) == (5 - 1, "")
    assert files("people.txt?Expires=1&Signature=x") == (2, "")


def test_names_may_need_escapes(files: Callable[..., tuple[Any, Any]], folder: Any) -> None:
    (folder / "a b").mkdir()
    (folder / "a b" / "人+.txt").write_text(NUMBERS)
    assert files("a%20b/%E4%BA%BA%2B.txt") == (2, "")
    assert files("a%20b/人+.txt") == (2, "")


def test_a_column_of_a_csv_file_is_counted(files: Callable[..., tuple[Any, Any]], folder: Any) -> None:
    lines = [
        '\ufeffid,phone,"the ""city"""',
        '1,13900001111,"Hang\nzhou"',
        "2,13900001111,x",
        "3,,x",
        "4,139 0000 2222,x",
        "5",
    ]
    rows = "\r\n".join([*lines, ""])
    (folder / "people.csv").write_text(rows, encoding="utf-8", newline="")
    assert files("people.csv", Source=2, Column="phone") == (2, "")
    assert files("people.csv", Source=2, Column='the "city"', PhoneNumber=False) == (2, "")
    # Without a column each row is one member.
    assert files("people.csv", Source=2, PhoneNumber=False) == (5, "")
    assert files("people.csv", Source=2, Column="mail") == (0, "The file has no column of that name")


@pytest.mark.parametrize(
    ("content", "body", "history"),
    [
        (b"", {}, "The file holds no valid phone number"),
        (b"\n \n", {"PhoneNumber": False}, "The file holds no member"),
        (b"1390000****\nhello", {}, "The file holds no valid phone number"),
        (b"13900001111\n\xff\xfe", {}, "The file is not UTF-8 text"),
        (b"", {"Source": 2, "Column": "phone"}, "The file has no column of that name"),
        (b"phone\n", {"Source": 2, "Column": "phone"}, "The file holds no valid phone number"),
        (b'phone\n"' + b"1" * 200_000, {"Source": 2, "Column": "phone"}, "The file could not be read"),
    ],
)
def test_files_without_members_are_rejected(
    files: Callable[..., tuple[Any, Any]], folder: Any, content: bytes, body: dict[str, Any], history: str
) -> None:
    (folder / "people").write_bytes(content)
    assert files("people", **body) == (0, history)


def test_missing_files_are_rejected(files: Callable[..., tuple[Any, Any]]) -> None:
    assert files("nothing.txt") == (0, "The file does not exist")


@pytest.mark.parametrize(
    "name", ["../outside.txt", "%2e%2e/outside.txt", "..%2foutside.txt", "..%5coutside.txt", "a%00b"]
)
def test_no_address_leads_out_of_the_root(files: Callable[..., tuple[Any, Any]], name: str) -> None:
    assert files(name) == (0, "The file could not be read")


def test_links_and_folders_are_not_followed_out_of_the_root(pai: Pai, folder: Any, tmp_path: Path) -> None:
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "inner.txt").write_text("13900001111")
    (folder / "inside.txt").symlink_to(folder / "inner.txt")
    pai.emulator.settings(processing_seconds=0, file_roots={f"{BUCKET}/": str(folder)})

    def amount(path: Any) -> Any:
        return pai.create(Source=1, Uri=f"{BUCKET}/{path}")["Amount"]

    assert [amount(path) for path in ("link.txt", "inside.txt", "/inner.txt", "%2Finner.txt")] == [0, 1, 1, 1]
    assert amount(f"%2F{str(tmp_path)[1:]}/outside.txt") == 0


def test_which_files_are_read(pai: Pai, folder: Any) -> None:
    (folder / "one").write_text("1")
    (folder / "deep").mkdir()
    (folder / "deep" / "one").write_text("1\n2")
    pai.emulator.settings(
        processing_seconds=0,
        file_roots={BUCKET: str(folder), f"{BUCKET}/special": str(folder / "deep")},
        files={f"{BUCKET}/known": 77},
        forbidden_buckets=["closed"],
    )

    def amount(uri: str) -> Any:
        return pai.create(Source=1, Uri=uri)["Amount"]

    assert [amount(f"{BUCKET}/{path}") for path in ("one", "special/one", "deep/one", "known")] == [1, 2, 2, 77]
    # A beginning of an address ends where a part of it ends; what lies below none is missing.
    for uri in ("https://other.oss-cn-hangzhou.aliyuncs.com/one", f"{BUCKET}.oss-cn-hangzhou.aliyuncs.com/one"):
        group = pai.create(Source=1, Uri=uri)
        assert (group["Status"], group["Amount"]) == (2, 0)
    pai.emulator.settings(file_roots={})
    assert amount("https://other.oss-cn-hangzhou.aliyuncs.com/one") == 1000
    pai.emulator.settings(file_roots={BUCKET: str(folder)})
    for root in ("https://closed.oss-cn-hangzhou.aliyuncs.com", "http://127.0.0.1:9"):
        pai.emulator.settings(file_roots={root: str(folder)})
        reply = pai.call("POST", "CreateGroup", json={"Source": 1, "Uri": f"{root}/one"})
        assert reply.status_code == (403 if "closed" in root else 400)


def test_redirects_and_dead_servers_are_unreadable(
    pai: Pai, web: str, folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "people.txt").write_text(NUMBERS)
    # A proxy of the environment is not for these files.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    counter = FileCounter(timeout_seconds=10)

    def source(place: Any) -> FileSource:
        return FileSource(place=place, is_csv=False, column="", phone_number=True)

    assert counter.count(source(f"{web}/people.txt")) == 2
    for place, why in (
        (f"{web}/moved/people.txt", "The file could not be read: HTTP 302"),
        ("http://127.0.0.1:1/people.txt", "The file could not be read"),
        ("http://127.0.0.1:1/a b", "The file could not be read"),
        (folder, "The file could not be read"),
    ):
        with pytest.raises(FileError) as failure:
            counter.count(source(place))
        assert str(failure.value) == why


def test_files_have_a_largest_size_and_a_longest_time(folder: Any) -> None:
    (folder / "people.txt").write_text("1\n" * 50)
    source = FileSource(place=folder / "people.txt", is_csv=False, column="", phone_number=False)
    assert FileCounter(max_bytes=100).count(source) == 1
    with pytest.raises(FileError, match="too large"):
        FileCounter(max_bytes=99).count(source)
    with pytest.raises(FileError, match="could not be read"):
        FileCounter(timeout_seconds=-1).count(source)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up() -> None:
    stop = threading.Event()

    def drip(server: Any) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            while not stop.wait(0.01):
                connection.sendall(b"1\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        place = f"http://127.0.0.1:{server.getsockname()[1]}/people"
        with pytest.raises(FileError, match="could not be read"):
            FileCounter(timeout_seconds=0.3).count(FileSource(place=place, is_csv=False, column="", phone_number=False))
        stop.set()
        dripping.join()


def test_a_file_that_takes_its_time_keeps_nobody_waiting(pai: Pai) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        pai.emulator.settings(file_roots={BUCKET: f"http://127.0.0.1:{server.getsockname()[1]}"}, processing_seconds=0)
        made = []
        client = threading.Thread(target=lambda: made.append(pai.create(Source=1, Uri=f"{BUCKET}/one")))
        client.start()
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            # The file is being read now, and the service works on.
            assert pai.create(Source=0, Text="1")["Amount"] == 1
            assert len(pai.emulator.groups()) == 1
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n1\n2\n3")
        client.join()
    assert made[0]["Amount"] == 3
    assert len(pai.emulator.groups()) == 2


def test_nothing_of_the_file_is_told(files: Callable[..., tuple[Any, Any]], folder: Any, pai: Pai) -> None:
    (folder / "people.csv").write_text("phone\n13912345678\n")
    files("people.csv", Source=2, Column="secret_column")
    files("people.csv", Source=2, Column="phone")
    assert "13912345678" not in str(pai.emulator.groups()) + str(pai.emulator.requests())
