"""Both services called with nothing but requests, and a few lines that sign: clients that share no code with ours."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlencode

import requests

from airflow_provider_audiences.emulator import AudiencesEmulator

TIMEOUT_SECONDS = 30


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
        return str(reply.json()["audience_id"])

    def send(self, operation: str, audience_id: str, ids: Iterable[str], **params: Any) -> dict[str, Any]:
        body = "\n".join(ids).encode()
        reply = self.call(operation, body=body, audience_id=audience_id, **params)
        assert reply.status_code == 200, reply.text
        counts: dict[str, Any] = reply.json()
        return counts

    def entry(self, audience_id: str) -> dict[str, Any]:
        audiences = self.call("list").json()["audiences"]
        found: dict[str, Any] = next(item for item in audiences if item["audience_id"] == audience_id)
        return found


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
        found: dict[str, Any] = reply.json()["Data"]
        return found

    def get(self, group_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "GetGroup", params={"Id": group_id}).json()["Data"]
        return found

    def list(self, **params: Any) -> dict[str, Any]:
        reply = self.call("GET", "ListGroups", params=params)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()["Data"]
        return found


ACTIONS = {"POST": "CreateGroup", "GET": "ListGroups"}
GROUP_ACTIONS = {"GET": "GetGroup", "DELETE": "DeleteGroup"}


def utc(epoch_seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_seconds))


class OpenApi:
    """The PAI side in its signed dialect, called with nothing but requests and a few lines that sign."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator

    def headers(self, method: str, path: str, query: str, body: bytes, **changes: str | None) -> dict[str, str]:
        """The headers of a request, signed; a change of None leaves a header out before it is signed."""
        by_method = ACTIONS if path == "/api/v2/groups" else GROUP_ACTIONS
        values: dict[str, str | None] = {
            "host": self.emulator.url.removeprefix("http://"),
            "x-acs-action": by_method.get(method, "ListGroups"),
            "x-acs-version": "2022-01-12",
            "x-acs-date": utc(time.time()),
            "x-acs-signature-nonce": uuid.uuid4().hex,
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        if body:
            values["content-type"] = "application/json"
        if self.emulator.security_token:
            values["x-acs-accesskey-id"] = self.emulator.access_key_id
            values["x-acs-security-token"] = self.emulator.security_token
        values.update(changes)
        headers = {name: value for name, value in values.items() if value is not None}
        return {**headers, "Authorization": self.authorization(method, path, query, body, headers)}

    def authorization(self, method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> str:
        names = sorted(headers)
        lines = [method, path, query, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names)]
        canonical = "\n".join([*lines, hashlib.sha256(body).hexdigest()])
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(self.emulator.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        key_id = self.emulator.access_key_id
        return f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={';'.join(names)},Signature={signature}"

    def call(
        self,
        method: str,
        group_id: str | None = None,
        *,
        params: dict[str, Any] | None = None,
        body: bytes = b"",
        after: Callable[[dict[str, str]], None] | None = None,
        **changes: str | None,
    ) -> requests.Response:
        """
        :param after: changes the headers when they are signed already
        :param changes: headers to set, or to leave out by None, before that; ``_`` stands for ``-``
        """
        path = "/api/v2/groups" if group_id is None else f"/api/v2/groups/{quote(group_id, safe='')}"
        query = urlencode(sorted((params or {}).items()), quote_via=quote)
        headers = self.headers(
            method, path, query, body, **{name.replace("_", "-"): value for name, value in changes.items()}
        )
        if after is not None:
            after(headers)
        url = f"{self.emulator.url}{path}" + (f"?{query}" if query else "")
        return requests.request(
            method, url, headers=headers, data=body or None, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )

    def create(self, **values: Any) -> dict[str, Any]:
        filled = values or {"Name": "VIP", "Source": 0, "Text": "13900001111", "PhoneNumber": True}
        reply = self.call("POST", body=json.dumps(filled).encode())
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()["Data"]
        return found
