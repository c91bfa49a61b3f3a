"""What the error of a call says that failed, once or in more than one way."""

import gc
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.fixtures import AsBody, MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import (
    AudienceError,
    ConnectionFailedError,
    InvalidInputError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.marker import GroupMarker

MakeApplovin = Callable[..., AppLovinClient]
MakePai = Callable[..., PaiClient]
MARKER = GroupMarker(origin="a.b", run="r", owner="01234567", idempotency_key="0123456789ab")


def test_slow_replies_end_in_an_error_that_says_how_long(
    emulator: AudiencesEmulator, make_applovin: MakeApplovin, waits: list[float]
) -> None:
    emulator.fault("applovin.list", "slow", seconds=1.0, times=None)
    with pytest.raises(ConnectionFailedError, match=r"no reply within 0\.1 s") as caught:
        make_applovin(read_timeout_seconds=0.1).list_audiences()

    assert waits == [1.0, 2.0, 4.0]
    assert caught.value.maybe_applied
    assert "read_timeout_seconds" in str(caught.value)


def test_dead_port(make_applovin: MakeApplovin, make_pai: MakePai, waits: list[float], dead_port: int) -> None:
    for call in (
        make_applovin(base_url=f"http://127.0.0.1:{dead_port}").list_audiences,
        make_pai(base_url=f"http://127.0.0.1:{dead_port}").list_groups,
    ):
        waits.clear()
        with pytest.raises(
            ConnectionFailedError, match="could not connect: nothing listens at that host and port"
        ) as caught:
            call()
        assert waits == [1.0, 2.0, 4.0]
        assert not caught.value.maybe_applied
        assert caught.value.attempts == 4


def test_a_host_that_nobody_knows(make_applovin: MakeApplovin) -> None:
    client = make_applovin(base_url="http://no-such-host.invalid", max_retries=0)
    with pytest.raises(ConnectionFailedError, match=r"could not connect: .* don't know the host") as caught:
        client.list_audiences()
    assert not caught.value.maybe_applied


def test_unroutable_address_ends_in_a_connect_timeout(recorder: Any, make_applovin: MakeApplovin) -> None:
    # A listening socket whose queue is full answers no further connection.
    import contextlib
    import socket

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        client = make_applovin(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout_seconds=0.1, max_retries=1
        )
        with pytest.raises(ConnectionFailedError, match=r"no connection within 0\.1 s") as caught:
            client.list_audiences()

    assert not caught.value.maybe_applied
    assert caught.value.attempts == 2


@pytest.mark.parametrize("location", ["http://[bad", "http://h:abc/", "///", "", "http://\x7f/", "/audiences/list"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_wherever_they_lead(
    recorder: Any, make_applovin: MakeApplovin, status: int, location: str
) -> None:
    recorder.answer(status, {"Location": location}, b"")
    with pytest.raises(UnexpectedReplyError, match="redirects to") as caught:
        make_applovin(base_url=recorder.url).list_audiences()

    assert caught.value.http_status == status
    assert len(recorder.requests) == 1


def test_redirect_names_the_host_only(emulator: AudiencesEmulator, applovin: AppLovinClient) -> None:
    emulator.fault("applovin.list", "redirect", location="https://user:pw@login.example.com/a?token=t")
    with pytest.raises(UnexpectedReplyError) as caught:
        applovin.list_audiences()

    assert "login.example.com" in str(caught.value)
    assert "token" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_server_that_speaks_no_http(recorder: Any, make_applovin: MakeApplovin) -> None:
    recorder.reply = lambda _method, _target: b"SSH-2.0-OpenSSH_9.6\r\n"
    with pytest.raises(ConnectionFailedError, match="reply is malformed") as caught:
        make_applovin(base_url=recorder.url).list_audiences()

    assert caught.value.attempts == 4


def test_broken_compression_is_a_broken_reply(recorder: Any, make_applovin: MakeApplovin) -> None:
    recorder.answer(200, {"Content-Encoding": "gzip"}, b"not gzip")
    with pytest.raises(ConnectionFailedError, match="says that it is gzip, and is not") as caught:
        make_applovin(base_url=recorder.url).list_audiences()

    assert caught.value.maybe_applied


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"7", b"OK", b"\xff\xfe"])
def test_json_that_is_no_object(recorder: Any, make_applovin: MakeApplovin, make_pai: MakePai, body: bytes) -> None:
    recorder.answer(200, {"Content-Type": "text/plain; charset=x"}, body)
    for call in (make_applovin(base_url=recorder.url).list_audiences, make_pai(base_url=recorder.url).list_groups):
        with pytest.raises(UnexpectedReplyError, match="answered text/plain, and no JSON object"):
            call()
    assert len(recorder.requests) == 2


def test_empty_body_where_there_must_be_one(recorder: Any, make_applovin: MakeApplovin) -> None:
    recorder.answer(200, {}, b"")
    with pytest.raises(ConnectionFailedError, match="cut off after 0 bytes"):
        make_applovin(base_url=recorder.url).list_audiences()


def test_unknown_status(emulator: AudiencesEmulator, recorder: Any, make_applovin: MakeApplovin) -> None:
    recorder.answer(599, {"x-request-id": "id-1"}, b"")
    with pytest.raises(ServerError, match="gave no reason") as caught:
        make_applovin(base_url=recorder.url, max_retries=0).list_audiences()

    assert caught.value.request_id == "id-1"


def test_earlier_doubt_stays_when_a_later_attempt_is_refused(
    emulator: AudiencesEmulator, applovin: AppLovinClient, make_ids: MakeIds, as_body: AsBody
) -> None:
    audience_id = applovin.create_audience(name="n", platform="ios", package_name="p").audience_id
    emulator.fault("applovin.append", "drop_after")
    emulator.fault("applovin.append", "status", status=403, number=2)
    with pytest.raises(AudienceError, match="Injected fault") as caught:
        applovin.append_users(audience_id=audience_id, advertising_ids=as_body(make_ids(2)))

    assert caught.value.maybe_applied
    assert caught.value.attempts == 2
    assert emulator.member_count(audience_id) == 2


def test_earlier_doubt_stays_when_the_server_goes_away(
    recorder: Any, make_applovin: MakeApplovin, as_body: AsBody, make_ids: MakeIds
) -> None:
    recorder.reply = lambda _method, _target: None if len(recorder.requests) == 1 else (429, {}, b"")
    with pytest.raises(RateLimitedError) as caught:
        make_applovin(base_url=recorder.url).append_users(audience_id="a", advertising_ids=as_body(make_ids(1)))

    assert caught.value.maybe_applied


@pytest.mark.parametrize("api", ["applovin", "pai"])
def test_delete_that_was_lost_and_is_now_404_is_done(
    emulator: AudiencesEmulator, applovin: AppLovinClient, pai: PaiClient, api: str
) -> None:
    emulator.fault(f"{api}.delete", "drop_after")
    if api == "applovin":
        audience_id = applovin.create_audience(name="n", platform="ios", package_name="p").audience_id
        assert applovin.delete_audience(audience_id=audience_id)
    else:
        group_id = _group(pai)
        assert pai.delete_group(group_id)
    assert emulator.audiences() == emulator.groups() == []


@pytest.mark.parametrize("api", ["applovin", "pai"])
def test_delete_404_after_429_is_an_error(
    emulator: AudiencesEmulator, applovin: AppLovinClient, pai: PaiClient, api: str
) -> None:
    emulator.fault(f"{api}.delete", "status", status=429)
    with pytest.raises(NotFoundError):
        applovin.delete_audience(audience_id="x") if api == "applovin" else pai.delete_group("x")


def test_delete_of_what_is_missing(emulator: AudiencesEmulator, applovin: AppLovinClient, pai: PaiClient) -> None:
    with pytest.raises(NotFoundError):
        applovin.delete_audience(audience_id="x")
    with pytest.raises(NotFoundError):
        pai.delete_group("x")
    assert applovin.delete_audience(audience_id="x", ignore_missing=True) is False
    assert pai.delete_group("x", ignore_missing=True) is False
    assert len(emulator.requests()) == 4


def test_requests_are_counted(emulator: AudiencesEmulator, applovin: AppLovinClient, pai: PaiClient) -> None:
    emulator.fault("*", "status", status=500)
    applovin.list_audiences()
    pai.list_groups()

    assert (applovin.requests_sent, pai.requests_sent) == (2, 1)


@pytest.mark.parametrize("base_url", ["http://[bad", "http://h ost\x00/", "ftp://host", "http://h:99999999"])
def test_malformed_address_is_permanent(make_applovin: MakeApplovin, base_url: str) -> None:
    with pytest.raises((InvalidInputError, ConnectionFailedError)):
        make_applovin(base_url=base_url).list_audiences()


def test_errors_can_be_pickled(emulator: AudiencesEmulator, pai: PaiClient) -> None:
    with pytest.raises(NotFoundError) as caught:
        pai.get_group("x")

    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (type(copied), str(copied), vars(copied)) == (NotFoundError, str(caught.value), vars(caught.value))


def _group(pai: PaiClient) -> str:
    spec = GroupSpec(source=PaiSource.ALGORITHM, name="n", algorithm="a", inference_job_id="j")
    return pai.create_group(spec, marker=None).group.id


@pytest.mark.parametrize(
    ("kind", "options", "too_large"),
    [
        ("status", {"status": 408}, "likely"),
        ("status", {"status": 413}, "likely"),
        ("status", {"status": 413, "html": True}, "likely"),
        ("error_code", {"error_code": 413}, "likely"),
        ("error_code", {"error_code": 408}, "likely"),
        ("slow", {"seconds": 1.0}, "likely"),
        ("status", {"status": 500}, "maybe"),
        ("status", {"status": 502, "html": True}, "maybe"),
        ("error_code", {"error_code": 500}, "maybe"),
        ("drop_before", {}, "maybe"),
        ("drop_after", {}, "maybe"),
        ("truncated_json", {}, "maybe"),
        ("truncated_json", {"cut": "connection"}, "maybe"),
        ("status", {"status": 503, "retry_after": 1}, "no"),
        ("status", {"status": 429}, "no"),
        ("status", {"status": 400}, "no"),
        ("status", {"status": 401}, "no"),
        ("status", {"status": 403}, "no"),
        ("status", {"status": 404}, "no"),
        ("html", {}, "no"),
        ("redirect", {}, "no"),
    ],
)
def test_errors_say_whether_size_may_be_the_reason(
    emulator: AudiencesEmulator,
    make_applovin: MakeApplovin,
    as_body: AsBody,
    kind: str,
    options: dict[str, Any],
    too_large: str,
) -> None:
    client = make_applovin(read_timeout_seconds=0.2 if kind == "slow" else 20.0, max_retries=0)
    audience_id = client.create_audience(name="n", platform="ios", package_name="p").audience_id
    emulator.fault("applovin.append", kind, **options)
    with pytest.raises(AudienceError) as caught:
        client.append_users(audience_id=audience_id, advertising_ids=as_body([]))

    assert caught.value.too_large == too_large


def test_refused_connections_have_nothing_to_do_with_size(
    make_applovin: MakeApplovin, dead_port: int, tls_recorder: Any
) -> None:
    for url in (f"http://127.0.0.1:{dead_port}", "http://name.invalid", tls_recorder.url):
        with pytest.raises(ConnectionFailedError) as caught:
            make_applovin(base_url=url, max_retries=0).append_users(audience_id="a", advertising_ids=b"")
        assert caught.value.too_large == "no"


def test_server_that_hangs_up_over_tls_may_have_found_it_too_large(
    make_applovin: MakeApplovin, tls_recorder: Any, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
    tls_recorder.reply = lambda _method, _target: None
    with pytest.raises(ConnectionFailedError) as caught:
        make_applovin(base_url=tls_recorder.url, max_retries=0).append_users(audience_id="a", advertising_ids=b"")

    assert caught.value.too_large == "maybe"
    assert caught.value.maybe_applied


def test_requests_of_several_threads_are_counted(
    applovin: AppLovinClient, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.fault("applovin.list", "status", status=500, number=20, times=3)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _number: applovin.list_audiences(), range(200)))
    finally:
        sys.setswitchinterval(before)

    assert applovin.requests_sent == len(emulator.requests()) == 203


@pytest.mark.parametrize("kind", ["status", "drop_before", "drop_after", "truncated_json", "slow"])
def test_body_of_a_call_is_not_kept(
    emulator: AudiencesEmulator, make_applovin: MakeApplovin, make_ids: MakeIds, as_body: AsBody, kind: str
) -> None:
    freed: list[bool] = []

    class Body(bytes):
        def __del__(self) -> None:
            freed.append(True)

    client = make_applovin(read_timeout_seconds=0.5)
    audience_id = client.create_audience(name="n", platform="ios", package_name="p").audience_id
    emulator.fault("applovin.append", kind, **({"seconds": 1.0} if kind == "slow" else {}))
    gc.collect()
    gc.disable()
    try:
        client.append_users(audience_id=audience_id, advertising_ids=Body(as_body(make_ids(2))))
        assert freed == [True], "only the garbage collector would free it"
    finally:
        gc.enable()
    assert client.requests_sent == 3  # create, the one that failed, and its repetition
