"""Tables of Delta Lake and Iceberg on a real S3 server (moto), with the keys of an Airflow connection."""

import json
import logging
import traceback
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from support.lake import delete_by_file, delta_table, iceberg_table

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.chunks import read_members
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sources.opening import open_source

MEMBERS = [f"member {number}" for number in range(10)]
KEY, SECRET = "AKIAOFTHECONNECTION", "sesame/secret+of=connection"


def read(source: Any) -> list[Any]:
    with open_source(source) as opened, open_workspace(StagingSettings()) as workspace:
        chunks = list(read_members(opened, workspace=workspace))
        return sorted(chunk.column.text(row).decode() for chunk in chunks for row in range(len(chunk.column)))


def refused(source: Any, error: Any = InvalidInputError) -> str:
    with pytest.raises(error) as refusal:
        read(source)
    said = "".join(traceback.format_exception(refusal.value))
    assert SECRET not in said
    assert KEY not in said
    return str(refusal.value)


@pytest.fixture
def connected(s3: Any, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Only the connection ``lake`` has the keys; those of the worker, and its address, are wrong."""
    extra = {"endpoint_url": s3_server, "region_name": "eu-west-1"}
    connection = {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another account's")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another account's")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another account's")
    monkeypatch.setenv("TOKEN", "of something else")
    monkeypatch.setenv("endpoint", "http://127.0.0.1:9")
    return s3


@pytest.fixture
def options(s3_server: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


@pytest.fixture
def delta(connected: Any, options: dict[str, str]) -> str:
    delta_table(f"s3://{connected.bucket}/lake/users", MEMBERS, 3, options=options)
    return f"s3://{connected.bucket}/lake/users"


@pytest.fixture
def iceberg(connected: Any, s3_server: str) -> Any:
    address = f"s3://{connected.bucket}/lake/events"
    store: dict[str, Any] = {
        "s3.endpoint": s3_server,
        "s3.access-key-id": KEY,
        "s3.secret-access-key": SECRET,
        "s3.region": "us-east-1",
    }
    return iceberg_table(address, MEMBERS, 3, **store)


def addresses(address: str) -> list[Any]:
    bucket, _, below = address.removeprefix("s3://").partition("/")
    return [
        FileSource(f"s3://{bucket}/{below}", conn_id="lake", column="member"),
        FileSource(f"s3://lake@{bucket}/{below}/", column="member"),
        FileSource(ObjectStoragePath(f"s3://{bucket}/{below}", conn_id="lake"), column="member"),
        FileSource(f"s3a://{bucket}/{below}", conn_id="lake", column="member"),
    ]


def test_a_delta_table_with_the_connections_keys(
    delta: str, caplog: pytest.LogCaptureFixture, requests_to_s3: list[dict[str, str | None]]
) -> None:
    with caplog.at_level(logging.INFO):
        for source in addresses(delta):
            assert read(source) == MEMBERS[3:]
    assert "is a Delta Lake table: its version 2 is read" in caplog.text
    assert SECRET not in caplog.text
    assert KEY not in caplog.text.replace("Credential=" + KEY, "")
    used = [request for request in requests_to_s3 if "/lake/" in str(request["path"])]
    assert used
    assert {request["key"] for request in used} == {KEY}
    assert {request["token"] for request in used} == {None}


def test_an_iceberg_table_with_the_connections_keys(
    iceberg: Any, caplog: pytest.LogCaptureFixture, requests_to_s3: list[dict[str, str | None]]
) -> None:
    with caplog.at_level(logging.INFO):
        for source in addresses(iceberg.location()):
            assert read(source) == MEMBERS[3:]
    assert "is an Iceberg table: its snapshot" in caplog.text
    used = [request for request in requests_to_s3 if "/lake/" in str(request["path"])]
    assert {request["key"] for request in used} == {KEY}
    assert {request["token"] for request in used} == {None}


def test_a_token_goes_with_its_keys(
    delta: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, requests_to_s3: list[dict[str, str | None]]
) -> None:
    extra = {"endpoint_url": s3_server, "aws_session_token": "token of the connection"}
    connection = {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_TEMPORARY", json.dumps(connection))
    del requests_to_s3[:]
    assert read(FileSource(delta, conn_id="temporary", column="member")) == MEMBERS[3:]
    assert {request["token"] for request in requests_to_s3} == {"token of the connection"}


def test_without_a_connection_the_worker_has_its_own(
    delta: str, s3_server: str, monkeypatch: pytest.MonkeyPatch, requests_to_s3: list[dict[str, str | None]]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OFTHEWORKER")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    del requests_to_s3[:]
    assert read(FileSource(delta, column="member")) == MEMBERS[3:]
    keys = {request["key"] for request in requests_to_s3}
    # The file system that looks for the table may be one that this process has made before, with the keys of then.
    assert "OFTHEWORKER" in keys
    assert KEY not in keys


def test_deletes_beside_the_data(iceberg: Any) -> None:
    delete_by_file(iceberg, [0], "positions")
    assert len(read(FileSource(iceberg.location(), conn_id="lake", column="member"))) == 6


@pytest.mark.parametrize("below", ["*.parquet", "**/*.parquet", "../*/", "../", "data/", "data/*.parquet"])
def test_files_of_a_table_are_refused(iceberg: Any, delta: str, below: str) -> None:
    for table in (iceberg.location(), delta):
        if below.startswith("data") and table == delta:
            continue
        address = f"{table}/{below}" if not below.startswith("..") else f"{table.rpartition('/')[0]}/{below[3:]}"
        if table == iceberg.location() and below == "*.parquet":
            continue
        said = refused(FileSource(address, conn_id="lake"))
        assert "Delta Lake" in said or "Apache Iceberg" in said
        assert "/lake/" in said


def test_a_file_that_is_gone(delta: str, iceberg: Any, connected: Any) -> None:
    for table in (delta, iceberg.location()):
        prefix = table.removeprefix(f"s3://{connected.bucket}/")
        for item in connected.list_objects_v2(Bucket=connected.bucket, Prefix=prefix)["Contents"]:
            if item["Key"].endswith(".parquet"):
                connected.delete_object(Bucket=connected.bucket, Key=item["Key"])
        assert "lacks a file of its current snapshot" in refused(FileSource(table, conn_id="lake", column="member"))


def test_what_a_store_answers_is_not_passed_on(delta: str, iceberg: Any, refusing_s3: Any) -> None:
    for table in (delta, iceberg.location()):
        said = refused(FileSource(table, conn_id="lake", column="member"))
        assert "may not be read with connection lake" in said


def test_plain_folders_go_on(connected: Any, s3_server: str) -> None:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )
    for key in ("exports/day=1/a.txt", "exports/day=2/metadata/b.txt", "exports/data/c.txt"):
        client.put_object(Bucket=connected.bucket, Key=key, Body=b"m")
    for below, count in (("", 3), ("day=*/", 2), ("*/*.txt", 2), ("**/*.txt", 3), ("data/c.txt", 1)):
        assert len(read(FileSource(f"s3://{connected.bucket}/exports/{below}", conn_id="lake"))) == count
