"""The machine's own credentials, by Alibaba's library itself, which reads its environment once: hence processes."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import ConnectionFailedError
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.platforms.pai.alibaba_chain import CredentialChain
from airflow_provider_audiences.platforms.pai.auth import ChangingKeyAuth
from airflow_provider_audiences.platforms.pai.client import PaiClient

SCRIPT = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
job = json.loads(sys.stdin.read())
if job["without_library"]:
    sys.modules["alibabacloud_credentials"] = None
from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.auth import ChangingKeyAuth
from airflow_provider_audiences.platforms.pai.alibaba_chain import credential_chain
from airflow_provider_audiences.exceptions import AudienceError
told, said = [], []
try:
    chain = credential_chain()
    assert chain is credential_chain()
    auth = ChangingKeyAuth(chain, account="machine", on_new_secret=told.append)
    client = PaiClient(auth=auth, base_url=job["url"], settings=TransportSettings(max_retries=0))
    for _ in range(job["calls"]):
        try:
            said.append(len(client.list_groups()))
        except AudienceError as error:
            said.append([type(error).__name__, str(error)])
except AudienceError as error:
    said.append([type(error).__name__, str(error)])
print(json.dumps({"told": told, "said": said}))
"""


@pytest.fixture
def run(emulator: AudiencesEmulator, tmp_path: Path) -> Callable[..., Any]:
    """Lists groups with the machine's credentials: ``run(calls=2, ALIBABA_CLOUD_…=…)``."""

    def start(*, url: str | None = None, calls: int = 1, without_library: bool = False, **variables: str) -> Any:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALIBABA_CLOUD_")}
        # Nothing of the machine that the tests run on: no profile, no role.
        environment |= {"HOME": str(tmp_path), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", "no_proxy": "127.0.0.1"}
        job = {"url": url or emulator.url, "calls": calls, "without_library": without_library}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps(job),
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        result = SimpleNamespace(**json.loads(done.stdout.splitlines()[-1]), log=done.stderr)
        assert emulator.access_key_secret not in result.log
        return result

    return start


def test_environment(run: Callable[..., Any], emulator: AudiencesEmulator) -> None:
    result = run(
        calls=2,
        ALIBABA_CLOUD_ACCESS_KEY_ID=emulator.access_key_id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulator.access_key_secret,
    )
    assert result.said == [0, 0]
    # Told once, so that logs can be kept free of it.
    assert result.told == [emulator.access_key_secret]


def test_profile(run: Callable[..., Any], tmp_path: Path) -> None:
    with AudiencesEmulator() as plain:
        profile = tmp_path / "credentials"
        profile.write_text(
            "[default]\nenable = true\ntype = access_key\n"
            f"access_key_id = {plain.access_key_id}\naccess_key_secret = {plain.access_key_secret}\n"
        )
        result = run(url=plain.url, ALIBABA_CLOUD_CREDENTIALS_FILE=str(profile))
    assert result.said == [0]
    assert plain.access_key_secret not in result.log


def _credentials(emulator: AudiencesEmulator, token: str, **changes: Any) -> bytes:
    # Near its end: asked for again each time.
    end = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    reply = {
        "Code": "Success",
        "AccessKeyId": emulator.access_key_id,
        "AccessKeySecret": emulator.access_key_secret,
        "SecurityToken": token,
        "Expiration": end,
    }
    return json.dumps(reply | changes).encode()


def test_temporary_credentials_are_renewed(run: Callable[..., Any], recorder: Any) -> None:
    with AudiencesEmulator(security_token="good-token-2") as emulator:
        recorder.reply = lambda _method, _target: (
            200,
            {},
            _credentials(emulator, f"good-token-{len(recorder.requests)}"),
        )
        result = run(calls=3, url=emulator.url, ALIBABA_CLOUD_CREDENTIALS_URI=recorder.url)

    kinds = [kind[0] if isinstance(kind, list) else kind for kind in result.said]
    assert kinds == ["AuthenticationError", 0, "AuthenticationError"]
    assert "good-token" not in json.dumps(result.said)
    assert "good-token" not in result.log
    assert emulator.access_key_secret not in result.log


def test_nothing_there(run: Callable[..., Any]) -> None:
    ((kind, text),) = run().said

    assert kind == "ConnectionFailedError"
    assert "no Alibaba Cloud credentials were found on this machine" in text
    assert "tried: EnvironmentVariable, CLIProfile, Profile" in text
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in text


@pytest.mark.parametrize(
    "changes",
    [{"AccessKeyId": None}, {"SecurityToken": None, "Code": "Failed-s3cret"}, {"Expiration": "s3cret-not-a-date"}],
    ids=lambda changes: next(iter(changes)),
)
def test_replies_that_are_no_credentials_are_not_quoted(
    run: Callable[..., Any], recorder: Any, emulator: AudiencesEmulator, changes: dict[str, Any]
) -> None:
    recorder.answer(200, {}, _credentials(emulator, "s3cret-token", **changes))
    result = run(ALIBABA_CLOUD_CREDENTIALS_URI=recorder.url)

    ((kind, text),) = result.said
    assert (kind, recorder.requests != []) == ("ConnectionFailedError", True)
    assert emulator.access_key_secret not in text
    assert "s3cret" not in text + result.log


def test_without_the_library(run: Callable[..., Any]) -> None:
    ((kind, text),) = run(without_library=True).said

    assert kind == "InvalidInputError"
    assert "pip install 'airflow-provider-audiences[alibaba]'" in text


def test_variables_that_the_library_refuses(run: Callable[..., Any]) -> None:
    ((kind, text),) = run(ALIBABA_CLOUD_CREDENTIALS_URI="s3cret://[").said

    assert kind in {"InvalidInputError", "ConnectionFailedError"}
    assert "s3cret" not in text


@pytest.mark.parametrize("found", [None, SimpleNamespace(access_key_id="", access_key_secret="", security_token="")])
def test_a_chain_that_finds_nothing_says_so(found: Any) -> None:
    with pytest.raises(ConnectionFailedError, match="no Alibaba Cloud credentials") as caught:
        CredentialChain(SimpleNamespace(get_credential=lambda: found))()
    assert caught.value.__context__ is None
    assert not caught.value.maybe_applied


def test_the_librarys_error_does_not_hang_on_ours() -> None:
    def fail() -> None:
        logging.getLogger("test").debug("asked")
        raise RuntimeError("reply: s3cret; AlphaCredentialsProvider: s3cret, BetaCredentialsProvider: x")

    with pytest.raises(ConnectionFailedError) as caught:
        CredentialChain(SimpleNamespace(get_credential=fail))()
    assert "tried: Alpha, Beta" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_credentials_that_never_come(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    chain = CredentialChain(SimpleNamespace(get_credential=lambda: release.wait(20)))
    monkeypatch.setattr("airflow_provider_audiences.platforms.pai.alibaba_chain._MAX_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="no Alibaba Cloud credentials were found"):
        chain()
    assert time.monotonic() - began < 2
    client = PaiClient(
        auth=ChangingKeyAuth(chain, account="machine"),
        settings=TransportSettings(max_retries=0, request_deadline_seconds=0.2),
    )
    with client, pytest.raises(ConnectionFailedError) as caught:
        client.list_groups()
    assert not caught.value.maybe_applied
    assert time.monotonic() - began < 2
    release.set()
