import threading
import time
from typing import Any

import pytest
from support.bare_clients import Pai

PHONES = "13900001111\n13900002222\n13900001111\n\n"
URI = "https://bucket.oss-cn-hangzhou.aliyuncs.com/folder/file.txt"
START = 1_577_851_200  # 2020-01-01 12:00:00 in UTC+8


def new_text(pai: Pai, **changes: Any) -> Any:
    return pai.create(**{"Name": "VIP", "Source": 0, "Text": PHONES, "PhoneNumber": True, **changes})


def test_a_group_is_checked_after_a_while(pai: Pai) -> None:
    pai.emulator.set_clock(START, freeze=True)
    group = new_text(pai)
    assert (group["Status"], group["Amount"]) == (0, 0)
    assert (group["CreatedTime"], group["UpdatedTime"]) == ("2020-01-01 12:00:00", "2020-01-01 12:00:00")
    pai.emulator.advance(4)
    assert (pai.get(group["Id"])["Status"], pai.get(group["Id"])["Amount"]) == (0, 0)
    pai.emulator.advance(1)
    details = pai.get(group["Id"])
    assert (details["Status"], details["Amount"], details["UpdatedTime"]) == (1, 2, "2020-01-01 12:00:05")
    assert (details["CampaignId"], details["History"]) == ("", "")
    assert pai.list()["Groups"][0]["Amount"] == 2


def test_checking_may_take_no_time_and_end_in_another_status(pai: Pai) -> None:
    pai.emulator.settings(processing_seconds=0, final_status=0)
    group = new_text(pai)
    assert (group["Status"], group["Amount"]) == (0, 2)


def test_groups_may_be_rejected_by_name(pai: Pai) -> None:
    pai.emulator.settings(reject_names=["VIP"])
    group = new_text(pai)
    assert pai.get(group["Id"])["History"] == ""
    pai.emulator.advance(5)
    details = pai.get(group["Id"])
    assert (details["Status"], details["Amount"], details["History"]) == (
        2,
        0,
        "The audience did not pass the review",
    )


@pytest.mark.parametrize("text", ["1390000****", "hello\nworld", "12345"])
def test_groups_without_a_valid_number_are_rejected(pai: Pai, text: str) -> None:
    pai.emulator.settings(processing_seconds=0)
    details = pai.get(new_text(pai, Text=text)["Id"])
    assert (details["Status"], details["History"]) == (2, "The text holds no valid phone number")


def test_lines_that_are_no_numbers_are_fine_without_phone_numbers(pai: Pai) -> None:
    pai.emulator.settings(processing_seconds=0)
    group = new_text(pai, Text="user-1\nuser-2", PhoneNumber=None)
    assert (group["Status"], group["Amount"], group["PhoneNumber"]) == (1, 2, False)


@pytest.mark.parametrize(
    ("body", "amount"),
    [
        ({"Source": 1, "Uri": URI}, 1000),
        ({"Source": 1, "Uri": f"{URI}.known"}, 77),
        ({"Source": 2, "Uri": "http://127.0.0.1:9000/bucket/file"}, 0),
        ({"Source": 3, "Project": "p", "Table": "t", "Filter": "ds=1"}, 9),
        ({"Source": 4, "Algorithm": "a", "InferenceJobId": "j"}, 500),
    ],
)
def test_people_come_from_the_source(pai: Pai, body: dict[str, Any], amount: int) -> None:
    files = {f"{URI}.known": 77, "http://127.0.0.1:9000/bucket/file": 0}
    pai.emulator.settings(processing_seconds=0, maxcompute={"p": {"t": 9}}, files=files)
    assert pai.create(**body)["Amount"] == amount


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13900001111\r\n 13900002222 \n", "1390000****\n1390000****"),
        ("1390000****", "1390000****"),
        ("12", "****"),
    ],
)
def test_numbers_are_masked_everywhere(pai: Pai, text: str, masked: str) -> None:
    group = new_text(pai, Text=text)
    raw = pai.emulator.groups()[0]
    assert [group["Text"], pai.get(group["Id"])["Text"], raw["Text"]] == [masked] * 3


def test_deleted_groups_are_gone_but_can_be_looked_at(pai: Pai) -> None:
    group = new_text(pai)
    assert pai.call("DELETE", f"DeleteGroup/{group['Id']}").status_code == 200
    assert pai.call("DELETE", f"DeleteGroup/{group['Id']}").status_code == 404
    assert pai.list()["TotalCount"] == 0
    assert pai.emulator.groups() == []
    assert [item["Id"] for item in pai.emulator.groups(deleted=True)] == [group["Id"]]


def test_pages_show_the_newest_first(pai: Pai) -> None:
    made = [new_text(pai, Name=f"g{number}")["Id"] for number in range(12)][::-1]
    page = pai.list()
    assert [group["Id"] for group in page["Groups"]] == made[:10]
    assert (page["PageNumber"], page["PageSize"], page["TotalCount"]) == (1, 10, 12)
    page = pai.list(PageNumber=3, PageSize=5)
    assert [group["Id"] for group in page["Groups"]] == made[10:]
    assert pai.list(PageNumber=4, PageSize=5)["Groups"] == []
    pai.emulator.settings(max_page_size=4)
    page = pai.list(PageNumber=2, PageSize=100)
    assert ([group["Id"] for group in page["Groups"]], page["PageSize"]) == (made[4:8], 4)


def test_filters(pai: Pai) -> None:
    pai.emulator.settings(processing_seconds=0, reject_names=["bad"])
    alpha = new_text(pai, Name="alpha", Remark="first run")["Id"]
    alphabet = pai.create(Name="alphabet", Source=4, Algorithm="a", InferenceJobId="j")["Id"]
    bad = new_text(pai, Name="bad")["Id"]

    def found(**params: Any) -> set[Any]:
        return {group["Id"] for group in pai.list(**params)["Groups"]}

    assert found(Name="alpha") == {alpha, alphabet}
    assert found(Remark="run") == {alpha}
    assert found(PhoneNumber="true") == {alpha, bad}
    assert found(PhoneNumber="False") == {alphabet}
    assert found(Source=0) == {alpha, bad}
    assert found(Status=2) == {bad}
    assert found(Status=1, Name="alph", Source=4) == {alphabet}
    assert found(Name="", Source="", PhoneNumber="") == {alpha, alphabet, bad}
    pai.emulator.settings(fuzzy_filters=False)
    assert found(Name="alpha") == {alpha}
    assert found(Remark="run") == set()


def test_the_bill(pai: Pai) -> None:
    group = new_text(pai)
    pai.get(group["Id"])
    pai.call("GET", "GetGroup?Id=unknown")
    pai.call("POST", "CreateGroup", json={})
    pai.call("DELETE", "DeleteGroup/unknown")
    pai.call("DELETE", f"DeleteGroup/{group['Id']}")
    pai.list()
    pai.call("GET", "ListGroups?PageSize=x")
    assert pai.emulator.billing() == {
        "create": {"succeeded": 1, "failed": 1, "billed": 2},
        "get": {"succeeded": 1, "failed": 1, "billed": 1},
        "delete": {"succeeded": 1, "failed": 1, "billed": 2},
        "list": {"succeeded": 1, "failed": 1, "billed": 0},
        "total": {"succeeded": 4, "failed": 4, "billed": 5},
    }


def test_calls_are_limited_to_so_many_a_second(pai: Pai) -> None:
    pai.emulator.settings(qps=3)
    replies = [pai.call("GET", "ListGroups") for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200] * 3 + [429]
    assert replies[-1].json()["ErrorCode"] == 429
    assert replies[-1].json()["ErrorMessage"].startswith("Throttling")
    # The window is real time: the emulator's clock has no part in it.
    pai.emulator.advance(3600)
    assert pai.call("GET", "ListGroups").status_code == 429
    time.sleep(1.01)
    assert pai.call("GET", "ListGroups").status_code == 200
    pai.emulator.settings(qps=None)
    assert {pai.call("GET", "ListGroups").status_code for _ in range(8)} == {200}


def test_groups_made_at_once_are_all_there(pai: Pai) -> None:
    pai.emulator.settings(qps=None)
    made = []
    threads = [threading.Thread(target=lambda: made.append(new_text(pai)["Id"])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {group["Id"] for group in pai.list(PageSize=50)["Groups"]} == set(made)
    assert len(set(made)) == 16
