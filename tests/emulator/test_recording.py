import time
from urllib.parse import quote

import pytest
import requests
from support.bare_clients import AppLovin, Pai

from airflow_provider_audiences.emulator import AudiencesEmulator

ID = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"


def test_what_is_recorded(applovin: AppLovin, pai: Pai) -> None:
    audience_id = applovin.create()
    applovin.call("append", body=f"{ID}\n{ID}", audience_id=audience_id, ttl_seconds=5)
    pai.call("POST", "CreateGroup", json={"Source": 0, "Text": "1"})
    pai.call("GET", "GetGroup/a%2Fb")
    pai.call("DELETE", "DeleteGroup?Id=x")
    pai.list()
    found = applovin.emulator.requests()
    assert [(entry["number"], entry["operation"], entry["method"], entry["status"]) for entry in found] == [
        (1, "applovin.create", "GET", 200),
        (2, "applovin.append", "POST", 200),
        (3, "pai.create", "POST", 200),
        (4, "pai.get", "GET", 404),
        (5, "pai.delete", "DELETE", 404),
        (6, "pai.list", "GET", 200),
    ]
    append = found[1]
    assert append["target"] == f"/audiences/append?audience_id={audience_id}&ttl_seconds=5&api_key=***"
    assert (append["body_bytes"], append["body_lines"], append["fault"]) == (73, 2, None)
    assert set(append["headers"]) <= {"user-agent", "content-type", "content-length"}
    assert append["headers"]["content-length"] == "73"
    assert abs(append["received_at"] - time.time()) < 60
    assert found[3]["target"] == "/api/PaiPlugin/2022-01-12/GetGroup/a%2Fb"


def test_refused_and_unknown_requests_are_recorded(applovin: AppLovin, pai: Pai) -> None:
    applovin.call("create", method="POST")
    applovin.call("nothing")
    pai.call("GET", "Nothing")
    requests.get(f"{applovin.emulator.url}/api/PaiPlugin", timeout=10)
    requests.get(f"{applovin.emulator.url}/elsewhere", timeout=10)
    found = [(entry["operation"], entry["status"]) for entry in applovin.emulator.requests()]
    assert found == [("applovin.create", 405), ("unknown", 404), ("unknown", 404), ("unknown", 404)]


def test_the_record_can_be_narrowed_and_cleared(applovin: AppLovin) -> None:
    for operation in ("list", "delete", "list", "list"):
        applovin.call(operation)
    emulator = applovin.emulator
    assert [entry["number"] for entry in emulator.requests("applovin.list")] == [1, 3, 4]
    assert [entry["number"] for entry in emulator.requests("applovin.list", limit=2)] == [3, 4]
    assert emulator.requests(limit=0) == []
    assert emulator.requests(limit=50)[0]["number"] == 1
    emulator.clear_requests()
    assert emulator.requests() == []
    for query in ("operation=x", "limit=-1", "limit=x"):
        assert requests.get(f"{emulator.url}/_emulator/requests?{query}", timeout=10).status_code == 400


@pytest.mark.parametrize("key", ["plain-key", "key/+ =&%?ü", "%41%41%41"])
def test_no_key_and_no_member_in_anything_the_emulator_tells(
    key: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with AudiencesEmulator(api_key=key) as emulator:
        applovin, pai = AppLovin(emulator), Pai(emulator)
        audience_id = applovin.create()
        applovin.send("update", audience_id, [ID])
        applovin.call("list", api_key="wrong-key")
        escaped = "%61pi_ke%79=" + quote(key, safe="")
        for query in (escaped, f"API_KEY={quote(key)}", f"x={quote(key, safe='')}", "api_key", f"api_key=a&{escaped}"):
            requests.get(f"{emulator.url}/audiences/list?{query}", timeout=10, headers={"User-Agent": quote(key)})
        requests.get(f"{emulator.url}/audiences/{quote(key, safe='')}", timeout=10)
        bearer = {"Authorization": f"Bearer {key}".encode()}
        body = {"Source": 0, "Text": "13912345678"}
        assert pai.call("POST", "CreateGroup", json=body, headers=bearer).status_code == 200
        pai.call("POST", "CreateGroup", json={"Source": 9, "Text": "13912345678"}, headers=bearer)
        control = f"{emulator.url}/_emulator"
        paths = ("requests", "pai/groups", "billing", "settings", "faults", "applovin/audiences", "clock")
        told = "".join(requests.get(f"{control}/{path}", timeout=10).text for path in paths)
    # What the client's own library logs on our behalf is not the emulator's doing.
    logged = "".join(r.getMessage() for r in caplog.records if not r.name.startswith("urllib3"))
    told += "".join(capfd.readouterr()) + logged
    for secret in (key, quote(key), quote(key, safe=""), "wrong-key", ID, ID.upper(), "13912345678"):
        assert secret not in told


def test_a_short_key_hides_nothing_else() -> None:
    with AudiencesEmulator(api_key="list") as emulator:
        AppLovin(emulator).call("list", name="list")
        assert emulator.requests()[0]["target"] == "/audiences/list?name=list&api_key=***"
