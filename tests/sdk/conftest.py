"""Alibaba's own SDK as a client that shares nothing with ours, against the emulator."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alibabacloud_paiplugin20220112 import models
from alibabacloud_paiplugin20220112.client import Client
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_util.models import RuntimeOptions
from Tea.exceptions import TeaException

from airflow_provider_audiences.emulator import AudiencesEmulator

TIMEOUT_MS = 30_000
# The SDK takes a proxy of the environment for loopback addresses too.
PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY")


class Sdk:
    """
    The SDK's four calls, each of which answers the body of the reply as the wire names it.

    :param asynchronous: whether the SDK's async methods are called
    :param config: changes of what the emulator says of its access
    """

    def __init__(self, emulator: AudiencesEmulator, *, asynchronous: bool, **config: Any) -> None:
        self.emulator = emulator
        self.asynchronous = asynchronous
        access = {
            "access_key_id": emulator.access_key_id,
            "access_key_secret": emulator.access_key_secret,
            "security_token": emulator.security_token or None,
            **config,
        }
        endpoint = emulator.url.removeprefix("http://")
        self._client = Client(Config(endpoint=endpoint, protocol="HTTP", **access))

    def _call(self, name: str, *arguments: Any) -> dict[str, Any]:
        options = RuntimeOptions(connect_timeout=TIMEOUT_MS, read_timeout=TIMEOUT_MS)
        if self.asynchronous:
            method = getattr(self._client, f"{name}_with_options_async")
            reply = asyncio.run(method(*arguments, {}, options))
        else:
            reply = getattr(self._client, f"{name}_with_options")(*arguments, {}, options)
        assert reply.status_code == 200
        body: dict[str, Any] = reply.body.to_map()
        return body

    def create(self, **values: Any) -> dict[str, Any]:
        filled = values or {"name": "VIP", "source": 0, "text": "13900001111", "phone_number": True}
        return self._call("create_group", models.CreateGroupRequest(**filled))

    def get(self, group_id: str) -> dict[str, Any]:
        return self._call("get_group", group_id)

    def delete(self, group_id: str) -> dict[str, Any]:
        return self._call("delete_group", group_id)

    def list(self, **filters: Any) -> dict[str, Any]:
        return self._call("list_groups", models.ListGroupsRequest(**filters))


def outcome_of(call: Callable[[], dict[str, Any]]) -> str:
    """What came of a call, in a few words."""
    try:
        body = call()
    except TeaException as error:
        words = (type(error).__name__, getattr(error, "status_code", None), error.code)
        return " ".join(str(word) for word in words if word is not None and word != "None")
    return "ok" if body["ErrorCode"] == 0 else f"no exception, ErrorCode {body['ErrorCode']}"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "async")


@pytest.fixture
def sdk(audiences_emulator: AudiencesEmulator, asynchronous: bool) -> Sdk:
    """The SDK in either form, at an emulator that checks groups at once."""
    audiences_emulator.settings(processing_seconds=0)
    return Sdk(audiences_emulator, asynchronous=asynchronous)


@pytest.fixture(scope="session")
def make_sdk() -> type[Sdk]:
    """The class, for other emulators and other keys."""
    return Sdk


@pytest.fixture(scope="session")
def outcome() -> Callable[[Callable[[], dict[str, Any]]], str]:
    return outcome_of


@pytest.fixture(scope="session")
def sts_server() -> Iterator[AudiencesEmulator]:
    """An emulator whose AccessKey pair is a temporary one."""
    with AudiencesEmulator(security_token="the/token+of=the day", processing_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def sts_emulator(sts_server: AudiencesEmulator) -> AudiencesEmulator:
    sts_server.reset()
    return sts_server
