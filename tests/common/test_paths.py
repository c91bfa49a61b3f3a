"""Addresses of files: which are on this machine, and what they are there."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_audiences.common.paths import connection_of, local_path, store_path
from airflow_provider_audiences.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/ids.txt", "/data/ids.txt"),
        ("ids.txt", "ids.txt"),
        ("/data/a%20b?.txt", "/data/a%20b?.txt"),
        ("file:///data/a%20b.txt", "/data/a b.txt"),
        ("FILE:///data/ids.txt", "/data/ids.txt"),
        ("file://localhost/data/ids.txt", "/data/ids.txt"),
        ("file:///data/day=?/*.csv", "/data/day=?/*.csv"),
        (PurePosixPath("/data/ids.txt"), "/data/ids.txt"),
        (Path("ids.txt"), "ids.txt"),
    ],
    ids=str,
)
def test_an_address_on_this_machine(address: Any, path: str) -> None:
    assert local_path(address) == Path(path)


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert local_path("~/ids.txt") == Path("/home/somebody/ids.txt")


def test_an_object_storage_path_is_local_by_its_protocol(tmp_path: Path) -> None:
    assert local_path(ObjectStoragePath(f"file://{tmp_path}/ids.txt")) == tmp_path / "ids.txt"
    assert local_path(ObjectStoragePath("memory://bucket/ids.txt")) is None


@pytest.mark.parametrize("address", ["s3://bucket/ids.txt", "https://example.com/ids.txt", None, 5, ["/ids.txt"]])
def test_other_addresses_are_not_on_this_machine(address: Any) -> None:
    assert local_path(address) is None


def test_an_address_without_a_path_is_refused_without_what_opens_it() -> None:
    with pytest.raises(InvalidInputError, match="give the whole path") as failure:
        local_path("file://user:sesame@host")
    assert "sesame" not in str(failure.value)


def test_a_store_is_opened_with_the_connection_that_is_named() -> None:
    assert connection_of("s3://conn@bucket/ids.txt") is None
    assert connection_of(store_path("memory://bucket/ids.txt")) is None
    path = store_path("memory://bucket/ids.txt", conn_id="warehouse")
    assert connection_of(path) == "warehouse"
    assert connection_of(store_path(path)) == "warehouse", "it stays when the path is opened again"
