"""Every request ends: by its deadline, by the size of its reply, and with an error that is true."""

import gzip
import itertools
import json
import resource
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import zstandard
from support import hostile
from support.hostile import DRIPPING, EMPTY_LIST, ENDLESS, hostile_server

from airflow_provider_audiences.exceptions import AudienceError, ConnectionFailedError, TransientError
from airflow_provider_audiences.http import timed_calls
from airflow_provider_audiences.http.exchange import MAX_REPLY_BYTES, Exchange, ending_within
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

MakeApplovin = Callable[..., AppLovinClient]
MakePai = Callable[..., PaiClient]
DEADLINE_SECONDS = 0.4
LATE_SECONDS = 2.0
KEY = "s3cret-key"
SPEC = GroupSpec(source=PaiSource.ALGORITHM, name="n", algorithm="a", inference_job_id="j")


@pytest.fixture(params=["applovin", "bearer"])
def failure_at(request: pytest.FixtureRequest, make_applovin: MakeApplovin, make_pai: MakePai) -> Any:
    """Sends a request that changes something to a URL, once, and returns its error and the seconds it took."""

    def fail(url: str, **settings: Any) -> tuple[AudienceError, float]:
        send: partial[Any]
        options = {"request_deadline_seconds": DEADLINE_SECONDS, "max_retries": 0, "key": KEY, **settings}
        began = time.monotonic()
        if request.param == "applovin":
            append = make_applovin(base_url=url, **options).append_users
            send = partial(append, audience_id="a", advertising_ids=b"00000000-0000-0000-0000-000000000001\n" * 9)
        else:
            send = partial(make_pai(request.param, base_url=url, **options).create_group, SPEC, marker=None)
        with pytest.raises(AudienceError) as caught:
            send()
        assert KEY not in str(caught.value)
        assert "00000000-" not in str(caught.value)
        return caught.value, time.monotonic() - began

    return fail


@pytest.mark.parametrize("name", DRIPPING)
def test_slow_reply_ends_at_the_deadline(failure_at: Any, name: str) -> None:
    with hostile_server(DRIPPING[name]) as server:
        error, seconds = failure_at(server.url)

    assert isinstance(error, ConnectionFailedError)
    assert error.maybe_applied
    assert "0.4 s" in str(error)
    assert DEADLINE_SECONDS <= seconds < LATE_SECONDS
    assert error.too_large == ("likely" if name == "silent" else "no")


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_reply_ends_at_its_size(failure_at: Any, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile_server(ENDLESS[name]) as server:
        error, seconds = failure_at(server.url, request_deadline_seconds=20)

    assert isinstance(error, ConnectionFailedError)
    assert error.maybe_applied
    assert seconds < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def zstd(content: bytes) -> bytes:
    return zstandard.compress(content)


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", hostile.gzip_bomb(200 << 20), "more than 16 MB"),
        ("x-gzip", hostile.gzip_bomb(17 << 20) + gzip.compress(b"x"), "more than 16 MB"),
        ("GZIP", gzip.compress(b" " * (9 << 20)) * 2, "more than 16 MB"),
        ("gzip", gzip.compress(EMPTY_LIST)[:-4], "cut off"),
        ("gzip", b"no gzip", "says that it is gzip"),
        ("gzip", gzip.compress(EMPTY_LIST) + b"rest", "says that it is gzip"),
        ("deflate", zlib.compress(EMPTY_LIST), "packed as it was not asked for"),
        ("zstd", zstd(EMPTY_LIST), "packed as it was not asked for"),
        ("br", b"\x0b\x02\x80abc\x03", "packed as it was not asked for"),
        ("gzip, gzip", gzip.compress(gzip.compress(EMPTY_LIST)), "packed as it was not asked for"),
        ("gzip,deflate", zlib.compress(gzip.compress(EMPTY_LIST)), "packed as it was not asked for"),
        ("nonsense", EMPTY_LIST, "packed as it was not asked for"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_packed_reply(failure_at: Any, encoding: str, body: bytes, message: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    headers = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n".encode()
    with hostile_server(hostile.reply(headers, body)) as server:
        error, _ = failure_at(server.url, request_deadline_seconds=20)

    assert isinstance(error, ConnectionFailedError)
    assert error.maybe_applied
    assert message in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


@pytest.mark.parametrize("encoding", ["gzip", "X-Gzip", "identity", ""])
def test_large_reply_within_the_limit_is_read(make_applovin: MakeApplovin, encoding: str) -> None:
    body = EMPTY_LIST + b" " * (MAX_REPLY_BYTES - len(EMPTY_LIST))
    # gzip may be of several parts.
    parts = [body[:5], body[5:99], body[99:]]
    packed = b"".join(map(gzip.compress, parts)) if "gzip" in encoding.lower() else body
    headers = f"Content-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n".encode()
    with hostile_server(hostile.reply(headers, packed)) as server:
        assert make_applovin(base_url=server.url, request_deadline_seconds=20).list_audiences() == []


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"]
)
@pytest.mark.parametrize("count", [1, 50])
def test_interim_replies_are_read_over(make_applovin: MakeApplovin, interim: bytes, count: int) -> None:
    final = hostile.OK + b"Content-Length: %d\r\n\r\n" % len(EMPTY_LIST) + EMPTY_LIST
    with hostile_server(hostile.after_request(interim * count, lambda: iter([final]))) as server:
        assert make_applovin(base_url=server.url).list_audiences() == []


@pytest.mark.parametrize(
    "head",
    [
        hostile.OK + b"Content-Length: 12, 19\r\n\r\n",
        hostile.OK + b"Content-Length: 12\r\nContent-Length: 42\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\nzz\r\n",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        hostile.OK + b"".join(b"X-%d: 1\r\n" % i for i in range(150)) + b"\r\n",
        hostile.OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        hostile.OK + b"Content-Length: 10\r\n\r\n{}",
        hostile.OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc",
        hostile.OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc",
        hostile.OK + b"Transfer-Encoding: chunked\r\n\r\n\xff\xfe\r\nabc",
        b"\xff\xfe\x00\x00" * 5 + b"\r\n",
        b"",
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_reply_that_the_library_refuses_comes_after_the_request(failure_at: Any, head: bytes) -> None:
    with hostile_server(hostile.after_request(head, lambda: iter([EMPTY_LIST[:12]]))) as server:
        error, _ = failure_at(server.url, request_deadline_seconds=5)

    assert isinstance(error, TransientError)
    assert error.maybe_applied
    assert "no request can be made" not in str(error)


def test_call_of_a_reply_that_the_library_refuses_is_not_repeated_blindly(make_pai: MakePai, dialect: str) -> None:
    head = hostile.OK + b"Content-Length: 12, 19\r\n\r\n"
    with hostile_server(hostile.after_request(head, lambda: iter([b"x"]))) as server:
        with pytest.raises(ConnectionFailedError, match="reply is malformed") as caught:
            make_pai(dialect, base_url=server.url).create_group(SPEC, marker=None)
        assert len(server.connections) == 1
    assert (caught.value.maybe_applied, caught.value.attempts) == (True, 1)
    assert "may exist" in str(caught.value)


def test_group_of_a_reply_that_the_library_refuses_is_found_again(make_pai: MakePai, recorder: Any) -> None:
    marker = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")
    group = {"Id": "g1", "Name": "n", "Remark": marker.text, "Status": 1, "Amount": 9}
    made: list[str] = []

    def answer(method: str, _target: str) -> Any:
        if method == "POST":
            made.append("g1")
            return b"HTTP/1.1 200 OK\r\nContent-Length: 12, 19\r\n\r\n{}"
        groups = [group] if made else []
        return 200, {}, json.dumps({"ErrorCode": 0, "Data": {"Groups": groups, "TotalCount": len(groups)}}).encode()

    recorder.reply = answer
    assert make_pai(base_url=recorder.url).create_group(SPEC, marker=marker).group.id == "g1"
    assert made == ["g1"]


def test_server_that_takes_nothing(make_applovin: MakeApplovin) -> None:
    began = time.monotonic()
    with (
        hostile_server(hostile.deaf) as server,
        pytest.raises(ConnectionFailedError, match="no reply within") as caught,
    ):
        make_applovin(base_url=server.url, request_deadline_seconds=DEADLINE_SECONDS, max_retries=0).append_users(
            audience_id="a", advertising_ids=b"00000000-0000-0000-0000-000000000001\n" * 1_000_000
        )
    assert time.monotonic() - began < LATE_SECONDS
    assert (caught.value.maybe_applied, caught.value.too_large) == (True, "likely")


def test_silence_is_told_from_the_deadline(make_applovin: MakeApplovin) -> None:
    body = hostile.after_request(hostile.OK + b"Content-Length: 99\r\n\r\n{", lambda: iter([]))

    def stops(connection: socket.socket) -> None:
        body(connection)
        time.sleep(5)

    with hostile_server(stops) as server, pytest.raises(ConnectionFailedError) as caught:
        make_applovin(base_url=server.url, read_timeout_seconds=0.4, max_retries=0).list_audiences()
    assert "the reply stopped for 0.4 s" in str(caught.value)
    assert "read_timeout_seconds" in str(caught.value)
    assert caught.value.http_status == 200


@pytest.mark.parametrize("name", ["silent", "headers", "chunks"])
def test_deadline_holds_over_tls(
    failure_at: Any, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
    with hostile_server(DRIPPING[name], context=context) as server:
        error, seconds = failure_at(server.url)
    assert error.maybe_applied
    assert seconds < LATE_SECONDS


def test_tls_that_is_never_made(failure_at: Any) -> None:
    with hostile_server(hostile.silent) as server:
        error, seconds = failure_at(server.url.replace("http://", "https://"))
    assert "no connection within" in str(error)
    assert not error.maybe_applied
    assert seconds < LATE_SECONDS


def test_proxy_that_drips(failure_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_server(DRIPPING["headers"]) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        error, seconds = failure_at("https://api.example.com")
    assert isinstance(error, ConnectionFailedError)
    assert not error.maybe_applied
    assert seconds < LATE_SECONDS


def test_name_that_is_never_found(failure_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kw: release.wait(20) or [])
    monkeypatch.setenv("no_proxy", "*")
    try:
        error, seconds = failure_at("https://api.example.com")
    finally:
        release.set()
    assert "no connection within 0.4 s" in str(error)
    assert not error.maybe_applied
    assert seconds < LATE_SECONDS


def test_look_ups_that_hang_are_bounded(make_applovin: MakeApplovin, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(timed_calls, "_free", threading.BoundedSemaphore(3))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kw: release.wait(20) or [])
    monkeypatch.setenv("no_proxy", "*")

    def failure(number: int, seconds: float) -> AudienceError:
        client = make_applovin(base_url=f"https://{number}.example", request_deadline_seconds=seconds, max_retries=0)
        with pytest.raises(TransientError) as caught:
            client.list_audiences()
        assert not caught.value.maybe_applied
        return caught.value

    try:
        before = threading.active_count()
        for number in [*range(3), *range(3)]:  # whoever asks for the same name waits for the same look-up
            assert "no connection within" in str(failure(number, 0.05))
        assert threading.active_count() == before + 3
        began = time.monotonic()
        assert "hang in this process" in str(failure(3, 5))
        assert time.monotonic() - began < 1
    finally:
        release.set()


def test_no_thread_is_left_of_a_request_that_was_ended(failure_at: Any) -> None:
    with hostile_server(DRIPPING["chunks"]) as server:
        before = {thread.ident for thread in threading.enumerate()}
        failure_at(server.url)
        ours = [t for t in threading.enumerate() if t.ident not in before and "audiences" in t.name]
    assert ours == []


def test_a_block_may_end_requests_earlier(make_applovin: MakeApplovin) -> None:
    with hostile_server(hostile.silent) as server:
        client = make_applovin(base_url=server.url, max_retries=0)
        began = time.monotonic()
        with ending_within(0.3), pytest.raises(ConnectionFailedError, match=r"no reply within 0\.(3|2\d+) s"):
            client.list_audiences()
        assert time.monotonic() - began < LATE_SECONDS


def test_deadlines_by_default(make_applovin: MakeApplovin, make_pai: MakePai, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    original = Exchange.__init__

    def watch(self: Exchange, **kwargs: Any) -> None:
        seen.append(kwargs["deadline_seconds"])
        original(self, **kwargs)

    monkeypatch.setattr(Exchange, "__init__", watch)
    applovin = make_applovin()
    audience_id = applovin.create_audience(name="n", platform="ios", package_name="p").audience_id
    applovin.append_users(audience_id=audience_id, advertising_ids=b"")
    applovin.update_audience(audience_id=audience_id, advertising_ids=b"")
    applovin.delete_audience(audience_id=audience_id)
    make_pai().list_groups()
    assert seen == [60, 150, 150, 60, 60]

    seen.clear()
    applovin = make_applovin(request_deadline_seconds=7)
    applovin.list_audiences()
    with pytest.raises(AudienceError):
        applovin.append_users(audience_id="none", advertising_ids=b"")
    assert seen == [7, 7]


def test_connection_is_used_again_after_a_reply(make_applovin: MakeApplovin) -> None:
    headers = b"Content-Length: %d\r\n" % len(EMPTY_LIST)
    with hostile_server(hostile.reply(headers, EMPTY_LIST)) as server:
        client = make_applovin(base_url=server.url)
        for _ in range(5):
            client.list_audiences()
        assert len(server.connections) == 1
