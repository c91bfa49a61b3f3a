"""The hooks: from a connection to a client, the test button, and the key that nobody sees."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException, BaseHook, redact
from support.fixtures import Connect

from airflow_provider_audiences import exceptions
from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.hooks.applovin import AppLovinHook
from airflow_provider_audiences.hooks.pai import PaiHook
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource

HOOKS = [("applovin", AppLovinHook, AppLovinClient), ("pai", PaiHook, PaiClient)]
each_hook = pytest.mark.parametrize(("conn_type", "hook_class", "client_class"), HOOKS, ids=["applovin", "pai"])


@pytest.fixture
def dead_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@each_hook
def test_what_airflow_reads_of_a_hook(conn_type: str, hook_class: type[Any], client_class: type[Any]) -> None:
    assert BaseHook in hook_class.__mro__
    assert hook_class.conn_type == conn_type
    assert hook_class.conn_name_attr == f"{conn_type}_conn_id"
    assert hook_class.default_conn_name == f"{conn_type}_default"
    assert hook_class.hook_name
    assert getattr(hook_class(), hook_class.conn_name_attr) == hook_class.default_conn_name
    assert getattr(hook_class("other"), hook_class.conn_name_attr) == "other"
    assert getattr(hook_class(**{hook_class.conn_name_attr: "other"}), hook_class.conn_name_attr) == "other"


@each_hook
def test_it_gives_a_client(connect: Connect, conn_type: str, hook_class: type[Any], client_class: type[Any]) -> None:
    with hook_class().get_conn() as client:
        assert isinstance(client, client_class)
        assert (client.list_audiences() if conn_type == "applovin" else client.list_groups()) == []


@each_hook
def test_the_test_button_says_that_the_key_works(
    connect: Connect, emulator: AudiencesEmulator, conn_type: str, hook_class: type[Any], client_class: type[Any]
) -> None:
    works, text = hook_class().test_connection()
    assert works is True
    assert "accepted" in text
    assert " in the account: 0." in text
    assert len(emulator.requests()) == 1


@each_hook
def test_the_test_button_uses_its_own_connection_id(
    connect: Connect,
    emulator: AudiencesEmulator,
    conn_type: str,
    hook_class: type[Any],
    client_class: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(conn_type, conn_id="tmp")
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_type}_DEFAULT".upper())
    works, _ = hook_class(**{hook_class.conn_name_attr: "tmp_default"}).test_connection()
    assert works


@each_hook
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wrong-key-12345"}, "Check the "),
        ({"password": None}, "is missing"),
        ({"password": "  "}, "is missing"),
        ({"password": "$MY_KEY"}, "begins with '$'"),
        ({"password": "schl\u00fcssel"}, "characters"),
        ({"host": "http://api.example.com"}, "plain http"),
        ({"host": "ftp://api.example.com"}, "https"),
        ({"extra": {"max_retries": "many"}}, "max_retries"),
        ({"extra": {"read_timeout_seconds": 0}}, "read_timeout_seconds"),
    ],
)
def test_the_test_button_says_what_is_wrong(
    connect: Connect,
    emulator: AudiencesEmulator,
    conn_type: str,
    hook_class: type[Any],
    client_class: type[Any],
    changes: dict[str, Any],
    said: str,
) -> None:
    connect(conn_type, **changes)
    works, text = hook_class().test_connection()
    assert works is False
    assert said in text
    for secret in (emulator.api_key, "wrong-key-12345", "schl"):
        assert secret not in text


@each_hook
def test_the_test_button_does_not_keep_a_dead_host_waiting(
    connect: Connect, dead_port: int, conn_type: str, hook_class: type[Any], client_class: type[Any]
) -> None:
    connect(conn_type, host=f"http://127.0.0.1:{dead_port}")
    works, text = hook_class().test_connection()
    assert works is False
    assert "could not connect: nothing listens at that host and port [attempts 1]" in text


@each_hook
def test_the_test_button_asks_once(
    connect: Connect, emulator: AudiencesEmulator, conn_type: str, hook_class: type[Any], client_class: type[Any]
) -> None:
    """Somebody is waiting, and may press it again."""
    connect(conn_type)
    emulator.fault(f"{conn_type}.list", "status", status=503)
    works, text = hook_class().test_connection()
    assert works is False
    assert "503" in text
    assert len(emulator.requests()) == 1


@each_hook
@pytest.mark.parametrize("password", [None, "$KEY"])
def test_a_wrong_connection_burns_no_retry(
    connect: Connect,
    emulator: AudiencesEmulator,
    conn_type: str,
    hook_class: type[Any],
    client_class: type[Any],
    password: str | None,
) -> None:
    connect(conn_type, password=password)
    with pytest.raises(exceptions.InvalidInputError, match=f"{conn_type}_default") as refusal:
        hook_class().get_conn()
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


@each_hook
def test_the_connections_patience_is_used(
    connect: Connect, emulator: AudiencesEmulator, conn_type: str, hook_class: type[Any], client_class: type[Any]
) -> None:
    connect(conn_type, extra={"backoff_seconds": 0, "max_retries": 1})
    emulator.fault(f"{conn_type}.list", "status", status=503, times=None)
    with hook_class().get_conn() as client, pytest.raises(exceptions.ServerError):
        client.list_audiences() if conn_type == "applovin" else client.list_groups()
    assert len(emulator.requests()) == 2


def test_the_upload_content_type_is_used(connect: Connect, emulator: AudiencesEmulator) -> None:
    for extra, expected in (({}, "application/x-www-form-urlencoded"), ({"content_type": "text/plain"}, "text/plain")):
        connect("applovin", extra=extra)
        with AppLovinHook().get_conn() as client:
            audience_id = client.create_audience(name=expected.replace("/", " "), platform="ios", audience_type="ua")
            client.append_users(audience_id=audience_id.audience_id, advertising_ids=b"")
        assert emulator.requests("applovin.append")[-1]["headers"]["content-type"] == expected


@pytest.mark.parametrize(
    ("region", "host"),
    [
        (None, "https://api.aliyun.com/api/PaiPlugin/2022-01-12"),
        ("cn-hangzhou", "https://api.aliyun.com/api/PaiPlugin/2022-01-12"),
        ("cn-shanghai", "https://api.aliyun.com/api/PaiPlugin/2022-01-12"),
        ("ap-southeast-1", "https://api.alibabacloud.com/api/PaiPlugin/2022-01-12"),
        ("eu-central-1", "https://api.alibabacloud.com/api/PaiPlugin/2022-01-12"),
    ],
)
def test_the_region_chooses_the_address(connect: Connect, region: str | None, host: str) -> None:
    connect("pai", host=None, extra={} if region is None else {"region": region})
    with PaiHook().get_conn() as client:
        assert client._transport.base_url == host


@pytest.mark.parametrize(
    "region",
    ["china", "hangzhou", "cn_hangzhou", "cn hangzhou", "hangzhou-cn", "cn-", "cn", "ap-southeast-1a", "cn-hangzhou-h",
     "oss-cn-hangzhou", "https://cn-hangzhou", "cn-hangzhou.aliyuncs.com", "International", "1"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["bearer", "openapi", "alibaba_cloud"])
def test_what_is_no_region_is_refused(monkeypatch: pytest.MonkeyPatch, region: str, kind: str) -> None:
    connection: dict[str, Any] = {
        "bearer": {"conn_type": "pai", "password": "key of a region", "extra": {}},
        "openapi": {"conn_type": "pai", "login": "id of a region", "password": "secret of a region", "extra": {}},
        "alibaba_cloud": {
            "conn_type": "alibaba_cloud",
            "extra": {"access_key_id": "id of a region", "access_key_secret": "secret of a region"},
        },
    }[kind]
    connection["extra"]["region"] = region
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
    with pytest.raises(exceptions.InvalidInputError, match=r"'pai_default': region .* such as cn-hangzhou or ap-"):
        PaiHook().get_conn()


@pytest.mark.parametrize("region", [" CN-Shanghai ", "cn-hangzhou-finance", "cn-north-2-gov-1", "cn-zhangjiakou"])
def test_regions_of_china(connect: Connect, region: str) -> None:
    connect("pai", host=None, extra={"region": region})
    with PaiHook().get_conn() as client:
        assert client.host.startswith("api.aliyun.com/")


def test_a_host_goes_before_any_region(connect: Connect, emulator: AudiencesEmulator) -> None:
    connect("pai", extra={"region": "china"})
    assert PaiHook().test_connection()[0]


@pytest.mark.parametrize(("price", "expected"), [(None, None), ("", None), (0, 0.0), ("0.002", 0.002), (3, 3.0)])
def test_the_price_of_a_call(connect: Connect, price: str | int | None, expected: float | None) -> None:
    connect("pai", extra={"price_per_call": price})
    with PaiHook().get_conn() as client:
        assert client.price_per_call == expected


@pytest.mark.parametrize("price", [-1, "cheap", True, "nan", "inf", [1]])
def test_what_is_no_price(connect: Connect, price: Any) -> None:
    connect("pai", extra={"price_per_call": price})
    works, text = PaiHook().test_connection()
    assert (works, "price_per_call in the extra must be a number" in text) == (False, True)


def test_the_environments_key_needs_a_connection(
    airflow_database: Any, monkeypatch: pytest.MonkeyPatch, emulator: AudiencesEmulator
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_PAI_DEFAULT", raising=False)
    with pytest.raises(AirflowNotFoundException, match="pai_default"):
        PaiHook().get_conn()
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
    with pytest.raises(exceptions.InvalidInputError, match="AIRFLOW_CONN_PAI_DEFAULT=") as refusal:
        PaiHook().get_conn()
    assert isinstance(refusal.value, AirflowFailException)
    assert emulator.api_key not in str(refusal.value)
    works, text = PaiHook("other").test_connection()
    assert (works, "AIRFLOW_CONN_OTHER=" in text) == (False, True)
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", '{"conn_type": "pai"}')  # as the message says
    with PaiHook().get_conn() as client:
        assert client.host.startswith("api.aliyun.com/")


def test_a_host_goes_before_the_region(connect: Connect, emulator: AudiencesEmulator) -> None:
    connect("pai", extra={"region": "ap-southeast-1"})
    assert PaiHook().test_connection()[0]
    assert emulator.requests()


def test_without_a_host_applovins_own_address_is_used(connect: Connect) -> None:
    connect("applovin", host=None)
    with AppLovinHook().get_conn() as client:
        assert client._transport.base_url == "https://api.applovin.com"


def test_the_environments_key_is_used_if_the_connection_has_none(
    connect: Connect, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
    connect("pai", password=None)
    assert PaiHook().test_connection()[0]
    monkeypatch.setenv("DASHSCOPE_API_KEY", "another")
    assert not PaiHook().test_connection()[0]
    connect("pai")
    assert PaiHook().test_connection()[0]
    monkeypatch.setenv("DASHSCOPE_API_KEY", "$UNSET")
    connect("pai", password=None)
    assert "begins with '$'" in PaiHook().test_connection()[1]


def test_that_key_is_not_for_applovin(
    connect: Connect, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulator.api_key)
    connect("applovin", password=None)
    assert AppLovinHook().test_connection()[0] is False


@each_hook
@pytest.mark.parametrize("from_environment", [False, True])
def test_the_key_is_masked_in_logs(
    connect: Connect,
    conn_type: str,
    hook_class: type[Any],
    client_class: type[Any],
    monkeypatch: pytest.MonkeyPatch,
    from_environment: bool,
) -> None:
    key = f"sk-masked-{conn_type}-{from_environment}-0123456789"
    if from_environment and conn_type == "pai":
        monkeypatch.setenv("DASHSCOPE_API_KEY", key)
        connect(conn_type, password=None)
    else:
        connect(conn_type, password=key)
    with hook_class().get_conn():
        pass
    assert redact(f"The key is {key}.") == "The key is ***."


@each_hook
def test_neither_hook_nor_client_shows_the_key(
    connect: Connect, emulator: AudiencesEmulator, conn_type: str, hook_class: type[Any], client_class: type[Any]
) -> None:
    hook = hook_class()
    with hook.get_conn() as client:
        shown = repr(hook) + repr(client) + json.dumps([str(vars(client)), str(vars(client._transport))])
    assert emulator.api_key not in shown


class TestAccessKeys:
    """The hook with what requests are signed with."""

    def test_login_and_password(self, connect: Connect) -> None:
        connect("pai", dialect="openapi")
        with PaiHook().get_conn() as client:
            assert client.dialect.name == "openapi"
            assert client.list_groups() == []
        works, text = PaiHook().test_connection()
        assert (works, text) == (True, "PAI accepted the AccessKey. Audience groups in the account: 0.")

    def test_as_the_emulator_hands_them_out(self, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        for uri in (emulator.pai_connection_uri(dialect="openapi"), emulator.alibaba_connection_uri()):
            monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", uri)
            assert PaiHook().test_connection()[0]

    def test_temporary_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with AudiencesEmulator(security_token="t0ken-of-sts") as emulator:
            for uri in (emulator.pai_connection_uri(dialect="openapi"), emulator.alibaba_connection_uri()):
                monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", uri)
                works, text = PaiHook().test_connection()
                assert works, text
                assert redact("The token is t0ken-of-sts.") == "The token is ***."

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"password": "wrong-secret-12345"}, "Check the connection's AccessKey secret"),
            ({"login": "LTAI-nobody"}, "Check the connection's AccessKey id"),
            ({"password": None}, "the AccessKey secret is missing"),
            ({"login": None, "extra": {"dialect": "openapi"}}, "the AccessKey id is missing"),
            ({"extra": {"dialect": "bearer"}}, "dialect is bearer"),
            ({"extra": {"security_token": "t0ken-of-nobody"}}, "Check"),
            ({"host": "http://api.example.com"}, "plain http"),
        ],
    )
    def test_the_test_button_says_what_is_wrong(
        self, connect: Connect, emulator: AudiencesEmulator, changes: dict[str, Any], said: str
    ) -> None:
        connect("pai", dialect="openapi", **changes)
        works, text = PaiHook().test_connection()
        assert works is False
        if said != "Check":
            assert said in text
        assert not any(secret in text for secret in ("wrong-secret", "t0ken", emulator.access_key_secret))

    def test_address_and_region(self, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
        connect("pai", dialect="openapi", host=None)
        with PaiHook().get_conn() as client:
            assert client.host == "paiplugin.cn-hangzhou.aliyuncs.com"
        assert "only public address" not in caplog.text
        connect("pai", dialect="openapi", host=None, extra={"region": "ap-southeast-1"})
        with PaiHook().get_conn() as client:
            assert client.host == "paiplugin.cn-hangzhou.aliyuncs.com"
        assert "only public address" in caplog.text

    def test_an_api_key_of_the_environment_is_not_for_them(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DASHSCOPE_API_KEY", "key-of-the-environment")
        connect("pai", dialect="openapi", password=None)
        with pytest.raises(exceptions.InvalidInputError, match="AccessKey secret is missing"):
            PaiHook().get_conn()

    def test_the_secret_is_masked_in_logs_and_not_shown(self, connect: Connect) -> None:
        connect("pai", dialect="openapi", password="access-secret-0123", extra={"security_token": "token-0123"})
        hook = PaiHook()
        with hook.get_conn() as client:
            shown = repr(hook) + repr(client) + json.dumps([str(vars(client)), str(vars(client._transport))])
        assert redact("x access-secret-0123 token-0123") == "x *** ***"
        assert "0123" not in shown

    def test_known_extras_of_alibabas_own_connection_type(
        self, emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        connection = json.loads(emulator.alibaba_connection_uri())
        connection["extra"] |= {"auth_type": "AK", "region": "cn-hangzhou"}
        monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
        assert PaiHook().test_connection()[0]
        assert "not known" not in caplog.text

    def test_both_dialects_see_the_same_groups(self, connect: Connect) -> None:
        spec = GroupSpec(source=PaiSource.TEXT, name="n", text="13900001111")
        with PaiHook().get_conn() as client:
            group = client.create_group(spec, marker=None).group
        connect("pai", dialect="openapi")
        with PaiHook().get_conn() as client:
            assert [found.id for found in client.list_groups()] == [group.id]


MACHINE = """
import json, os
from airflow.providers.common.compat.sdk import redact
from airflow_provider_audiences.hooks.pai import PaiHook
works, text = PaiHook().test_connection()
secret = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "none")
print(json.dumps([works, text, redact("x " + secret)]))
"""


def test_credentials_of_the_machine(connect: Connect, emulator: AudiencesEmulator, tmp_path: Path) -> None:
    """In a process of its own: Alibaba's library reads the environment once."""
    connect("pai", login=None, password=None, host=emulator.url, extra={"dialect": "openapi", "max_retries": 0})
    secret = "machine-secret-0123"
    with AudiencesEmulator(access_key_secret=secret) as own:
        connection = json.loads(os.environ["AIRFLOW_CONN_PAI_DEFAULT"]) | {"host": own.url}
        variables = {
            "AIRFLOW_CONN_PAI_DEFAULT": json.dumps(connection),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": own.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
            "HOME": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-c", MACHINE],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    works, text, masked = json.loads(done.stdout.splitlines()[-1])
    assert (works, text) == (True, "PAI accepted the AccessKey. Audience groups in the account: 0.")
    assert masked == "x ***"
    assert secret not in done.stdout + done.stderr
