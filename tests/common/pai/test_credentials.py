"""From a connection to credentials and dialect: every combination, right and wrong."""

import logging
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from airflow_provider_audiences.common.connection_fields import PAI_FIELDS
from airflow_provider_audiences.common.connections import ConnectionReader
from airflow_provider_audiences.common.pai.credentials import pai_auth, warn_of_other_region
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai import alibaba_chain
from airflow_provider_audiences.platforms.pai.alibaba_chain import CredentialChain
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ApiKeyAuth, ChangingKeyAuth, PaiAuth
from airflow_provider_audiences.redaction import Redactor


@dataclass
class Connection:
    conn_id: str = "my_conn"
    conn_type: str = "pai"
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = None
    extra_dejson: Any = field(default_factory=dict)


def read(environment_key: str | None = None, **values: Any) -> tuple[PaiAuth, list[str]]:
    told: list[str] = []
    reader = ConnectionReader(connection=cast("Any", Connection(**values)), fields=PAI_FIELDS)
    return pai_auth(reader, environment_key=environment_key, on_secret=told.append), told


PAIR = {"login": "LTAI5t", "password": "s3cret-key"}
ALIBABA = {"access_key_id": "LTAI5t", "access_key_secret": "s3cret-key"}


@pytest.mark.parametrize(
    "values",
    [
        {"password": "s3cret-key"},
        {"password": " s3cret-key\n", "login": " "},
        {"password": "s3cret-key", "extra_dejson": {"dialect": "bearer"}},
        {"password": "s3cret-key", "extra_dejson": {"dialect": " Bearer ", "security_token": ""}},
        {"password": "s3cret-key", "environment_key": "another"},
        {"environment_key": "s3cret-key"},
        {"environment_key": "s3cret-key", "extra_dejson": {"dialect": "bearer"}},
    ],
)
def test_api_key(values: dict[str, Any]) -> None:
    auth, told = read(**values)

    assert isinstance(auth, ApiKeyAuth)
    assert auth.dialect.name == "bearer"
    assert auth.lasting_secret
    assert auth.lasting_secret.reveal() == "s3cret-key"
    assert told == ["s3cret-key"]


@pytest.mark.parametrize(
    "values",
    [
        PAIR,
        {**PAIR, "environment_key": "another"},
        {**PAIR, "extra_dejson": {"dialect": "openapi"}},
        {**PAIR, "extra_dejson": {"dialect": "OpenAPI", "security_token": None}},
        {"conn_type": "alibaba_cloud", "extra_dejson": ALIBABA},
        {"conn_type": "alibaba_cloud", "extra_dejson": {**ALIBABA, "dialect": "openapi", "auth_type": "AK"}},
        # What its form hides is not looked at.
        {"conn_type": "alibaba_cloud", "login": "x", "password": "y", "extra_dejson": ALIBABA},
    ],
)
def test_access_key(values: dict[str, Any]) -> None:
    auth, told = read(**values)

    assert isinstance(auth, AccessKeyAuth)
    assert auth.dialect.name == "openapi"
    assert auth.lasting_secret
    assert auth.lasting_secret.reveal() == "s3cret-key"
    assert (auth._access_key.key_id, auth._access_key.security_token) == ("LTAI5t", None)
    assert told == ["s3cret-key"]


@pytest.mark.parametrize(
    "values",
    [
        {**PAIR, "extra_dejson": {"security_token": " t0ken "}},
        {"conn_type": "alibaba_cloud", "extra_dejson": {**ALIBABA, "security_token": "t0ken"}},
    ],
)
def test_temporary_access_key(values: dict[str, Any]) -> None:
    auth, told = read(**values)

    assert isinstance(auth, AccessKeyAuth)
    assert auth.lasting_secret is None
    assert auth._access_key.security_token
    assert auth._access_key.security_token.reveal() == "t0ken"
    assert told == ["s3cret-key", "t0ken"]


@pytest.mark.parametrize("conn_type", ["pai", "alibaba_cloud"])
def test_this_machines_credentials(conn_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Alibaba's library, which the tests of the chain use itself."""
    found = SimpleNamespace(access_key_id="LTAI5t", access_key_secret="s3cret-key", security_token="t0ken")
    chain = CredentialChain(SimpleNamespace(get_credential=lambda: found))
    monkeypatch.setattr(alibaba_chain, "_chain", [chain])
    auth, told = read(conn_type=conn_type, extra_dejson={"dialect": "openapi"}, environment_key="another")

    assert isinstance(auth, ChangingKeyAuth)
    assert (auth.dialect.name, auth.lasting_secret) == ("openapi", None)
    # Not read before it is used.
    assert told == []
    signed = auth.on_requests(Redactor(None, []))(requests.Request("GET", "https://h.example/").prepare())
    assert told == ["s3cret-key", "t0ken"]
    assert signed.headers["x-acs-security-token"] == "t0ken"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alibaba_chain, "_chain", [])
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'airflow-provider-audiences\[alibaba\]'") as caught:
        read(extra_dejson={"dialect": "openapi"})
    assert str(caught.value).startswith("connection 'my_conn': ")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "the API key is missing: put it in the connection's password"),
    ({"extra_dejson": {"dialect": "bearer"}}, "the API key is missing"),
    ({"login": "LTAI5t"}, "the AccessKey secret is missing"),
    ({"login": "LTAI5t", "environment_key": "another"}, "the AccessKey secret is missing"),
    ({"login": "LTAI5t", "extra_dejson": {"dialect": "openapi"}}, "the AccessKey secret is missing"),
    ({"password": "s3cret-key", "extra_dejson": {"dialect": "openapi"}}, "the AccessKey id is missing"),
    ({**PAIR, "extra_dejson": {"dialect": "bearer"}}, "dialect is bearer, which takes an API key"),
    ({"password": "s3cret-key", "extra_dejson": {"security_token": "t0ken"}}, "their AccessKey is missing"),
    ({"extra_dejson": {"security_token": "t0ken", "dialect": "openapi"}}, "their AccessKey is missing"),
    ({**PAIR, "extra_dejson": {"dialect": "soap"}}, "dialect in the extra must be 'bearer' or 'openapi', not 'soap'"),
    ({**PAIR, "login": "$ACCESS_KEY_ID"}, "the AccessKey id begins with '$'"),
    ({**PAIR, "password": "${SECRET}"}, "the AccessKey secret begins with '$'"),
    ({"password": "$KEY"}, "the API key begins with '$'"),
    ({"environment_key": "$KEY"}, "the API key begins with '$'"),
    ({**PAIR, "extra_dejson": {"security_token": "$TOKEN"}}, "the security_token begins with '$'"),
    ({**PAIR, "login": "LTAI5t\u200b"}, "the AccessKey id has characters that no key has"),
    ({**PAIR, "password": "s3cret\nkey"}, "the AccessKey secret has characters that no key has"),
    ({**PAIR, "extra_dejson": {"security_token": "t0k\u00e9n"}}, "the security_token has characters"),
    ({**PAIR, "extra_dejson": {"security_token": ["t0ken"]}}, "the security_token in the extra is no text"),
    ({"conn_type": "alibaba_cloud"}, "access_key_id is missing: put it in the extra"),
    ({"conn_type": "alibaba_cloud", **PAIR}, "access_key_id is missing: put it in the extra"),
    ({"conn_type": "alibaba_cloud", "environment_key": "k"}, "access_key_id is missing"),
    (
        {"conn_type": "alibaba_cloud", "extra_dejson": {"access_key_id": "LTAI5t"}},
        "access_key_secret is missing: put it in the extra",
    ),
    (
        {"conn_type": "alibaba_cloud", "extra_dejson": {"access_key_secret": "s3cret-key", "dialect": "openapi"}},
        "access_key_id is missing: put it in the extra",
    ),
    ({"conn_type": "alibaba_cloud", "extra_dejson": {"dialect": "bearer"}}, "access_key_id is missing"),
    ({"conn_type": "alibaba_cloud", "extra_dejson": {**ALIBABA, "dialect": "bearer"}}, "dialect is bearer"),
    (
        {"conn_type": "alibaba_cloud", "extra_dejson": {**ALIBABA, "access_key_secret": "$S"}},
        r"access_key_secret begins with '\$'",
    ),
    ({**PAIR, "extra_dejson": [1]}, "the extra must be a JSON object"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_mistakes_are_named_without_secrets(values: dict[str, Any], message: str) -> None:
    message = message.replace("'$'", r"'\$'")
    with pytest.raises(InvalidInputError, match=message) as caught:
        read(**values)

    assert str(caught.value).startswith("connection 'my_conn': ")
    assert not any(secret in str(caught.value) for secret in ("s3cret", "t0k", "LTAI"))


@pytest.mark.parametrize(
    ("values", "warns"),
    [
        ({**PAIR}, False),
        ({**PAIR, "extra_dejson": {"region": "cn-hangzhou"}}, False),
        ({**PAIR, "extra_dejson": {"region": "CN-Hangzhou"}}, False),
        ({**PAIR, "extra_dejson": {"region": "cn-shanghai"}}, True),
        ({**PAIR, "extra_dejson": {"region": "cn-shanghai"}, "host": "paiplugin.example.com"}, False),
        ({"password": "s3cret-key", "extra_dejson": {"region": "cn-shanghai"}}, False),
        ({"conn_type": "alibaba_cloud", "extra_dejson": {**ALIBABA, "region": "ap-southeast-1"}}, True),
    ],
)
def test_there_is_one_region_with_an_access_key(
    values: dict[str, Any], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    auth, _ = read(**values)
    warn_of_other_region(ConnectionReader(connection=cast("Any", Connection(**values)), fields=PAI_FIELDS), auth)

    assert ("https://paiplugin.cn-hangzhou.aliyuncs.com" in caplog.text) is warns
