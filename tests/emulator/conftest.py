from collections.abc import Iterable
from typing import Any

import pytest
import requests

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.emulator.pytest_plugin import (  # noqa: F401 - fixtures
    audiences_emulator,
    audiences_emulator_server,
)

TIMEOUT_SECONDS = 30


def make_ids(count: int, *, start: int = 1) -> list[str]:
    hexes = (f"{number:032x}" for number in range(start, start + count))
    return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in hexes]


class AppLovin:
    """The AppLovin side, called with nothing but requests."""

    def __init__(self, emulator: AudiencesEmulator) -> None:
        self.emulator = emulator

    def call(self, operation: str, *, method: str | None = None, body: Any = None, **params: Any) -> Any:
        params.setdefault("api_key", self.emulator.api_key)
        return requests.request(
            method or ("POST" if operation in ("update", "append") else "GET"),
            f"{self.emulator.url}/audiences/{operation}",
            params=params,
            data=body,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )

    def create(self, **params: Any) -> str:
        values = {"name": "My Audience", "platform": "ios", "package_name": "my.app", **params}
        reply = self.call("create", **values)
        assert reply.status_code == 200, reply.text
        return reply.json()["audience_id"]

    def send(self, operation: str, audience_id: str, ids: Iterable[str], **params: Any) -> dict[str, Any]:
        body = "\n".join(ids).encode()
        reply = self.call(operation, body=body, audience_id=audience_id, **params)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def entry(self, audience_id: str) -> dict[str, Any]:
        audiences = self.call("list").json()["audiences"]
        return next(item for item in audiences if item["audience_id"] == audience_id)


class Pai:
    """The PAI side, called with nothing but requests."""

    def __init__(self, emulator: AudiencesEmulator) -> None:
        self.emulator = emulator
        self.base = f"{emulator.url}/api/PaiPlugin/2022-01-12"

    def call(self, method: str, path: str, *, key: str | None = "", **options: Any) -> requests.Response:
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers.setdefault("Authorization", f"Bearer {key or self.emulator.api_key}")
        return requests.request(
            method,
            f"{self.base}/{path}",
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            **options,
        )

    def create(self, **body: Any) -> dict[str, Any]:
        values = body or {"Name": "VIP", "Source": 0, "Text": "13900001111", "PhoneNumber": True}
        reply = self.call("POST", "CreateGroup", json=values)
        assert reply.status_code == 200, reply.text
        return reply.json()["Data"]

    def get(self, group_id: str) -> dict[str, Any]:
        return self.call("GET", "GetGroup", params={"Id": group_id}).json()["Data"]

    def list(self, **params: Any) -> dict[str, Any]:
        reply = self.call("GET", "ListGroups", params=params)
        assert reply.status_code == 200, reply.text
        return reply.json()["Data"]


@pytest.fixture
def applovin(audiences_emulator: AudiencesEmulator) -> AppLovin:  # noqa: F811
    return AppLovin(audiences_emulator)


@pytest.fixture
def pai(audiences_emulator: AudiencesEmulator) -> Pai:  # noqa: F811
    return Pai(audiences_emulator)


@pytest.fixture(scope="session")
def ids() -> Any:
    """Makes distinct advertising IDs: ``ids(count, start=1)``."""
    return make_ids


@pytest.fixture(scope="session")
def client_types() -> tuple[type[AppLovin], type[Pai]]:
    """The two classes above, for tests with an emulator of their own."""
    return AppLovin, Pai
