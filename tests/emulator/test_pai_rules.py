import uuid
from typing import Any

import pytest
from support.bare_clients import Pai

PHONE = "13900001111"
URI = "https://bucket.oss-cn-hangzhou.aliyuncs.com/folder/file.txt"
VALID = {
    "text": {"Source": 0, "Text": PHONE},
    "text file": {"Source": 1, "Uri": URI},
    "csv": {"Source": 2, "Uri": URI, "Column": "phone", "PhoneNumber": True},
    "maxcompute": {"Source": 3, "Project": "demo_project", "Table": "vip_customers", "Filter": "ds=1"},
    "algorithm": {"Source": 4, "Algorithm": "user_recall", "InferenceJobId": "job"},
}


def refused(pai: Pai, body: Any) -> tuple[Any, Any]:
    reply = pai.call("POST", "CreateGroup", json=body)
    envelope = reply.json()
    assert set(envelope) == {"Data", "ErrorCode", "ErrorMessage", "RequestId"}
    assert (envelope["Data"], envelope["ErrorCode"]) == (None, reply.status_code)
    uuid.UUID(envelope["RequestId"])
    assert pai.emulator.groups(deleted=True) == []
    return reply.status_code, envelope["ErrorMessage"]


@pytest.mark.parametrize("name", VALID)
def test_every_source_has_its_own_parameters(pai: Pai, name: str) -> None:
    body = {"Name": name, "Remark": "r", **VALID[name]}
    reply = pai.call("POST", "CreateGroup", json=body).json()
    assert (reply["ErrorCode"], reply["ErrorMessage"]) == (0, "OK")
    masked = {**body, "Text": "1390000****"} if "Text" in body else body
    assert {key: reply["Data"][key] for key in body} == masked
    assert set(reply["Data"]) == {
        *("Algorithm", "Amount", "Column", "CreatedTime", "Filter", "Id", "InferenceJobId", "Name"),
        *("PhoneNumber", "Project", "Remark", "Source", "Status", "Table", "Text", "UpdatedTime", "Uri"),
    }
    uuid.UUID(reply["Data"]["Id"])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "Source"),
        ({"Source": 5}, "Source"),
        ({"Source": -1}, "Source"),
        ({"Source": "0", "Text": PHONE}, "Source"),
        ({"Source": False, "Text": PHONE}, "Source"),
        ({"Source": [], "Text": PHONE}, "Source"),
        ({"Source": 0.0, "Text": PHONE}, "Source"),
        ({"Source": 0}, "Text"),
        ({"Source": 0, "Text": " \n "}, "Text"),
        ({"Source": 0, "Text": 13900001111}, "Text"),
        ({"Source": 0, "Text": "\n".join([PHONE] * 101)}, "Text"),
        ({"Source": 0, "Text": PHONE, "PhoneNumber": "true"}, "PhoneNumber"),
        ({"Source": 0, "Text": PHONE, "PhoneNumber": 1}, "PhoneNumber"),
        ({"Source": 0, "Text": PHONE, "Name": 5}, "Name"),
        ({"Source": 0, "Text": PHONE, "Filter": "ds=1"}, "Filter"),
        ({"Source": 1}, "Uri"),
        ({"Source": 1, "Uri": URI, "Column": "phone"}, "Column"),
        ({"Source": 2, "Column": "phone"}, "Uri"),
        ({"Source": 2, "Uri": URI, "PhoneNumber": True}, "Column"),
        ({"Source": 3, "Table": "vip_customers"}, "Project"),
        ({"Source": 3, "Project": "demo_project"}, "Table"),
        ({"Source": 3, "Project": "demo_project", "Table": "vip_customers", "PhoneNumber": True}, "Column"),
        ({"Source": 4, "Algorithm": "a"}, "InferenceJobId"),
        ({"Source": 4, "InferenceJobId": "j"}, "Algorithm"),
        ({"Source": 4, "Algorithm": "a", "InferenceJobId": "j", "Text": PHONE}, "Text"),
        ({"Source": 0, "Text": PHONE, "CampaignId": "x"}, "CampaignId"),
        ({"Source": 0, "Text": PHONE, PHONE: "x"}, "?"),
    ],
)
def test_create_names_the_bad_parameter(pai: Pai, body: dict[str, Any], named: str) -> None:
    status, message = refused(pai, body)
    assert status == 400
    assert named in message
    assert PHONE not in message


@pytest.mark.parametrize(
    "uri",
    [
        "oss://bucket/file",
        "ftp://bucket.oss-cn-hangzhou.aliyuncs.com/file",
        "https://bucket.oss-cn-hangzhou.aliyuncs.com/",
        "https://oss-cn-hangzhou.aliyuncs.com/file",
        "https://bucket.oss-cn-hangzhou.example.com/file",
        "https://user:secret@bucket.oss-cn-hangzhou.aliyuncs.com/file",
        "https://[bucket/file",
        "file",
    ],
)
def test_a_uri_is_an_oss_address(pai: Pai, uri: str) -> None:
    status, message = refused(pai, {"Source": 1, "Uri": uri})
    assert (status, message) == (400, "Invalid parameter: Uri must be an OSS URI")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"Source=0&Text=1", b"\xff"])
def test_a_body_is_a_json_object(pai: Pai, body: bytes) -> None:
    reply = pai.call("POST", "CreateGroup", data=body)
    assert (reply.status_code, reply.json()["ErrorCode"]) == (400, 400)


def test_a_hundred_numbers_are_taken(pai: Pai) -> None:
    numbers = [str(13900000000 + number) for number in range(100)]
    group = pai.create(Source=0, Text="\n".join([*numbers, ""]), PhoneNumber=True)
    assert pai.emulator.groups()[0]["People"] == 100
    assert group["Text"].split("\n")[:2] == ["1390000****", "1390000****"]


def test_foreign_parameters_may_be_let_through(pai: Pai) -> None:
    pai.emulator.settings(strict_source_parameters=False)
    assert pai.create(Source=0, Text=PHONE, Filter="ds=1")["Filter"] == "ds=1"


@pytest.mark.parametrize(("project", "table"), [("nowhere", "vip_customers"), ("demo_project", "nothing")])
def test_maxcompute_tables_exist(pai: Pai, project: str, table: str) -> None:
    status, message = refused(pai, {"Source": 3, "Project": project, "Table": table})
    assert (status, message) == (404, "MaxCompute project or table not found")


def test_projects_and_buckets_may_be_forbidden(pai: Pai) -> None:
    pai.emulator.settings(forbidden_projects=["demo_project"], forbidden_buckets=["bucket"])
    for name, what in (("maxcompute", "MaxCompute project"), ("csv", "OSS bucket"), ("text file", "OSS bucket")):
        status, message = refused(pai, VALID[name])
        assert status == 403
        assert what in message


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic {key}", "{key}", "Bearer $DASHSCOPE_API_KEY"]
)
def test_a_wrong_key_is_refused(pai: Pai, authorization: str | None) -> None:
    headers = {}
    if authorization is not None:
        headers["Authorization"] = authorization.format(key=pai.emulator.api_key)
    for method, path in (
        ("POST", "CreateGroup"),
        ("GET", "GetGroup?Id=x"),
        ("DELETE", "DeleteGroup/x"),
        ("GET", "ListGroups"),
    ):
        reply = pai.call(method, path, key=None, headers=headers)
        assert (reply.status_code, reply.json()["ErrorCode"]) == (403, 403)
    assert pai.emulator.billing()["total"]["billed"] == 0


def test_list_may_be_open(pai: Pai) -> None:
    assert pai.call("GET", "ListGroups", key=None).status_code == 403
    pai.emulator.settings(list_without_auth=True)
    assert pai.call("GET", "ListGroups", key=None).status_code == 200
    assert pai.call("GET", "ListGroups", key="wrong").status_code == 403
    assert pai.call("GET", "GetGroup?Id=x", key=None).status_code == 403


def test_ids_are_taken_from_the_query_and_from_the_path(pai: Pai) -> None:
    first, second = pai.create()["Id"], pai.create()["Id"]
    assert pai.call("GET", f"GetGroup?Id={first}").json()["Data"]["Id"] == first
    assert pai.call("GET", f"GetGroup/{first}").json()["Data"]["Id"] == first
    assert pai.call("GET", f"GetGroup/{first.replace('-', '%2D')}").json()["Data"]["Id"] == first
    assert pai.call("DELETE", f"DeleteGroup?Id={first}").json()["Data"] == first
    assert pai.call("DELETE", f"DeleteGroup/{second}").json()["ErrorCode"] == 0
    assert pai.emulator.groups() == []


@pytest.mark.parametrize(("method", "call"), [("GET", "GetGroup"), ("DELETE", "DeleteGroup")])
def test_groups_exist(pai: Pai, method: str, call: str) -> None:
    for path in (f"{call}?Id=a/b", f"{call}/a%2Fb", f"{call}/a%252Fb", f"{call}/%20a%3F", f"{call}/{uuid.uuid4()}"):
        reply = pai.call(method, path)
        assert (reply.status_code, reply.json()["ErrorMessage"]) == (404, "Audience group not found")
    for path in (call, f"{call}/", f"{call}?Id=", f"{call}/%20"):
        reply = pai.call(method, path)
        assert (reply.status_code, reply.json()["ErrorMessage"]) == (400, "Missing parameter: Id")
    assert pai.call(method, f"{call}?Id={'x' * 1001}").status_code == 400


@pytest.mark.parametrize("path", ["Nothing", "", "creategroup", "CreateGroup/x", "ListGroups/"])
def test_unknown_calls(pai: Pai, path: str) -> None:
    reply = pai.call("GET", path)
    assert (reply.status_code, reply.json()["ErrorMessage"]) == (404, "Specified api is not found")


def test_unknown_versions(pai: Pai) -> None:
    pai.base = pai.base.replace("2022-01-12", "2021-01-01")
    reply = pai.call("GET", "ListGroups")
    assert (reply.status_code, reply.json()["ErrorMessage"]) == (404, "Specified api is not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "CreateGroup"), ("POST", "GetGroup"), ("GET", "DeleteGroup/x"), ("POST", "ListGroups")],
)
def test_other_methods_are_refused(pai: Pai, method: str, path: str) -> None:
    reply = pai.call(method, path)
    assert (reply.status_code, reply.json()["ErrorCode"]) == (405, 405)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PageNumber", "0"),
        ("PageNumber", "-1"),
        ("PageNumber", "x"),
        ("PageSize", "0"),
        ("PageSize", "1.5"),
        ("Source", "5"),
        ("Status", "ready"),
        ("PhoneNumber", "yes"),
    ],
)
def test_list_names_the_bad_parameter(pai: Pai, name: str, value: str) -> None:
    reply = pai.call("GET", "ListGroups", params={name: value})
    assert reply.status_code == 400
    assert f": {name} " in reply.json()["ErrorMessage"]
