import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support.bare_clients import AppLovin, Pai
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.emulator.testing import EmulatorError

DROPS = [("drop_before", {}), ("drop_after", {}), ("apply_late", {"delay_seconds": 60, "drop": True})]


@pytest.fixture(scope="module", params=["h11", "httptools"])
def server(request: pytest.FixtureRequest) -> Iterator[AudiencesEmulator]:
    if request.param == "httptools":
        pytest.importorskip("httptools")
    with AudiencesEmulator(http=request.param) as emulator:
        yield emulator


@pytest.fixture
def services(server: AudiencesEmulator) -> tuple[AppLovin, Pai]:
    server.reset()
    return AppLovin(server), Pai(server)


def raw_exchange(url: Any, request: Any) -> bytes:
    """Everything the server sends until it closes the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return received


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("kind", "options"), DROPS)
def test_a_dropped_request_gets_no_reply(
    services: tuple[AppLovin, Pai], make_ids: MakeIds, kind: str, options: dict[str, Any]
) -> None:
    applovin, _ = services
    audience_id = applovin.create()
    applovin.emulator.fault("applovin.update", kind, **options)
    with pytest.raises(requests.ConnectionError) as failure:
        applovin.send("update", audience_id, make_ids(1000))
    assert not isinstance(failure.value, requests.Timeout)
    entry = applovin.emulator.requests()[-1]
    assert (entry["status"], entry["fault"], entry["body_lines"]) == (None, kind, 1000)
    assert applovin.emulator.member_count(audience_id) == (1000 if kind == "drop_after" else 0)
    # The next one is served as if nothing had been.
    assert applovin.send("update", audience_id, make_ids(1))["num_valid_ids"] == 1


@pytest.mark.parametrize(("kind", "options"), DROPS)
def test_a_dropped_request_leaves_not_a_byte_on_the_wire(
    services: tuple[AppLovin, Pai], kind: str, options: dict[str, Any]
) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.list", kind, **options)
    target = f"/audiences/list?api_key={applovin.emulator.api_key}"
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    assert raw_exchange(applovin.emulator.url, request) == b""
    closing = request.replace(b"Host", b"Connection: close\r\nHost")
    assert raw_exchange(applovin.emulator.url, closing).startswith(b"HTTP/1.1 200")


def test_a_pooled_connection_is_dropped_too(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    url, params = f"{applovin.emulator.url}/audiences/list", {"api_key": applovin.emulator.api_key}
    with requests.Session() as session:
        assert session.get(url, params=params, timeout=10).status_code == 200
        applovin.emulator.fault("applovin.list", "drop_before")
        with pytest.raises(requests.ConnectionError):
            session.get(url, params=params, timeout=10)
        assert session.get(url, params=params, timeout=10).status_code == 200


def test_a_reply_cut_with_its_connection(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.create", "truncated_json", cut="connection")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        applovin.create()
    assert len(applovin.emulator.audiences()) == 1
    applovin.emulator.fault("applovin.list", "truncated_json", cut="connection")
    request = f"GET /audiences/list?api_key={applovin.emulator.api_key} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    head, _, body = raw_exchange(applovin.emulator.url, request).partition(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    assert head.startswith(b"HTTP/1.1 200")
    assert 0 < len(body) < int(length.split(b":")[1])


def test_a_cut_reply_that_looks_whole_to_http(services: tuple[AppLovin, Pai]) -> None:
    _, pai = services
    pai.emulator.fault("pai.create", "truncated_json")
    reply = pai.call("POST", "CreateGroup", json={"Source": 0, "Text": "1"})
    assert reply.status_code == 200
    assert len(reply.content) == int(reply.headers["Content-Length"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.text)
    assert len(pai.emulator.groups()) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_status_in_the_form_of_each_service(services: tuple[AppLovin, Pai], status: int) -> None:
    applovin, pai = services
    applovin.emulator.fault("*", "status", status=status, times=2)
    reply = applovin.call("create", name="A", platform="ios", package_name="p")
    assert (reply.status_code, reply.json()["code"]) == (status, status)
    assert applovin.emulator.audiences() == []
    reply = pai.call("POST", "CreateGroup", json={"Source": 0, "Text": "1"})
    assert (reply.status_code, reply.json()["ErrorCode"]) == (status, status)
    assert reply.json()["ErrorMessage"].startswith("Throttling") == (status == 429)
    assert pai.emulator.groups() == []
    assert pai.emulator.billing()["create"] == {"succeeded": 0, "failed": 1, "billed": 1}


def test_a_status_with_all_options(services: tuple[AppLovin, Pai]) -> None:
    applovin, pai = services
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    pai.emulator.fault("pai.list", "status", status=503, retry_after=date, error_code=7, message="m")
    reply = pai.call("GET", "ListGroups")
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, date)
    assert (reply.json()["ErrorCode"], reply.json()["ErrorMessage"]) == (7, "m")
    applovin.emulator.fault("applovin.create", "status", retry_after=3, html=True, applied=True)
    reply = applovin.call("create", name="A", platform="ios", package_name="p")
    assert (reply.status_code, reply.headers["Retry-After"]) == (500, "3")
    assert reply.headers["Content-Type"].startswith("text/html")
    assert len(applovin.emulator.audiences()) == 1


def test_an_applied_status_is_billed_once(services: tuple[AppLovin, Pai]) -> None:
    _, pai = services
    pai.emulator.fault("pai.create", "status", applied=True)
    assert pai.call("POST", "CreateGroup", json={"Source": 0, "Text": "1"}).status_code == 500
    assert pai.emulator.billing()["create"] == {"succeeded": 1, "failed": 0, "billed": 1}


def test_a_request_may_take_effect_late(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.create", "apply_late", delay_seconds=0.5, status=503)
    reply = applovin.call("create", name="A", platform="ios", package_name="p")
    assert reply.status_code == 503
    assert applovin.emulator.audiences() == []
    wait_until(applovin.emulator.audiences)
    # That was no request of its own.
    assert len(applovin.emulator.requests()) == 1


def test_reset_calls_late_requests_off(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.create", "apply_late", delay_seconds=0.4)
    assert applovin.call("create", name="A", platform="ios", package_name="p").status_code == 500
    applovin.emulator.reset()
    time.sleep(0.6)
    assert applovin.emulator.audiences() == []


def test_a_slow_reply_comes_after_the_effect(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.create", "slow", seconds=0.3)
    params = {"name": "A", "platform": "ios", "package_name": "p", "api_key": applovin.emulator.api_key}
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{applovin.emulator.url}/audiences/create", params=params, timeout=0.1)
    assert len(applovin.emulator.audiences()) == 1
    applovin.emulator.fault("applovin.list", "slow", seconds=0.1)
    started = time.monotonic()
    assert applovin.call("list").status_code == 200
    assert time.monotonic() - started >= 0.1


def test_latency_delays_the_effect(services: tuple[AppLovin, Pai]) -> None:
    applovin, pai = services
    applovin.emulator.latency("*", 0.05)
    applovin.emulator.latency("pai.list", 0.15)
    started = time.monotonic()
    applovin.create()
    middle = time.monotonic()
    pai.list()
    assert middle - started >= 0.05
    assert time.monotonic() - middle >= 0.15
    applovin.emulator.reset()
    applovin.emulator.latency("pai.*", 30)
    applovin.create()


@pytest.mark.parametrize("waits", ["latency", "slow"])
def test_reset_drops_requests_that_wait(services: tuple[AppLovin, Pai], waits: str) -> None:
    applovin, _ = services
    if waits == "latency":
        applovin.emulator.latency("*", 60)
    else:
        applovin.emulator.fault("*", "slow", seconds=60)
    outcomes = []

    def create() -> None:
        try:
            outcomes.append(applovin.create())
        except requests.ConnectionError:
            outcomes.append("dropped")

    client = threading.Thread(target=create)
    client.start()
    wait_until(applovin.emulator.requests)
    applovin.emulator.reset()
    client.join(timeout=10)
    assert outcomes == ["dropped"]
    assert applovin.emulator.audiences() == []


def test_a_page_instead_of_the_api(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.create", "html")
    reply = applovin.call("create", name="A", platform="ios", package_name="p")
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("text/html")
    assert applovin.emulator.audiences() == []


def test_a_redirect_to_another_host(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.*", "redirect")
    reply = applovin.call("list")
    assert (reply.status_code, reply.headers["Location"]) == (302, "http://elsewhere.invalid/")
    applovin.emulator.fault("applovin.list", "redirect", status=307, location="http://other.invalid/x")
    reply = applovin.call("list")
    assert (reply.status_code, reply.headers["Location"]) == (307, "http://other.invalid/x")


def test_wrong_counts(services: tuple[AppLovin, Pai], make_ids: MakeIds) -> None:
    applovin, pai = services
    audience_id = applovin.create()
    for service in ("applovin.*", "pai.*"):
        applovin.emulator.fault(service, "wrong_counts", times=None, by=2)
    assert applovin.send("update", audience_id, make_ids(5))["num_valid_ids"] == 3
    assert applovin.send("append", audience_id, make_ids(5))["num_valid_ids"] == 3
    assert applovin.emulator.member_count(audience_id) == 5
    assert applovin.call("list").json()["count"] == 3
    assert pai.list()["TotalCount"] == 2
    assert applovin.call("delete", audience_id=audience_id).content == b""


def test_error_codes_under_http_200(services: tuple[AppLovin, Pai]) -> None:
    applovin, pai = services
    applovin.emulator.fault("*", "error_code", error_code=403, times=3)
    reply = applovin.call("list")
    assert (reply.status_code, reply.json()["code"]) == (200, 403)
    reply = pai.call("DELETE", "DeleteGroup/x")
    assert (reply.status_code, reply.json()["ErrorCode"]) == (200, 403)
    assert pai.call("GET", "GetGroup/x").json()["ErrorCode"] == 403
    assert pai.emulator.billing()["total"]["billed"] == 1


def test_faults_hit_the_requests_they_were_planned_for(services: tuple[AppLovin, Pai]) -> None:
    applovin, pai = services
    applovin.call("list")
    applovin.emulator.fault("applovin.list", "status", number=2, times=2)
    statuses = []
    for _ in range(5):
        statuses.append(applovin.call("list").status_code)
        pai.list()
    assert statuses == [200, 500, 500, 200, 200]
    planned = applovin.emulator.faults()
    assert [(fault["seen"], fault["over"], fault["kind"]) for fault in planned] == [(5, True, "status")]


def test_the_oldest_fault_wins_and_all_are_counted(services: tuple[AppLovin, Pai]) -> None:
    applovin, _ = services
    applovin.emulator.fault("applovin.list", "status", status=503)
    applovin.emulator.fault("*", "status", status=429, times=2)
    assert [applovin.call("list").status_code for _ in range(3)] == [503, 429, 200]
    applovin.emulator.fault("*", "status", times=None)
    assert [applovin.call("list").status_code for _ in range(2)] == [500, 500]
    applovin.emulator.clear_faults()
    assert applovin.call("list").status_code == 200
    assert applovin.emulator.faults() == []


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "nothing", "kind": "html"},
        {"operation": 5, "kind": "html"},
        {"operation": "pai.get", "kind": "nothing"},
        {"operation": "pai.get", "kind": "html", "number": 0},
        {"operation": "pai.get", "kind": "html", "times": 0},
        {"operation": "pai.get", "kind": "html", "times": True},
        {"operation": "pai.get", "kind": "html", "status": 500},
        {"operation": "pai.get", "kind": "status", "status": 200},
        {"operation": "pai.get", "kind": "status", "status": "500"},
        {"operation": "pai.get", "kind": "status", "retry_after": -1},
        {"operation": "pai.get", "kind": "status", "retry_after": "a\r\nb: c"},
        {"operation": "pai.get", "kind": "status", "form": "envelope"},
        {"operation": "pai.get", "kind": "status", "code": "a code"},
        {"operation": "pai.get", "kind": "status", "code": 5},
        {"operation": "pai.get", "kind": "apply_late", "form": 5},
        {"operation": "pai.get", "kind": "slow", "seconds": "1"},
        {"operation": "pai.get", "kind": "truncated_json", "cut": "wire"},
        {"operation": "pai.get", "kind": "wrong_counts", "by": 1.5},
    ],
)
def test_faults_that_mean_nothing_are_refused(audiences_emulator: AudiencesEmulator, fault: dict[str, Any]) -> None:
    with pytest.raises(EmulatorError, match="400"):
        audiences_emulator.fault(**fault)
    assert audiences_emulator.faults() == []


@pytest.mark.parametrize(("operation", "seconds"), [("nothing", 1), ("*", -1), ("*", None), ("*", True)])
def test_latencies_that_mean_nothing_are_refused(
    audiences_emulator: AudiencesEmulator, operation: str, seconds: Any
) -> None:
    with pytest.raises(EmulatorError, match="400"):
        audiences_emulator.latency(operation, seconds)
