"""What the SDK sends is what the emulator takes, and what the emulator answers is what the SDK reads."""

from typing import Any

import pytest
import requests
from support.sdk import Sdk
from Tea.exceptions import TeaException

from airflow_provider_audiences.emulator import AudiencesEmulator

PHONE = "13900001111"
NAMES = ["VIP", "a b", "a+b", "100%", "~*!'()", "x/y?z#&=;", "人群 é", '"quoted"\\', ""]


def test_the_four_calls(sdk: Sdk) -> None:
    created = sdk.create(name="VIP", source=0, text=f"{PHONE}\n13900002222", phone_number=True, remark="r")
    assert (created["ErrorCode"], created["ErrorMessage"]) == (0, "OK")
    group = created["Data"]
    assert (group["Name"], group["Remark"], group["Source"], group["PhoneNumber"]) == ("VIP", "r", 0, True)
    assert (group["Status"], group["Amount"], group["Text"]) == (1, 2, "1390000****\n1390000****")
    read = sdk.get(group["Id"])["Data"]
    # The SDK drops what it does not know: from get the details stay.
    assert read == {**group, "CampaignId": "", "History": ""}
    listed = sdk.list(page_number=1, page_size=5)["Data"]
    assert (listed["TotalCount"], listed["PageNumber"], listed["PageSize"]) == (1, 1, 5)
    assert [entry["Id"] for entry in listed["Groups"]] == [group["Id"]]
    assert sdk.delete(group["Id"])["Data"] == group["Id"]
    assert sdk.emulator.groups() == []
    assert sdk.emulator.billing() == {
        "create": {"succeeded": 1, "failed": 0, "billed": 1},
        "get": {"succeeded": 1, "failed": 0, "billed": 1},
        "delete": {"succeeded": 1, "failed": 0, "billed": 1},
        "list": {"succeeded": 1, "failed": 0, "billed": 0},
        "total": {"succeeded": 4, "failed": 0, "billed": 3},
    }
    assert [entry["operation"] for entry in sdk.emulator.requests()] == [
        "pai.create",
        "pai.get",
        "pai.list",
        "pai.delete",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_signed_in_bodies_and_queries(sdk: Sdk, name: str) -> None:
    assert sdk.create(name=name, source=0, text="1", remark=name)["Data"]["Name"] == name
    sdk.create(name="other", source=0, text="1")
    found = sdk.list(name=name, remark=name)["Data"]
    assert found["TotalCount"] == (1 if name else 2)


@pytest.mark.parametrize("group_id", ["a/b", "a b", "~x", "a%2Fb", "人"])
def test_any_id_is_signed_in_the_path(sdk: Sdk, group_id: str) -> None:
    for call in (sdk.get, sdk.delete):
        with pytest.raises(TeaException) as failure:
            call(group_id)
        assert failure.value.data["ErrorMessage"] == "Audience group not found"


def test_every_source(sdk: Sdk) -> None:
    sdk.emulator.settings(maxcompute={"p": {"t": 9}}, default_file_amount=7, default_algorithm_amount=5)
    uri = "https://bucket.oss-cn-hangzhou.aliyuncs.com/folder/file"
    for amount, values in (
        (1, {"source": 0, "text": PHONE, "phone_number": False}),
        (7, {"source": 1, "uri": uri}),
        (7, {"source": 2, "uri": uri, "column": "phone", "phone_number": True}),
        (9, {"source": 3, "project": "p", "table": "t", "filter": "ds='1'"}),
        (5, {"source": 4, "algorithm": "a", "inference_job_id": "j"}),
    ):
        data = sdk.create(**values)["Data"]
        assert (data["Amount"], data["Source"]) == (amount, values["source"])


def test_filters_and_pages(sdk: Sdk) -> None:
    for number in range(7):
        sdk.create(name=f"g{number}", source=0, text="1" if number % 2 else PHONE, phone_number=not number % 2)

    def names(**filters: Any) -> list[Any]:
        return [group["Name"] for group in sdk.list(**filters)["Data"]["Groups"]]

    assert names(phone_number=True) == ["g6", "g4", "g2", "g0"]
    assert names(phone_number=False, status=1, source=0) == ["g5", "g3", "g1"]
    assert names(page_number=2, page_size=3) == ["g3", "g2", "g1"]
    assert names(page_number=4, page_size=3) == []


def test_groups_of_one_dialect_are_those_of_the_other(sdk: Sdk) -> None:
    url = f"{sdk.emulator.url}/api/PaiPlugin/2022-01-12/CreateGroup"
    headers = {"Authorization": f"Bearer {sdk.emulator.api_key}"}
    reply = requests.post(url, headers=headers, json={"Name": "VIP", "Source": 0, "Text": "1"}, timeout=10)
    made = reply.json()["Data"]
    assert sdk.get(made["Id"])["Data"]["Name"] == made["Name"]
    assert sdk.delete(made["Id"])["ErrorCode"] == 0


def test_a_temporary_pair(sts_emulator: AudiencesEmulator, asynchronous: bool) -> None:
    sdk = Sdk(sts_emulator, asynchronous=asynchronous)
    group_id = sdk.create()["Data"]["Id"]
    assert sdk.get(group_id)["Data"]["Status"] == 1
    assert sdk.list()["Data"]["TotalCount"] == 1
    assert sdk.delete(group_id)["ErrorCode"] == 0


def test_what_is_recorded_of_the_sdk(sts_emulator: AudiencesEmulator, asynchronous: bool) -> None:
    Sdk(sts_emulator, asynchronous=asynchronous).create()
    (entry,) = sts_emulator.requests()
    assert entry["headers"]["content-type"] == "application/json; charset=utf-8"
    assert "AlibabaCloud" in entry["headers"]["user-agent"]
    told = str(entry)
    for secret in (sts_emulator.access_key_id, sts_emulator.access_key_secret, sts_emulator.security_token):
        assert secret not in told
