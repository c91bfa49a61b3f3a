import json
import time
from typing import Any

import pytest
import requests
from support.bare_clients import AppLovin, OpenApi, Pai

PHONE = "13900001111"
TEXT = {"Name": "VIP", "Source": 0, "Text": PHONE, "PhoneNumber": True}
GROUPS = 1000


def post(openapi: OpenApi, **body: Any) -> Any:
    return openapi.call("POST", body=json.dumps(body).encode())


def gateway_code(reply: Any) -> tuple[Any, Any]:
    assert set(reply.json()) == {"Code", "HostId", "Message", "RequestId"}
    return reply.status_code, reply.json()["Code"]


def test_the_four_calls(openapi: OpenApi) -> None:
    openapi.emulator.settings(processing_seconds=0)
    group = openapi.create(**TEXT)
    assert (group["Status"], group["Amount"], group["Text"]) == (1, 1, "1390000****")
    details = openapi.call("GET", group["Id"]).json()
    assert details["Data"] == {**group, "CampaignId": "", "History": ""}
    assert (details["ErrorCode"], details["ErrorMessage"]) == (0, "OK")
    listed = openapi.call("GET").json()["Data"]
    assert listed == {"Groups": [group], "PageNumber": 1, "PageSize": 10, "TotalCount": 1}
    assert openapi.call("DELETE", group["Id"]).json()["Data"] == group["Id"]
    assert openapi.emulator.groups() == []


def test_both_dialects_show_the_same_groups(openapi: OpenApi, pai: Pai) -> None:
    signed, bearer = openapi.create(**TEXT)["Id"], pai.create(**TEXT)["Id"]
    assert [group["Id"] for group in openapi.call("GET").json()["Data"]["Groups"]] == [bearer, signed]
    assert openapi.call("GET", bearer).json()["Data"] == pai.get(bearer)
    assert openapi.call("DELETE", bearer).ok
    assert pai.call("DELETE", f"DeleteGroup/{signed}").ok
    assert openapi.emulator.groups() == []


def test_refusals_of_the_service_come_in_its_envelope(openapi: OpenApi) -> None:
    for reply, status, message in (
        (post(openapi, Source=5), 400, "Invalid parameter: Source must be an integer from 0 to 4"),
        (post(openapi, Source=3, Project="p", Table="t"), 404, "MaxCompute project or table not found"),
        (openapi.call("POST", body=b"["), 400, "The request body is not JSON"),
        (openapi.call("POST"), 400, "The request body is not JSON"),
        (openapi.call("GET", "a/b ?"), 404, "Audience group not found"),
        (openapi.call("GET", "~!é"), 404, "Audience group not found"),
        (openapi.call("DELETE", "unknown"), 404, "Audience group not found"),
        (openapi.call("GET", ""), 400, "Missing parameter: Id"),
        (openapi.call("GET", params={"PageSize": 0}), 400, "Invalid parameter: PageSize must be at least 1"),
    ):
        body = reply.json()
        assert set(body) == {"Data", "ErrorCode", "ErrorMessage", "RequestId"}
        assert (reply.status_code, body["ErrorCode"], body["ErrorMessage"]) == (status, status, message)
    assert openapi.emulator.billing() == {
        "create": {"succeeded": 0, "failed": 4, "billed": 4},
        "get": {"succeeded": 0, "failed": 3, "billed": 0},
        "delete": {"succeeded": 0, "failed": 1, "billed": 1},
        "list": {"succeeded": 0, "failed": 1, "billed": 0},
        "total": {"succeeded": 0, "failed": 9, "billed": 5},
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("PUT", "/api/v2/groups"), ("DELETE", "/api/v2/groups"), ("POST", "/api/v2/groups/x")),
        *(("GET", "/api/v2"), ("GET", "/api/v2/campaigns"), ("GET", "/api/v2/Groups")),
    ],
)
def test_other_calls_do_not_exist(openapi: OpenApi, method: Any, path: Any) -> None:
    reply = requests.request(method, f"{openapi.emulator.url}{path}", timeout=10)
    assert gateway_code(reply) == (404, "InvalidAction.NotFound")
    assert openapi.emulator.requests()[0]["operation"] == "unknown"


def test_requests_are_recorded_under_the_same_names(openapi: OpenApi) -> None:
    group_id = openapi.create(**TEXT)["Id"]
    openapi.call("GET", group_id)
    openapi.call("GET", params={"Name": "VIP"})
    openapi.call("DELETE", group_id)
    found = openapi.emulator.requests()
    assert [entry["operation"] for entry in found] == ["pai.create", "pai.get", "pai.list", "pai.delete"]
    assert found[2]["target"] == "/api/v2/groups?Name=VIP"
    assert len(openapi.emulator.requests("pai.get")) == 1


def test_the_record_holds_no_key_token_or_signature() -> None:
    from airflow_provider_audiences.emulator import AudiencesEmulator

    with AudiencesEmulator(security_token="the-token-of-the-day") as emulator:
        openapi = OpenApi(emulator)
        headers = openapi.headers("GET", "/api/v2/groups", "", b"")
        openapi.call("GET", params={"x": emulator.access_key_secret, "Signature": "abcdef", "SecurityToken": "t0k3n"})
        words = (
            emulator.access_key_id,
            emulator.access_key_secret,
            emulator.security_token,
            emulator.api_key,
            headers["Authorization"],
            headers["Authorization"].rpartition(",")[2],
            "Bearer somebody",
        )
        for word in words:
            openapi.call("GET", user_agent=word)
            openapi.call("GET", word)
            openapi.call("GET", content_type=f"text/plain; {word}")
        recorded = emulator.requests()
        assert len(recorded) == 1 + 3 * len(words)
        assert {name for entry in recorded for name in entry["headers"]} == {"user-agent", "content-type"}
        told = json.dumps(recorded) + json.dumps(emulator.settings()) + json.dumps(emulator.groups())
        signature = headers["Authorization"].rpartition("=")[2]
        for secret in (*words[:4], signature, "abcdef", "t0k3n", "somebody"):
            assert secret not in told


def test_too_many_calls_are_refused_by_the_gateway_and_not_billed(openapi: OpenApi) -> None:
    openapi.emulator.settings(qps=1)
    made = 0
    # However slow the machine is, two of these come within a second.
    while (reply := post(openapi, **TEXT)).ok:
        made += 1
        assert made < 200
    assert gateway_code(reply) == (400, "Throttling.User")
    assert openapi.emulator.billing()["create"] == {"succeeded": made, "failed": 0, "billed": made}


def test_both_dialects_share_one_rate(openapi: OpenApi, pai: Pai) -> None:
    openapi.emulator.settings(qps=1)
    for _ in range(200):
        if not (openapi.call("GET").ok and pai.call("GET", "ListGroups").ok):
            break
    else:
        raise AssertionError("each dialect has a rate of its own")


def test_refused_signatures_do_not_use_up_the_rate(openapi: OpenApi) -> None:
    openapi.emulator.settings(qps=1)
    assert gateway_code(openapi.call("GET", x_acs_version="x")) == (400, "InvalidVersion")
    assert openapi.call("GET").ok


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (500, "InternalError")),
        ({"status": 503}, (503, "ServiceUnavailable")),
        ({"status": 429}, (429, "Throttling.User")),
        ({"status": 403}, (403, "Forbidden.RAM")),
        ({"status": 418}, (418, "UnknownError")),
        ({"status": 400, "code": "InvalidSecurityToken.Expired"}, (400, "InvalidSecurityToken.Expired")),
    ],
)
def test_a_status_comes_from_the_gateway_unless_said_otherwise(
    openapi: OpenApi, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    openapi.emulator.fault("pai.create", "status", message="m", **options)
    reply = post(openapi, **TEXT)
    assert gateway_code(reply) == expected
    assert reply.json()["Message"] == "m"
    assert reply.json()["HostId"] == openapi.emulator.url.removeprefix("http://")
    assert openapi.emulator.billing()["total"]["billed"] == 0
    assert openapi.emulator.groups() == []


@pytest.mark.parametrize("options", [{"form": "service"}, {"error_code": 500}])
def test_a_status_of_the_service(openapi: OpenApi, options: dict[str, Any]) -> None:
    openapi.emulator.fault("pai.create", "status", **options)
    reply = post(openapi, **TEXT)
    assert (reply.status_code, reply.json()["ErrorCode"]) == (500, 500)
    assert openapi.emulator.billing()["create"] == {"succeeded": 0, "failed": 1, "billed": 1}


def test_the_bearer_dialect_has_no_gateway_form(pai: Pai, applovin: AppLovin) -> None:
    pai.emulator.fault("*", "status", form="gateway", code="Throttling.User", times=2)
    assert pai.call("GET", "ListGroups").json()["ErrorCode"] == 500
    assert applovin.call("list").json()["code"] == 500


def test_an_applied_status_is_billed_as_done(openapi: OpenApi) -> None:
    openapi.emulator.fault("pai.create", "status", applied=True, status=503)
    assert gateway_code(post(openapi, **TEXT)) == (503, "ServiceUnavailable")
    assert len(openapi.emulator.groups()) == 1
    assert openapi.emulator.billing()["create"] == {"succeeded": 1, "failed": 0, "billed": 1}


def test_other_faults_work_as_in_the_other_dialect(openapi: OpenApi) -> None:
    emulator = openapi.emulator
    emulator.fault("pai.create", "drop_after")
    with pytest.raises(requests.ConnectionError):
        post(openapi, **TEXT)
    emulator.fault("pai.create", "truncated_json")
    assert not post(openapi, **TEXT).text.endswith("}")
    emulator.fault("pai.create", "apply_late", delay_seconds=0.01, status=503)
    assert gateway_code(post(openapi, **TEXT)) == (503, "ServiceUnavailable")
    deadline = time.monotonic() + 10
    while len(emulator.groups()) < 3:
        assert time.monotonic() < deadline
    emulator.fault("pai.create", "apply_late", delay_seconds=60, form="service")
    assert post(openapi, **TEXT).json()["ErrorCode"] == 500
    emulator.fault("pai.list", "error_code", error_code=7)
    assert openapi.call("GET").json()["ErrorCode"] == 7
    emulator.fault("pai.list", "wrong_counts", by=2)
    assert openapi.call("GET").json()["Data"]["TotalCount"] == 5
    assert len(emulator.groups()) == 3


def test_pages_and_filters_of_a_thousand_groups(openapi: OpenApi) -> None:
    openapi.emulator.settings(qps=None, processing_seconds=0, reject_names=["group 500"])
    body = [json.dumps({**TEXT, "Name": f"group {number}"}).encode() for number in range(GROUPS)]
    made = [openapi.call("POST", body=item).json()["Data"]["Id"] for item in body]
    seen = []
    for page_number in range(1, 12):
        page = openapi.call("GET", params={"PageNumber": page_number, "PageSize": 100}).json()["Data"]
        assert (page["PageNumber"], page["PageSize"], page["TotalCount"]) == (page_number, 100, GROUPS)
        seen += [group["Id"] for group in page["Groups"]]
    assert seen == made[::-1]

    def found(**params: Any) -> tuple[Any, list[Any]]:
        data = openapi.call("GET", params=params).json()["Data"]
        return data["TotalCount"], [group["Name"] for group in data["Groups"]]

    assert found(Status=2) == (1, ["group 500"])
    assert found(Name="group 99") == (11, ["group 999", *(f"group {number}" for number in range(998, 989, -1))])
    assert found(Name="group 99", PageNumber=2) == (11, ["group 99"])
    assert found(PhoneNumber="false", Source=0) == (0, [])
