"""Advice that fits the call: what is said of a create is not said of the others, in either dialect."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.exceptions import BadRequestError, InvalidInputError, NotFoundError
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource

CALLS: dict[str, Callable[[PaiClient], Any]] = {
    "create": lambda client: client.create_group(GroupSpec(source=PaiSource.TEXT, text="13900001111"), marker=None),
    "get": lambda client: client.get_group("g"),
    "list": lambda client: client.list_groups(name="VIP"),
    "delete": lambda client: client.delete_group("g"),
}
SAID = {
    "create": "Check the parameters against the source; a failed create is billed",
    "get": "Check the group_id: list the groups to see those that exist",
    "list": "Check the filters",
    "delete": "Check the group_id: list the groups to see those that exist; a failed delete is billed",
}
REPLIES = {
    "status": (400, {"ErrorCode": 400, "ErrorMessage": "no", "RequestId": "r"}),
    "body": (200, {"ErrorCode": 400, "ErrorMessage": "no", "RequestId": "r"}),
    "unknown": (200, {"ErrorCode": 7, "ErrorMessage": "no", "RequestId": "r"}),
    "gateway": (400, {"Code": "MissingParameter", "Message": "no", "RequestId": "r"}),
    "gateway in 200": (200, {"Code": "InvalidParameter", "Message": "no", "RequestId": "r"}),
    "timeout": (408, {"ErrorCode": 408, "ErrorMessage": "no", "RequestId": "r"}),
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("call", CALLS)
def test_of_bad_requests(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, call: str, reply: str
) -> None:
    status, body = REPLIES[reply]
    recorder.answer(status, {}, json.dumps(body).encode())
    with pytest.raises(BadRequestError) as failure:
        CALLS[call](make_pai(dialect, base_url=recorder.url))

    assert SAID[call] in str(failure.value)
    others = [said for other, said in SAID.items() if not SAID[call].startswith(said) and other != call]
    assert not any(said in str(failure.value) for said in others)


@pytest.mark.parametrize(
    ("call", "said"), [("create", "file, table or job"), ("get", "group does not exist"), ("list", "connection's host")]
)
def test_of_what_is_not_found(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, call: str, said: str
) -> None:
    recorder.answer(404, {}, b'{"ErrorCode": 404, "ErrorMessage": "Not Found", "RequestId": "r"}')
    with pytest.raises(NotFoundError, match=said):
        CALLS[call](make_pai(dialect, base_url=recorder.url))


@pytest.mark.parametrize("call", ["get_group", "delete_group"])
def test_an_id_has_at_most_1000_characters(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, call: str
) -> None:
    recorder.answer(200, {}, b'{"ErrorCode": 0, "Data": {"Id": "g"}}')
    client = make_pai(dialect, base_url=recorder.url)
    getattr(client, call)("g" * 1000)
    with pytest.raises(InvalidInputError, match=r"^group_id has 1,001 characters, and PAI takes at most 1,000"):
        getattr(client, call)("g" * 1001)
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("name", ["name", "remark"])
@pytest.mark.parametrize("value", ["", " ", "None", 2.5, True])
def test_the_client_lists_nothing_by_an_empty_filter(
    recorder: Any, make_pai: Callable[..., PaiClient], dialect: str, name: str, value: Any
) -> None:
    client = make_pai(dialect, base_url=recorder.url)
    with pytest.raises(InvalidInputError, match=f"^{name} "):
        client.list_groups(**{name: value})
    assert recorder.requests == []
