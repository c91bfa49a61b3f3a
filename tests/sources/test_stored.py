"""Stores that fail while a source is found or read: an error of ours, retried, with the store's code and no secret."""

import errno
import io
import json
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import SourceUnavailableError
from airflow_provider_audiences.members.failures import words_of
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.sources.stored import StoredStream

SECRET = "sesame-sesame"
ID = b"c3f5d2a0-6a28-11e4-bcda-000000000001\n"


class CodedError(Exception):
    def __init__(self, text: str, **facts: Any) -> None:
        super().__init__(text)
        self.__dict__.update(facts)


@pytest.mark.parametrize("path", ["s3://nowhere_s3@bucket/ids.txt", "s3://nowhere_s3@bucket/day=*/"])
def test_a_store_that_is_not_reached(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra: dict[str, Any] = {"endpoint_url": "http://127.0.0.1:1", "region_name": "eu-west-1"}
    extra["config_kwargs"] = {"retries": {"max_attempts": 0}}
    connection = {"conn_type": "aws", "login": "key", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE_S3", json.dumps(connection))
    said = r"its store failed \(EndpointConnectionError\)"
    with pytest.raises(SourceUnavailableError, match=said) as caught, open_source(path):
        pass
    assert "nothing was sent" in str(caught.value)
    assert SECRET not in str(caught.value)


class BrokenFile(io.BytesIO):
    """A file that breaks off."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise ReadTimeoutError(endpoint_url=f"https://bucket/{SECRET}")
        return data


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("ids.txt", b""),
        ("ids.txt", ID * 100),
        ("ids.txt.gz", b"\x1f\x8b\x08\0"),
        ("ids.csv", b"idfa\n"),
        ("ids.pq", b"PAR1"),
    ],
)
def test_a_store_that_fails_while_it_is_read(name: str, first: bytes) -> None:
    def open_it() -> Any:
        return StoredStream(BrokenFile(first), "s3://bucket/ids")

    said = r"source s3://bucket/ids: its store failed \(ReadTimeoutError\)"
    source = FilesInput(files=[SourceFile(name=name, open=open_it)])
    with (
        pytest.raises(SourceUnavailableError, match=said) as caught,
        stage(source, rules=StagingRules(), identifier_kind=ID_KIND),
    ):
        pass
    assert caught.value.__context__ is None
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, SECRET), os.strerror(errno.EIO)),
        (OSError(SECRET), "OSError"),
        (ClientError({"Error": {"Code": "SlowDown", "Message": SECRET}}, "GetObject"), "ClientError: SlowDown"),
        (CodedError(SECRET, error_code="ContainerNotFound"), "CodedError: ContainerNotFound"),
        (CodedError(SECRET, code=503), "CodedError: 503"),
        (CodedError(SECRET, code=f"no code: {SECRET}"), "CodedError"),
        (CodedError(SECRET, response="none"), "CodedError"),
        (RuntimeError(SECRET), "RuntimeError"),
    ],
)
def test_what_is_said_of_an_error(error: Exception, said: str) -> None:
    assert words_of(error) == said
