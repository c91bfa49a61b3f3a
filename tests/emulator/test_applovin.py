import re
from typing import Any

import pytest
from support.bare_clients import AppLovin
from support.fixtures import MakeIds

ID = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"
OPERATIONS = ("create", "list", "update", "append", "delete")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("key", ["wrong", "", "ключ"])
def test_a_wrong_key_is_refused_before_anything_else(applovin: AppLovin, operation: str, key: str) -> None:
    reply = applovin.call(operation, api_key=key)
    assert reply.status_code == 403
    assert reply.json() == {"code": 403, "message": "Authentication failed: check the API key"}


def test_a_missing_key_is_refused(applovin: AppLovin) -> None:
    assert applovin.call("list", api_key=None).status_code == 403


@pytest.mark.parametrize("operation", OPERATIONS)
def test_other_methods_are_refused(applovin: AppLovin, operation: str) -> None:
    right = "POST" if operation in ("update", "append") else "GET"
    for method in {"GET", "POST", "PUT", "DELETE"} - {right}:
        reply = applovin.call(operation, method=method)
        assert reply.status_code == 405
        assert reply.json()["code"] == 405


@pytest.mark.parametrize("path", ["nothing", "list/", "", "list/more"])
def test_other_paths_do_not_exist(applovin: AppLovin, path: str) -> None:
    reply = applovin.call(path)
    assert (reply.status_code, reply.json()["code"]) == (404, 404)


def test_create_answers_an_id_and_list_shows_the_audience(applovin: AppLovin) -> None:
    audience_id = applovin.create(name="a b_-+9", platform="iOS", description="描述")
    assert re.fullmatch(r"[0-9a-f]{32}", audience_id)
    body = applovin.call("list").json()
    assert body == {
        "code": 200,
        "audiences": [
            {
                "audience_id": audience_id,
                "name": "a b_-+9",
                "package_name": "my.app",
                "platform": "ios",
                "description": "描述",
                "user_count": "0",
            }
        ],
        "count": 1,
    }


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "VIP客户"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"platform": None}, "platform"),
        ({"platform": "windows"}, "platform"),
        ({"package_name": None}, "package_name"),
        ({"package_name": "", "audience_type": "retargeting"}, "package_name"),
        ({"audience_type": "all"}, "audience_type"),
        ({"audience_type": ""}, "audience_type"),
    ],
)
def test_create_names_the_bad_parameter(applovin: AppLovin, params: dict[str, Any], named: str) -> None:
    values = {"name": "A", "platform": "android", "package_name": "p", **params}
    reply = applovin.call("create", **values)
    assert reply.status_code == 400
    assert reply.json()["message"].endswith(f": {named}")
    assert applovin.emulator.audiences() == []


def test_user_acquisition_needs_no_package(applovin: AppLovin) -> None:
    audience_id = applovin.create(audience_type="ua", package_name=None)
    assert applovin.entry(audience_id)["package_name"] == ""
    assert applovin.emulator.audience(audience_id)["audience_type"] == "ua"


def test_create_refuses_the_same_parameters_while_an_audience_has_them(applovin: AppLovin) -> None:
    base = {"name": "A", "platform": "ios", "package_name": "p", "audience_type": "retargeting"}
    first = applovin.create(**base)
    same = {**base, "platform": "IOS", "audience_type": None, "description": "other words"}
    assert applovin.call("create", **same).status_code == 406
    changes = ({"name": "B"}, {"platform": "android"}, {"package_name": "q"}, {"audience_type": "ua"})
    others = {applovin.create(**{**base, **change}) for change in changes}
    assert len(others | {first}) == 5
    assert applovin.call("delete", audience_id=first).status_code == 200
    assert applovin.create(**base) != first


def test_list_counts_its_entries_and_shows_the_oldest_first(applovin: AppLovin) -> None:
    made = [applovin.create(name=name) for name in ("one", "two", "three")]
    body = applovin.call("list").json()
    assert [item["audience_id"] for item in body["audiences"]] == made
    assert body["count"] == 3


def test_list_may_show_itunes_ids_for_ios(applovin: AppLovin) -> None:
    ios, android = applovin.create(), applovin.create(platform="android")
    no_package = applovin.create(audience_type="ua", package_name=None)
    applovin.emulator.settings(ios_list_shows_itunes_id=True)
    shown = applovin.entry(ios)["package_name"]
    assert re.fullmatch(r"[0-9]{9}", shown)
    assert applovin.entry(ios)["package_name"] == shown
    assert applovin.entry(android)["package_name"] == "my.app"
    assert applovin.entry(no_package)["package_name"] == ""


@pytest.mark.parametrize("operation", ["update", "append", "delete"])
def test_an_audience_is_named_and_exists(applovin: AppLovin, operation: str) -> None:
    missing = applovin.call(operation, body=ID)
    assert (missing.status_code, missing.json()["message"]) == (400, "Missing parameter: audience_id")
    assert applovin.call(operation, body=ID, audience_id="0" * 32).status_code == 404
    assert applovin.call(operation, body=ID, audience_id="no id").status_code == 404


@pytest.mark.parametrize("operation", ["update", "append"])
@pytest.mark.parametrize("ttl", ["-1", "1.5", "x", "", " 5", "1e3", "٣", "9223372036854775808", "1" * 30])
def test_a_ttl_is_a_non_negative_integer(applovin: AppLovin, operation: str, ttl: str) -> None:
    audience_id = applovin.create()
    reply = applovin.call(operation, body=ID, audience_id=audience_id, ttl_seconds=ttl)
    assert (reply.status_code, reply.json()["message"]) == (400, "Invalid parameter: ttl_seconds")
    assert applovin.emulator.member_count(audience_id) == 0


def test_the_longest_ttl_is_taken(applovin: AppLovin) -> None:
    audience_id = applovin.create()
    applovin.send("update", audience_id, [ID], ttl_seconds=2**63 - 1)
    assert applovin.emulator.members(audience_id) == [ID]


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        ("update", {"audience_id", "num_valid_ids", "num_invalid_ids"}),
        ("append", {"audience_id", "num_valid_ids", "num_invalid_users"}),
    ],
)
def test_counts_are_named_as_in_the_samples(applovin: AppLovin, operation: str, names: set[str]) -> None:
    audience_id = applovin.create()
    reply = applovin.send(operation, audience_id, [ID, "rubbish"])
    assert reply == {name: audience_id if name == "audience_id" else 1 for name in names}


@pytest.mark.parametrize(
    "line",
    [
        "c77bbe4e6a2811e4bcda14109fdf9591",
        "{c77bbe4e-6a28-11e4-bcda-14109fdf9591}",
        "urn:uuid:c77bbe4e-6a28-11e4-bcda-14109fdf9591",
        " c77bbe4e-6a28-11e4-bcda-14109fdf9591",
        "c77bbe4e-6a28-11e4-bcda-14109fdf9591 ",
        "c77bbe4e-6a28-11e4-bcda-14109fdf959",
        "c77bbe4e-6a28-11e4-bcda-14109fdf9591a",
        "c77bbe4e6-a28-11e4-bcda-14109fdf9591",
        "c77bbe4g-6a28-11e4-bcda-14109fdf9591",
        "c77bbe4e-6a28-11e4-bcda-14109fdf959\uff11",
        "\ufeffc77bbe4e-6a28-11e4-bcda-14109fdf9591",
        '"c77bbe4e-6a28-11e4-bcda-14109fdf9591"',
        "c77bbe4e-6a28-11e4-bcda-14109fdf9591,f601faf5-4a83-44d6-98ef-b67c24919d39",
        "c77bbe4e-6a28-11e4-bcda-14109fdf9591\r\r",
        "idfa",
        "null",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_what_is_no_id_is_counted_and_left_out(applovin: AppLovin, line: str) -> None:
    audience_id = applovin.create()
    body = f"{line}\nF601FAF5-4a83-44d6-98ef-b67c24919d39\n".encode()
    reply = applovin.call("update", body=body, audience_id=audience_id).json()
    assert (reply["num_valid_ids"], reply["num_invalid_ids"]) == (1, 1)
    assert applovin.emulator.members(audience_id) == ["f601faf5-4a83-44d6-98ef-b67c24919d39"]


def test_bodies_may_have_crlf_blank_lines_and_repeated_ids(applovin: AppLovin) -> None:
    audience_id = applovin.create()
    body = f"\r\n{ID}\r\n \t\r\n\n{ID.upper()}\r\n".encode()
    reply = applovin.call("append", body=body, audience_id=audience_id).json()
    assert (reply["num_valid_ids"], reply["num_invalid_users"]) == (1, 0)
    assert applovin.emulator.members(audience_id) == [ID]


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "application/json", "nonsense"],
)
def test_the_content_type_is_never_looked_at(applovin: AppLovin, content_type: str) -> None:
    import requests

    audience_id = applovin.create()
    url = f"{applovin.emulator.url}/audiences/update"
    params = {"api_key": applovin.emulator.api_key, "audience_id": audience_id}
    headers = {"Content-Type": content_type}
    reply = requests.post(url, params=params, data=ID.encode(), headers=headers, timeout=30)
    assert reply.json()["num_valid_ids"] == 1


def test_update_replaces_and_append_adds(applovin: AppLovin, make_ids: MakeIds) -> None:
    audience_id = applovin.create()
    first, second = make_ids(3), make_ids(3, start=100)
    applovin.send("update", audience_id, first)
    applovin.send("append", audience_id, second)
    assert applovin.emulator.members(audience_id) == [*first, *second]
    applovin.send("update", audience_id, second)
    assert applovin.emulator.members(audience_id) == second
    assert applovin.entry(audience_id)["user_count"] == "3"


def test_an_empty_body_empties_or_adds_nothing(applovin: AppLovin, make_ids: MakeIds) -> None:
    audience_id = applovin.create()
    applovin.send("update", audience_id, make_ids(2))
    applovin.send("append", audience_id, [])
    assert applovin.emulator.member_count(audience_id) == 2
    applovin.emulator.settings(allow_empty_body=False)
    assert applovin.call("update", audience_id=audience_id).status_code == 400
    applovin.emulator.settings(allow_empty_body=True)
    assert applovin.send("update", audience_id, [])["num_valid_ids"] == 0
    assert applovin.emulator.member_count(audience_id) == 0


def test_a_body_may_be_too_large(applovin: AppLovin, make_ids: MakeIds) -> None:
    audience_id = applovin.create()
    applovin.emulator.settings(max_body_ids=3)
    applovin.send("update", audience_id, make_ids(3))
    reply = applovin.call("append", body="\n".join(make_ids(4, start=50)), audience_id=audience_id)
    assert reply.status_code == 413
    assert applovin.emulator.members(audience_id) == make_ids(3)


def test_delete_answers_an_empty_body_and_ends_the_audience(applovin: AppLovin) -> None:
    audience_id = applovin.create()
    reply = applovin.call("delete", audience_id=audience_id)
    assert (reply.status_code, reply.content) == (200, b"")
    assert applovin.call("delete", audience_id=audience_id).status_code == 404
    assert applovin.call("append", body=ID, audience_id=audience_id).status_code == 404
    assert applovin.call("list").json()["audiences"] == []


def test_errors_hold_neither_members_nor_keys(applovin: AppLovin) -> None:
    for reply in (
        applovin.call("create", name=ID + "/", platform="ios", package_name="p"),
        applovin.call("update", body=ID, audience_id=applovin.create(), ttl_seconds=ID),
        applovin.call("append", body=ID, audience_id=ID),
        applovin.call("list", api_key="not-the-key"),
    ):
        assert reply.status_code >= 400
        assert ID not in reply.text
        assert "not-the-key" not in reply.text
