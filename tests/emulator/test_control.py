import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import requests
from support.bare_clients import AppLovin, Pai
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator import AudiencesEmulator, AudiencesEmulatorControl
from airflow_provider_audiences.emulator.app import create_app
from airflow_provider_audiences.emulator.gate import Call, Gate, Reply
from airflow_provider_audiences.emulator.late import Traffic
from airflow_provider_audiences.emulator.settings import Settings, SettingsError
from airflow_provider_audiences.emulator.state import EmulatorState
from airflow_provider_audiences.emulator.testing import EmulatorError


def test_the_clock_runs_unless_frozen(audiences_emulator: AudiencesEmulator) -> None:
    before = audiences_emulator.now()
    assert abs(before - time.time()) < 10
    assert audiences_emulator.advance(1000) >= before + 1000
    frozen = audiences_emulator.freeze()
    time.sleep(0.02)
    assert audiences_emulator.now() == frozen
    assert audiences_emulator.advance(5) == frozen + 5
    assert audiences_emulator.set_clock(100) == 100
    audiences_emulator.freeze(False)
    time.sleep(0.02)
    assert 100 < audiences_emulator.now() < 110
    assert audiences_emulator.set_clock(200, freeze=True) == 200
    audiences_emulator.reset()
    assert abs(audiences_emulator.now() - time.time()) < 10


@pytest.mark.parametrize(
    "body",
    [
        *('{"set": "x"}', '{"advance_seconds": -1}', '{"advance_seconds": NaN}', '{"freeze": 1}'),
        *('{"tick": 1}', "{}", "[]", "", "{"),
    ],
)
def test_clock_changes_that_mean_nothing_are_refused(audiences_emulator: AudiencesEmulator, body: Any) -> None:
    reply = requests.post(f"{audiences_emulator.url}/_emulator/clock", data=body, timeout=10)
    assert reply.status_code == 400
    assert reply.json()["error"]


def test_settings_can_be_read_changed_and_reset(audiences_emulator: AudiencesEmulator) -> None:
    start = audiences_emulator.settings()
    assert start["processing_seconds"] == 5
    changed = audiences_emulator.settings(processing_seconds=0, reject_names=["a"], qps=None)
    assert changed == {**start, "processing_seconds": 0, "reject_names": ["a"], "qps": None}
    audiences_emulator.reset()
    assert audiences_emulator.settings() == start


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nothing", 1),
        ("processing_seconds", -1),
        ("processing_seconds", True),
        ("processing_seconds", "5"),
        ("final_status", 1.5),
        ("fuzzy_filters", 1),
        ("qps", 0),
        ("max_page_size", 0),
        ("max_page_size", None),
        ("max_body_ids", -1),
        ("reject_names", "VIP"),
        ("reject_names", [1]),
        ("files", {"a": "b"}),
        ("files", []),
        ("maxcompute", {"p": 5}),
        ("file_roots", {"": "/tmp"}),
        ("file_roots", {"https://b.oss-cn-hangzhou.aliyuncs.com/": "tmp"}),
        ("file_roots", {"https://b.oss-cn-hangzhou.aliyuncs.com/": "ftp://host/"}),
        ("file_roots", {"https://b.oss-cn-hangzhou.aliyuncs.com/": "http://user:word@host/"}),
        ("file_roots", {"https://b.oss-cn-hangzhou.aliyuncs.com/": "http://host/?a=b"}),
        ("file_roots", {"https://b.oss-cn-hangzhou.aliyuncs.com/": "http://[host/"}),
        ("file_roots", {"https://b.oss-cn-hangzhou.aliyuncs.com/": 5}),
        ("file_roots", ["/tmp"]),
    ],
)
def test_settings_that_mean_nothing_are_refused(audiences_emulator: AudiencesEmulator, name: str, value: Any) -> None:
    start = audiences_emulator.settings()
    with pytest.raises(EmulatorError, match=name):
        audiences_emulator.settings(**{name: value, "default_file_amount": 7})
    assert audiences_emulator.settings() == start


def test_settings_at_the_start_are_those_after_a_reset() -> None:
    with AudiencesEmulator(api_key="key", processing_seconds=0) as emulator:
        emulator.settings(processing_seconds=9)
        emulator.reset()
        assert emulator.settings()["processing_seconds"] == 0
    with pytest.raises(SettingsError):
        Settings(qps=-1)


def test_reset_forgets_everything(applovin: AppLovin, pai: Pai) -> None:
    emulator = applovin.emulator
    audience_id = applovin.create()
    pai.create()
    emulator.fault("*", "status")
    emulator.latency("*", 0.001)
    emulator.reset()
    assert emulator.requests() == []
    assert (emulator.audiences(), emulator.groups(deleted=True), emulator.faults()) == ([], [], [])
    assert emulator.billing()["total"] == {"succeeded": 0, "failed": 0, "billed": 0}
    assert applovin.call("delete", audience_id=audience_id).status_code == 404
    assert emulator.requests()[0]["number"] == 1


def test_unknown_audiences_have_no_members(audiences_emulator: AudiencesEmulator) -> None:
    for look in (audiences_emulator.audience, audiences_emulator.members, audiences_emulator.member_expiries):
        with pytest.raises(EmulatorError, match="404"):
            look("a/b")


def test_health(audiences_emulator: AudiencesEmulator) -> None:
    assert requests.get(f"{audiences_emulator.url}/_emulator/health", timeout=10).json() == {"status": "ok"}
    assert requests.get(f"{audiences_emulator.url}/_emulator/nothing", timeout=10).status_code == 404
    assert requests.get(f"{audiences_emulator.url}/docs", timeout=10).status_code == 404


def test_a_running_server_can_be_steered_by_its_address(
    applovin: AppLovin, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy of the environment is not for the emulator.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    control = AudiencesEmulatorControl(applovin.emulator.url + "/", api_key="k")
    control.set_clock(1000, freeze=True)
    monkeypatch.delenv("http_proxy")
    audience_id = applovin.create()
    applovin.send("update", audience_id, make_ids(2), ttl_seconds=5)
    assert control.member_expiries(audience_id) == dict.fromkeys(make_ids(2), 1005.0)
    with pytest.raises(ValueError, match="http"):
        AudiencesEmulatorControl("file:///etc")


def test_connections_for_airflow(audiences_emulator: AudiencesEmulator) -> None:
    import json

    url, key = audiences_emulator.url, audiences_emulator.api_key
    applovin = json.loads(audiences_emulator.applovin_connection_uri())
    assert applovin == {"conn_type": "applovin", "host": url, "password": key}
    pai = json.loads(audiences_emulator.pai_connection_uri())
    assert pai == {"conn_type": "pai", "host": f"{url}/api/PaiPlugin/2022-01-12", "password": key}
    key_id, secret = audiences_emulator.access_key_id, audiences_emulator.access_key_secret
    assert key_id.startswith("LTAI")
    signed = json.loads(audiences_emulator.pai_connection_uri("openapi"))
    assert signed == {"conn_type": "pai", "host": url, "login": key_id, "password": secret}
    alibaba = json.loads(audiences_emulator.alibaba_connection_uri())
    extra = {"access_key_id": key_id, "access_key_secret": secret}
    assert alibaba == {"conn_type": "alibaba_cloud", "host": url, "extra": extra}
    with pytest.raises(ValueError, match="dialect"):
        audiences_emulator.pai_connection_uri("soap")


def test_connections_with_a_token() -> None:
    import json

    emulator = AudiencesEmulator(security_token="token")
    assert emulator.access_key_id.startswith("STS.")
    assert json.loads(emulator.pai_connection_uri("openapi"))["extra"] == {"security_token": "token"}
    assert json.loads(emulator.alibaba_connection_uri())["extra"]["security_token"] == "token"
    assert "extra" not in json.loads(emulator.pai_connection_uri())


def test_an_emulator_starts_once_and_stops_as_often_as_you_like() -> None:
    emulator = AudiencesEmulator()
    emulator.stop()
    with emulator:
        with pytest.raises(EmulatorError, match="already"):
            emulator.start()
        assert emulator.now() > 0
    emulator.stop()
    with emulator:
        assert emulator.now() > 0


def test_a_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:

    emulator = AudiencesEmulator()
    monkeypatch.setattr(asyncio, "run", lambda coroutine: coroutine.close())
    with pytest.raises(EmulatorError, match="did not start"):
        emulator.start()


def test_other_connections_are_served_while_a_large_body_is_worked_on(applovin: AppLovin, make_ids: MakeIds) -> None:
    audience_id = applovin.create()
    body = "\n".join(make_ids(150_000))
    sender = threading.Thread(target=applovin.call, args=("update",), kwargs={"body": body, "audience_id": audience_id})
    sender.start()
    served = 0
    while sender.is_alive():
        assert requests.get(f"{applovin.emulator.url}/_emulator/health", timeout=10).status_code == 200
        served += 1
    sender.join()
    assert served > 3
    assert applovin.emulator.member_count(audience_id) == 150_000


async def _nothing_to_receive() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def _scope(path: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}


def test_a_client_that_leaves_within_its_body_is_not_served() -> None:

    state = EmulatorState()
    sent: list[Any] = []
    gate = Gate(create_app(), state=state)
    asyncio.run(gate(_scope("/audiences/list"), _nothing_to_receive, sent.append))  # type: ignore[arg-type]  # it is called, and need not wait
    assert sent == []
    assert state.requests.describe() == []


def test_without_its_own_server_a_drop_is_an_exception() -> None:

    state = EmulatorState()
    state.faults.add({"operation": "*", "kind": "drop_before"})
    gate = Gate(create_app(), state=state)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    with pytest.raises(ConnectionAbortedError, match="own server"):
        asyncio.run(gate(_scope("/audiences/list"), receive, None))  # type: ignore[arg-type]  # nothing is sent


def test_a_service_that_waits_for_the_client_to_leave_is_told() -> None:

    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await receive(), await receive()])
        await send({"type": "http.response.start", "status": 204, "headers": []})

    call = Call(
        app=app,
        scope=_scope("/audiences/list"),
        body=b"x",
        receive=_nothing_to_receive,
        traffic=Traffic(),
        era=asyncio.Event(),
    )
    assert asyncio.run(call.apply()) == Reply(status=204, headers=(), body=b"")
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]


FORBIDDEN_IMPORTS = """
import importlib, sys
for module in sys.argv[1].split():
    importlib.import_module("airflow_provider_audiences.emulator" + module.removeprefix("package"))
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & set(sys.argv[2:]), loaded & set(sys.argv[2:])
ours = {name for name in sys.modules if name.startswith("airflow_provider_audiences.")}
assert all(name.startswith("airflow_provider_audiences.emulator") for name in ours), ours
"""


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("package .testing .__main__", ["airflow", "requests", "duckdb", "fastapi", "starlette", "uvicorn", "pytest"]),
        (".app .server", ["airflow", "requests", "duckdb", "tenacity", "pytest"]),
    ],
)
def test_the_emulator_shares_no_code_with_the_rest(modules: str, forbidden: list[str]) -> None:
    subprocess.run([sys.executable, "-c", FORBIDDEN_IMPORTS, modules, *forbidden], check=True)
