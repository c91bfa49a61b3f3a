"""A table's folder holds files of old snapshots: what lies in one is told from a plain folder, and refused."""

import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from support.airflow_versions import attach

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources import FileSource

UUID = "0f1c2d3e-4a5b-6c7d-8e9f-a0b1c2d3e4f5"
MARKERS = {
    "Delta Lake": ["_delta_log/00000000000000000000.json"],
    "Apache Iceberg": ["metadata/v2.metadata.json", "metadata/snap-1.avro"],
    "Apache Iceberg by a catalog": [f"metadata/00012-{UUID}.gz.metadata.json"],
    "Apache Iceberg by Hadoop": ["metadata/version-hint.text", "metadata/v7.metadata.json.gz"],
    "Apache Hudi": [".hoodie/hoodie.properties", ".hoodie/20260102030405.commit"],
}
BY_NAME = {
    "Apache Paimon": (["schema/schema-0", "snapshot/LATEST", "manifest/manifest-1"], "dt=1/bucket-0/data-{}.parquet"),
    "Hive ACID": ([], "delta_000000{}_000000{}_0000/000000_0"),
    "Hive ACID by deletes": ([], "dt=1/delete_delta_000000{}_000000{}/bucket_00000"),
    "Hive ACID by bases": ([], "base_000000{}/000000_0"),
    "Hive ACID by a compaction": ([], "base_000000{}_v0000021/000000_0"),
    "DuckLake": ([], "main/users/ducklake-0f1c2d3e-4a5b-6c7d-8e9f-a0b1c2d3e4f{}.parquet"),
    "Lance": (["_versions/2.manifest"], "data/{}.lance"),
}


class _Place:
    """A folder to write to and its address."""

    def __init__(self, address: str, file_system: Any, path: Any) -> None:
        self.address = address
        self._file_system = file_system
        self._path = path

    def write(self, *names: Any, content: bytes = b"m") -> None:
        for name in names:
            self._file_system.makedirs(f"{self._path}/{name}".rpartition("/")[0], exist_ok=True)
            self._file_system.pipe(f"{self._path}/{name}", content)


@pytest.fixture(params=["local", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A lake on this machine, and one in a store."""
    if request.param == "local":
        yield _Place(f"{tmp_path}/lake", fsspec.filesystem("file"), f"{tmp_path}/lake")
        return
    file_system = fsspec.filesystem("memory")
    attach("memory", fs=file_system)
    yield _Place(f"memory://bucket/{tmp_path.name}", file_system, f"/bucket/{tmp_path.name}")
    file_system.rm("/bucket", recursive=True)


@pytest.fixture
def refused(read_source: Callable[[Any], list[str]]) -> Callable[..., str]:
    """Reads a source and returns the text of the refusal."""

    def run(source: Any) -> str:
        with pytest.raises(InvalidInputError) as refusal:
            read_source(source)
        return str(refusal.value)

    return run


INSIDE = [
    "users/*.txt",
    "users/data/",
    "users/data",
    "users/data/*.txt",
    "users/**/*.txt",
    "users/*/*.txt",
    "users/country=DE/",
    "users/country=DE/year=2026/month=01/day=02/",
    "users/country=*/year=2026/*/*/*.txt",
    "",
    "*/",
    "*",
    "**",
    "*/*.txt",
    "u*rs/[a-z]*/*.txt",
]


@pytest.mark.parametrize("table_format", MARKERS)
@pytest.mark.parametrize("source", INSIDE)
def test_what_lies_in_a_table_is_refused_by_its_format(
    lake: Any, refused: Callable[..., str], table_format: str, source: str
) -> None:
    lake.write("users/p0.txt", "users/data/1.txt", "users/country=DE/year=2026/month=01/day=02/2.txt", "plain/a.txt")
    lake.write(*(f"users/{name}" for name in MARKERS[table_format]), content=b"{}")
    said = refused(f"{lake.address}/{source}")
    assert table_format.partition(" by")[0] in said
    assert f"{lake.address}/users" in said
    assert "SqlSource" in said


@pytest.mark.parametrize("table_format", BY_NAME)
@pytest.mark.parametrize("source", ["t", "t/", "t/**", "", "*/", "nothing: inside"])
def test_what_only_its_names_tell_is_refused(
    lake: Any, refused: Callable[..., str], table_format: str, source: str
) -> None:
    markers, name = BY_NAME[table_format]
    names = [name.format(*[number] * name.count("{")) for number in (3, 4)]
    lake.write(*(f"t/{name}" for name in (*markers, *names)))
    if source == "nothing: inside":
        source = f"t/{names[0]}".rpartition("/")[0] + "/"
    assert table_format.partition(" by")[0] in refused(f"{lake.address}/{source}")


@pytest.mark.parametrize("as_source", [lambda one, two: [one, two], lambda one, two: FileSource((two, f"{one}/"))])
def test_one_of_a_list_is_enough(lake: Any, refused: Callable[..., str], as_source: Callable[..., Any]) -> None:
    lake.write("plain/a.txt", "users/.hoodie/hoodie.properties", "users/x.txt")
    one, two = (
        ObjectStoragePath(f"file://{lake.address}/{name}" if lake.address[0] == "/" else f"{lake.address}/{name}")
        for name in ("users", "plain")
    )
    assert "Apache Hudi" in refused(as_source(one, two))


def test_plain_folders_go_on(lake: Any, read_source: Callable[[Any], list[str]]) -> None:
    lake.write(
        "day=1/a.txt",
        "day=2/b.txt",
        "data/c.txt",
        "metadata/d.txt",
        "metadata/export.metadata.json.txt",
        "metadata/version.txt",
        "schema/schema-of-users.txt",
        "snapshot/e.txt",
        "bucket-0/f.txt",
        "delta_2026_01/g.txt",
        "base_0000001/h.txt",
        "delta/i.txt",
        "versions/j.txt",
        "_temporary/k.txt",
        "hoodie/l.txt",
    )
    assert len(read_source(lake.address)) == 14
    assert len(read_source(f"{lake.address}/*/*.txt")) == 14
    assert len(read_source(f"{lake.address}/day=*/")) == 2
    for name in ("data/", "metadata/d.txt", "snapshot", "bucket-0/*", "base_0000001/"):
        assert len(read_source(f"{lake.address}/{name}")) == 1


def test_a_table_beside_what_is_read_is_let_alone(lake: Any, read_source: Callable[[Any], list[str]]) -> None:
    lake.write("users/p0.txt", "users/_delta_log/00000000000000000000.json", "export-1/a.txt", "export-2/b.txt")
    lake.write("users/exported/.hoodie/hoodie.properties")
    assert len(read_source(f"{lake.address}/export-*/*.txt")) == 2
    assert len(read_source(f"{lake.address}/*-1/")) == 1


def test_a_file_that_is_named_is_read_with_a_warning(
    lake: Any, read_source: Callable[[Any], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    lake.write("users/a=1/p0.txt", "users/a=1/p1.txt", "users/_delta_log/00000000000000000000.json")
    named = [f"{lake.address}/users/a=1/{name}" for name in ("p0.txt", "p1.txt")]
    with caplog.at_level(logging.WARNING):
        assert len(read_source(named)) == 2
        assert len(read_source(named[0])) == 1
    assert "is a file of the Delta Lake table" in caplog.text
    assert f"{lake.address}/users" in caplog.text


def test_links_into_a_table_lead_into_the_table(tmp_path: Path, refused: Callable[..., str]) -> None:
    _Place("", fsspec.filesystem("file"), str(tmp_path)).write("users/data/a.txt", "users/.hoodie/hoodie.properties")
    (tmp_path / "linked").symlink_to(tmp_path / "users/data")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing/a.txt").symlink_to(tmp_path / "users/data/a.txt")
    for source in ("linked", "linked/*.txt", "landing", "landing/*"):
        assert "Apache Hudi" in refused(str(tmp_path / source))


def test_paths_from_where_the_worker_is(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _Place("", fsspec.filesystem("file"), str(tmp_path)).write("t/data/a.txt", "t/.hoodie/hoodie.properties")
    monkeypatch.chdir(tmp_path / "t/data")
    for source in ("./", "*.txt", "../data/", Path()):
        assert "Apache Hudi" in refused(source)


def test_a_table_and_files_in_one_list_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    place = _Place("", fsspec.filesystem("file"), str(tmp_path))
    place.write("t/_delta_log/00000000000000000000.json", "plain/a.txt")
    assert "give tables only, or files only" in refused([f"{tmp_path}/plain/", f"{tmp_path}/t"])
    assert "not csv" in refused(FileSource(tmp_path / "t", file_format="csv"))


def test_tables_in_other_stores_are_refused_by_name(refused: Callable[..., str]) -> None:
    file_system = fsspec.filesystem("memory")
    attach("memory", fs=file_system)
    for marker in ("_delta_log/00000000000000000000.json", "metadata/v1.metadata.json"):
        place = _Place("", file_system, f"/bucket/{uuid.uuid4()}")
        place.write(marker)
        said = refused(f"memory:/{place._path}")
        assert "memory://" in said
        assert "local folders and S3 are" in said
    file_system.rm("/bucket", recursive=True)


_MemoryFileSystem: Any = fsspec.get_filesystem_class("memory")


class _Counting(_MemoryFileSystem):  # type: ignore[misc]
    asked = 0

    def ls(self, *arguments: Any, **named: Any) -> Any:
        type(self).asked += 1
        return super().ls(*arguments, **named)

    def isdir(self, path: Any) -> Any:
        type(self).asked += 1
        if "forbidden" in path:
            raise PermissionError(path)
        return super().isdir(path)


def test_a_deep_path_and_many_files_cost_few_questions(read_source: Callable[[Any], list[str]]) -> None:
    file_system = _Counting()
    attach("memory", fs=file_system)
    deep = "/".join("abcdefghij")
    for number in range(300):
        file_system.pipe(f"/bucket/{deep}/{number}.txt", b"m")
    _Counting.asked = 0
    assert len(read_source(f"memory://bucket/{deep}/")) == 300
    assert _Counting.asked < 40
    _Counting.asked = 0
    assert len(read_source([f"memory://bucket/{deep}/{number}.txt" for number in range(300)])) == 300
    assert _Counting.asked < 340  # each file is asked for itself
    file_system.rm("/bucket", recursive=True)


def test_parents_that_may_not_be_seen_are_passed_over(read_source: Callable[[Any], list[str]]) -> None:
    file_system = _Counting()
    attach("memory", fs=file_system)
    file_system.pipe("/bucket/forbidden/mine/a.txt", b"m")
    assert read_source("memory://bucket/forbidden/mine/*.txt") == ["m"]
    file_system.rm("/bucket", recursive=True)


def test_the_example_of_an_iceberg_table_made_by_hand(tmp_path: Path, refused: Callable[..., str]) -> None:
    for number, members in enumerate((["a"] * 20, ["a"] * 15)):
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(pa.table({"idfa": members}), tmp_path / f"data/{number}.parquet")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/v2.metadata.json").write_text("{}")
    (tmp_path / "metadata/snap-1.avro").touch()
    assert "Iceberg" in refused(f"{tmp_path}/")
    assert "Iceberg" in refused(f"{tmp_path}/data/*.parquet")
