"""The emulated suppression lists, called with nothing but requests."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests import Response

from airflow_provider_audiences.emulator import AudiencesEmulator

ADD, DELETE = "/suppressionApps", "/deleteSuppressionApps"
IDS = [f"c77bbe4e-6a28-11e4-bcda-{number:012x}" for number in range(5)]

Call = Callable[..., Response]


@pytest.fixture
def call(audiences_emulator: AudiencesEmulator) -> Call:
    """Sends a request: ``call(path, ids, **query)``; a query parameter that is None is left out."""

    def send(path: str, ids: list[str], *, method: str = "POST", **query: Any) -> Response:
        query = {"api_key": audiences_emulator.api_key, "package_name": "com.example"} | query
        body = "\n".join(ids).encode()
        url = audiences_emulator.url + path
        return requests.request(method, url, params=query, data=body, timeout=30, allow_redirects=False)

    return send


def test_users_are_added_and_deleted(audiences_emulator: AudiencesEmulator, call: Call) -> None:
    added = call(ADD, [*IDS[:3], "no id", IDS[0].upper()])
    assert (added.status_code, added.json()) == (200, {"num_valid_ids": 3, "num_invalid_ids": 1})
    assert call(ADD, IDS[2:4], package_name="com.other").status_code == 200
    assert audiences_emulator.suppressed("com.example") == IDS[:3]

    deleted = call(DELETE, [IDS[1], IDS[4]])
    assert (deleted.status_code, deleted.json()) == (200, {"num_valid_ids": 2, "num_invalid_ids": 0})
    assert audiences_emulator.suppressed("com.example") == [IDS[0], IDS[2]]
    assert audiences_emulator.suppressed("com.other") == IDS[2:4]
    assert audiences_emulator.suppressed("com.nobody") == []
    assert audiences_emulator.audiences() == []


def test_nobody_expires(audiences_emulator: AudiencesEmulator, call: Call) -> None:
    call(ADD, IDS)
    audiences_emulator.advance(20 * 365 * 86_400)
    assert audiences_emulator.suppressed("com.example") == IDS


@pytest.mark.parametrize("path", [ADD, DELETE])
@pytest.mark.parametrize(
    ("query", "ids", "status", "word"),
    [
        ({"package_name": None}, IDS, 400, "package_name"),
        ({"package_name": " "}, IDS, 400, "package_name"),
        ({}, [], 400, "Missing data"),
        ({"api_key": "wrong"}, IDS, 403, "key"),
        ({"api_key": None}, IDS, 403, "key"),
    ],
)
def test_what_is_refused_changes_nothing(
    audiences_emulator: AudiencesEmulator,
    call: Call,
    path: str,
    query: dict[str, Any],
    ids: list[str],
    status: int,
    word: str,
) -> None:
    call(ADD, IDS[:2])
    refused = call(path, ids, **query)
    assert (refused.status_code, refused.json()["code"]) == (status, status)
    assert word in refused.json()["message"]
    assert audiences_emulator.suppressed("com.example") == IDS[:2]


@pytest.mark.parametrize("path", [ADD, DELETE])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_refused(call: Call, path: str, method: str) -> None:
    assert call(path, IDS, method=method).status_code == 405


def test_a_key_of_its_own(audiences_emulator: AudiencesEmulator, call: Call) -> None:
    audiences_emulator.settings(suppression_api_key="the-other")
    assert call(ADD, IDS).status_code == 403
    assert call(ADD, IDS, api_key="the-other").status_code == 200
    listed = requests.get(f"{audiences_emulator.url}/audiences/list", params={"api_key": "the-other"}, timeout=30)
    assert listed.status_code == 403


def test_too_many_lines(audiences_emulator: AudiencesEmulator, call: Call) -> None:
    audiences_emulator.settings(max_body_ids=4)
    assert call(ADD, IDS).status_code == 413
    assert audiences_emulator.suppressed("com.example") == []


def test_the_record_names_the_operation_and_no_member(audiences_emulator: AudiencesEmulator, call: Call) -> None:
    call(ADD, IDS)
    call(DELETE, IDS)
    [added] = audiences_emulator.requests("applovin.suppression_add")
    [deleted] = audiences_emulator.requests("applovin.suppression_delete")
    assert "package_name=com.example" in added["target"]
    assert IDS[0] not in str((added, deleted))
    assert audiences_emulator.api_key not in str((added, deleted))
