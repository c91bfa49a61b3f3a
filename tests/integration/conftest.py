"""A real S3 server (moto), once in a run, on this machine only; and drivers of PostgreSQL."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server that holds all in memory."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """
    A client with a bucket of its own, ``.bucket``. It is found by Airflow's connection ``my_store``, and without one
    by the machine's own settings, which Airflow leaves it to.
    """
    import boto3

    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "sesame-key"}
    extra = {"endpoint_url": s3_server, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "key", "password": "sesame-key", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MY_STORE", json.dumps(connection))
    for name, value in {**keys, "aws_endpoint_url": s3_server, "aws_default_region": "us-east-1"}.items():
        monkeypatch.setenv(name.upper(), value)
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1", **keys)
    client.bucket = tmp_path.name.replace("_", "-").lower()[:60].strip("-")
    client.create_bucket(Bucket=client.bucket)
    return client


@pytest.fixture
def put(s3: Any) -> Callable[[str, bytes], str]:
    """Puts an object and returns its address."""

    def put(key: str, body: bytes) -> str:
        s3.put_object(Bucket=s3.bucket, Key=key, Body=body)
        return f"s3://{s3.bucket}/{key}"

    return put


@pytest.fixture
def use_driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes Airflow's hook take a driver of PostgreSQL, psycopg2 or psycopg: ``use_driver(name)``."""

    def use(name: str) -> None:
        from airflow.providers.postgres.hooks import postgres

        if name == "psycopg2":
            monkeypatch.setattr(postgres, "USE_PSYCOPG3", False, raising=False)
        elif not getattr(postgres, "USE_PSYCOPG3", False):
            pytest.skip("the hook takes psycopg 3 with SQLAlchemy 2 only")

    return use


@pytest.fixture
def sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database in a file; Airflow's connection is ``lite``."""
    path = tmp_path / "members.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    database = sqlite3.connect(path)
    yield database
    database.close()


@pytest.fixture(scope="session", autouse=True)
def _no_keys_of_this_machine() -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


@pytest.fixture
def requests_to_s3(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str | None]]:
    """What the S3 server is asked from now on: path, key id and session token of each request."""
    from moto.moto_server import werkzeug_app

    seen: list[dict[str, str | None]] = []
    call = werkzeug_app.DomainDispatcherApplication.__call__

    def listening(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        signature = environ.get("HTTP_AUTHORIZATION", "")
        key = signature.partition("Credential=")[2].partition("/")[0] or None
        seen.append({"path": environ["PATH_INFO"], "key": key, "token": environ.get("HTTP_X_AMZ_SECURITY_TOKEN")})
        return call(self, environ, start_response)

    monkeypatch.setattr(werkzeug_app.DomainDispatcherApplication, "__call__", listening)
    return seen


@pytest.fixture
def refusing_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """The S3 server refuses all Parquet files, and quotes the key, as AWS does."""
    from moto.moto_server import werkzeug_app

    call = werkzeug_app.DomainDispatcherApplication.__call__

    def refusing(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        if not environ["PATH_INFO"].endswith(".parquet"):
            return call(self, environ, start_response)
        key = environ["HTTP_AUTHORIZATION"].partition("Credential=")[2].partition("/")[0]
        body = f"<Error><Code>AccessDenied</Code><Message>No</Message><AWSAccessKeyId>{key}</AWSAccessKeyId></Error>"
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [body.encode()] if environ["REQUEST_METHOD"] == "GET" else []

    monkeypatch.setattr(werkzeug_app.DomainDispatcherApplication, "__call__", refusing)
