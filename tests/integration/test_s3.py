"""Members from S3: a real server (moto), through Airflow's file systems."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.inputs import FilesInput
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sources.opening import open_source

ZIPPED = gzip.compress(b"c")


def contents(source: Any) -> dict[str, Any]:
    with open_source(source) as files:
        assert isinstance(files, FilesInput)
        read = {}
        for file in files.files:
            with file.open() as opened:
                read[file.name] = opened.read()
            assert file.local_path is None
        return read


@pytest.fixture
def day(put: Callable[[str, bytes], str]) -> str:
    """The address of a day's folder, as Spark leaves it and consoles of S3 show it."""
    put("day=2/d.txt", b"d")
    put("day=1/", b"")
    put("day=1/b.txt", b"b")
    put("day=1/a +#%20ä.txt", b"a")
    put("day=1/hour=1/c.txt.gz", ZIPPED)
    put("day=1/hour=2/", b"")
    put("day=1/_SUCCESS", b"")
    put("day=1/_temporary/0/x.txt", b"x")
    put("day=1/hour=1_$folder$", b"")
    put("day=10/e.txt", b"e")
    return put("day=1/.x.crc", b"x").removesuffix(".x.crc")


def test_an_object(put: Callable[[str, bytes], str]) -> None:
    address = put("ids.txt", b"x" * 100)
    assert contents(address) == {address: b"x" * 100}


@pytest.mark.parametrize("slash", ["/", ""])
def test_a_folder(day: str, slash: str) -> None:
    root = day.removesuffix("/")
    assert list(contents(root + slash).items()) == [
        (f"{root}/a +#%20ä.txt", b"a"),
        (f"{root}/b.txt", b"b"),
        (f"{root}/hour=1/c.txt.gz", ZIPPED),
    ]


def test_globs(day: str) -> None:
    root = day.removesuffix("day=1/")
    assert list(contents(f"{root}day=*/*.txt").values()) == [b"a", b"b", b"e", b"d"]
    assert list(contents(f"{root}day=?/").values()) == [b"a", b"b", ZIPPED, b"d"]
    assert list(contents(f"{root}**/*.gz").values()) == [ZIPPED]
    assert list(contents([f"{root}day=2/", f"{root}day=?/d.txt"]).values()) == [b"d"]
    with pytest.raises(InvalidInputError, match=r"no file matches it"):
        contents(f"{root}day=3*/")


def test_an_object_and_a_folder_of_one_name(put: Callable[[str, bytes], str]) -> None:
    put("x", b"object")
    address = put("x/y", b"below").removesuffix("/y")
    assert list(contents(address).values()) == [b"object"]
    assert list(contents(f"{address}/").values()) == [b"below"]


def test_what_came_after_the_last_look_is_seen(put: Callable[[str, bytes], str]) -> None:
    folder = put("f/a", b"a").removesuffix("a")
    assert list(contents(folder).values()) == [b"a"]
    put("f/b", b"b")
    assert list(contents(folder).values()) == [b"a", b"b"]
    put("f/a", b"aaa")
    assert list(contents(folder).values()) == [b"aaa", b"b"]


@pytest.mark.parametrize("below", ["none", "none/", "day=1/none.txt"])
def test_what_is_not_there_is_named(day: str, below: str) -> None:
    address = day.removesuffix("day=1/") + below
    with pytest.raises(InvalidInputError, match=f"{address} does not exist"):
        contents(address)
    with pytest.raises(InvalidInputError, match=r"s3://no-such-bucket/x does not exist"):
        contents("s3://no-such-bucket/x")


def test_a_connection_is_named(put: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    address = put("ids.txt", b"x")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)  # now only the connection leads there
    user = address.replace("s3://", "s3://my_store@")
    assert contents(user) == {user: b"x"}
    assert contents(FileSource(address, conn_id="my_store")) == {address: b"x"}
    assert list(contents(FileSource([address, address.replace("ids", "*")], conn_id="my_store")).values()) == [b"x"]
    assert list(contents(user.removesuffix("ids.txt")).values()) == [b"x"]


def test_a_large_object_is_read_in_parts(put: Callable[[str, bytes], str]) -> None:
    body = bytes(range(256)) * 300_000
    address = put("large", body)
    with open_source(address) as files:
        assert isinstance(files, FilesInput)
        with files.files[0].open() as opened:
            assert opened.read(10) == body[:10]
            rest = b"".join(iter(lambda: opened.read(1 << 20), b""))
    assert rest == body[10:]


def test_a_closed_door_is_named(put: Callable[[str, bytes], str], s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_audiences.sources import files

    def closed(*_args: Any) -> Any:
        raise PermissionError("Access Denied")

    address = put("ids.txt", b"x")
    monkeypatch.setattr(files, "_base_and_pattern", closed)
    with pytest.raises(InvalidInputError, match=r"ids\.txt may not be read by this worker"):
        contents(address)
