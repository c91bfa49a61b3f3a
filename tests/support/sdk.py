"""Alibaba's own SDK as a client that shares nothing with ours, against the emulator."""

import asyncio
from collections.abc import Callable
from typing import Any

from alibabacloud_paiplugin20220112 import models
from alibabacloud_paiplugin20220112.client import Client
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_util.models import RuntimeOptions
from Tea.exceptions import TeaException

from airflow_provider_audiences.emulator import AudiencesEmulator

TIMEOUT_MS = 30_000


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
