"""The newest snapshot of an Iceberg table, of tables with deleted rows whose files lie there still."""

import gzip
import json
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.lake import FolderCatalog, as_version_3, delete_by_file, iceberg_table, rows

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources import FileSource

MEMBERS = [f"member {number}" for number in range(10)]


@pytest.fixture
def refused(read_source: Callable[[Any], list[str]]) -> Callable[..., str]:
    def run(source: Any) -> str:
        with pytest.raises(InvalidInputError) as refusal:
            read_source(source)
        return str(refusal.value)

    return run


def as_source(table: Any) -> FileSource:
    return FileSource(table.location(), column="member")


@pytest.mark.parametrize("hint", [True, False])
@pytest.mark.parametrize("version", ["1", "2"])
def test_deleted_rows_stay_out(
    tmp_path: Path, read_source: Callable[[Any], list[str]], caplog: pytest.LogCaptureFixture, hint: bool, version: str
) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3, hint=hint, properties={"format-version": version})
    assert len(list(tmp_path.glob("t/data/*.parquet"))) == 3
    with caplog.at_level(logging.INFO):
        assert read_source(FileSource(f"{tmp_path}/t/", column="MEMBER")) == MEMBERS[3:]
    newest = json.loads((tmp_path / "t/metadata/v4.metadata.json").read_text())
    assert f"snapshot {newest['current-snapshot-id']} is read, by v4.metadata.json" in caplog.text
    assert table.location() == str(tmp_path / "t")


@pytest.mark.parametrize("kind", ["positions", "vector"])
def test_deletes_that_lie_beside_the_data_are_observed(
    tmp_path: Path, read_source: Callable[[Any], list[str]], kind: str
) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS)
    delete_by_file(table, [1, 3], kind)
    if kind == "vector":
        as_version_3(table)
    kept = read_source(as_source(table))
    assert kept in ([member for member in MEMBERS if member[-1] not in gone] for gone in ("13", "68"))


def test_equality_deletes_are_refused_by_name(tmp_path: Path, refused: Callable[..., str]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS)
    delete_by_file(table, [1, 3], "equality")
    said = refused(as_source(table))
    assert "Iceberg table" in said
    assert "equality deletes" in said
    assert "SqlSource" in said


def test_a_hint_that_lags_and_a_hint_that_is_gone(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    (tmp_path / "t/metadata/version-hint.text").write_text("2")
    assert read_source(as_source(table)) == MEMBERS[3:]
    (tmp_path / "t/metadata/version-hint.text").unlink()
    assert read_source(as_source(table)) == MEMBERS[3:]


def renamed(folder: Any, name: Callable[[int], str]) -> None:
    """Give a Hadoop table's metadata the names that a catalog gives: ``{version:05}-{uuid}``."""
    for path in folder.glob("metadata/v*.metadata.json"):
        path.rename(path.with_name(name(int(path.name[1:].partition(".")[0]))))
    (folder / "metadata/version-hint.text").unlink()


def test_metadata_of_a_catalog(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    renamed(tmp_path / "t", lambda version: f"{version + 6:05}-{uuid.uuid4()}.metadata.json")  # 9 and 10
    assert read_source(as_source(table)) == MEMBERS[3:]


@pytest.mark.parametrize("name", ["v4.gz.metadata.json", "v4.metadata.json.gz"])
def test_compressed_metadata(tmp_path: Path, read_source: Callable[[Any], list[str]], name: str) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    newest = tmp_path / "t/metadata/v4.metadata.json"
    newest.with_name(name).write_bytes(gzip.compress(newest.read_bytes()))
    newest.unlink()
    assert read_source(as_source(table)) == MEMBERS[3:]


def test_two_writers_of_one_version_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    renamed(tmp_path / "t", lambda version: f"{min(version, 3):05}-{uuid.uuid4()}.metadata.json")
    said = refused(as_source(table))
    assert "two writers made the same version" in said
    assert "00003-" in said


def test_a_hint_tells_which_of_two_writers_won(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    names = {version: f"{min(version, 3):05}-{uuid.uuid4()}.metadata.json" for version in range(1, 5)}
    renamed(tmp_path / "t", names.__getitem__)
    (tmp_path / "t/metadata/version-hint.text").write_text(names[4].removesuffix(".metadata.json"))
    assert read_source(as_source(table)) == MEMBERS[3:]


def test_a_table_that_was_dropped_and_made_again_is_refused(
    tmp_path: Path, refused: Callable[..., str], read_source: Callable[[Any], list[str]]
) -> None:
    old = iceberg_table(tmp_path / "t", MEMBERS, 3)
    (tmp_path / "t/metadata/v1.metadata.json").unlink()
    FolderCatalog(old.io).create(old.location(), rows(MEMBERS).schema, {})  # v1 again
    said = refused(as_source(old))
    assert "of two tables" in said
    for version in (2, 3, 4):
        (tmp_path / f"t/metadata/v{version}.metadata.json").unlink()
    assert read_source(as_source(old)) == []


def test_a_copy_with_new_times_is_no_other_table(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    os.utime(tmp_path / "t/metadata/v1.metadata.json")
    assert read_source(as_source(table)) == MEMBERS[3:]


def test_files_by_addresses_as_writers_write_them(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    for address in (f"file://{tmp_path}/a", f"file:{tmp_path}/b c"):
        iceberg_table(address, MEMBERS, 3)
        assert (
            read_source(FileSource(f"{tmp_path}/{address[-1] if address[-1] == 'a' else 'b c'}", column="member"))
            == (MEMBERS[3:])
        )


def test_files_that_lie_elsewhere_are_named(tmp_path: Path, refused: Callable[..., str]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS)
    newest = tmp_path / "t/metadata/v3.metadata.json"
    newest.write_text(newest.read_text().replace(f'"{tmp_path}', '"hdfs://nn/lake'))
    assert "whose files lie elsewhere (hdfs://nn/lake/t/metadata)" in refused(as_source(table))


def test_damage_is_no_reason_to_read_less(tmp_path: Path, refused: Callable[..., str]) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS, 3)
    kept = [task.file.file_path for task in table.scan().plan_files()]
    whole = open(kept[0], "rb").read()  # noqa: PTH123, SIM115
    with open(kept[0], "wb") as file:  # noqa: PTH123
        file.write(whole[:50])
    assert "Iceberg table that can't be read" in refused(as_source(table))
    os.unlink(kept[0])  # noqa: PTH108
    assert "lacks a file of its current snapshot" in refused(as_source(table))
    (tmp_path / "t/metadata/v4.metadata.json").write_text("{")
    assert "Iceberg table that can't be read" in refused(as_source(table))
    shutil.rmtree(tmp_path / "t/metadata")
    (tmp_path / "t/metadata").mkdir()
    (tmp_path / "t/metadata/snap-1.avro").touch()
    assert "without a metadata file" in refused(as_source(table))


def test_an_empty_table_has_no_rows(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    catalog = FolderCatalog(iceberg_table(tmp_path / "other", MEMBERS).io)
    table = catalog.create(str(tmp_path / "t"), rows(MEMBERS).schema, {})
    assert read_source(as_source(table)) == []


def test_columns_that_were_renamed_and_added(
    tmp_path: Path, read_source: Callable[[Any], list[str]], refused: Callable[..., str]
) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS)
    with table.update_schema() as change:
        change.rename_column("member", "idfa")
        change.add_column("gaid", table.schema().find_type("n"))
    assert read_source(FileSource(table.location(), column="idfa")) == MEMBERS
    assert read_source(FileSource(table.location(), column="gaid")) == [""] * 10
    assert "has no column 'member'; it has 'idfa', 'n', 'gaid'" in refused(as_source(table))


def test_uuids_and_several_columns(
    tmp_path: Path, read_source: Callable[[Any], list[str]], refused: Callable[..., str]
) -> None:
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField, UUIDType

    table = iceberg_table(tmp_path / "t", MEMBERS)
    assert "2 columns ('member', 'n')" in refused(table.location())
    ids = [uuid.uuid4() for _ in range(3)]
    catalog = FolderCatalog(table.io)
    schema = Schema(NestedField(1, "id", UUIDType(), required=False))
    table = catalog.create(str(tmp_path / "u"), schema, {})
    table.append(pa.table({"id": pa.array([one.bytes for one in ids], pa.binary(16)).cast(pa.uuid())}))
    assert read_source(table.location()) == sorted(map(str, ids))


def test_many_files_are_read_a_group_at_a_time(
    tmp_path: Path, read_source: Callable[[Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_audiences.sources import iceberg

    monkeypatch.setattr(iceberg, "_GROUP_ROWS", 4)
    table = iceberg_table(tmp_path / "t", MEMBERS[:4])
    for member in MEMBERS[4:]:
        table.append(rows([member]))
    assert read_source(as_source(table)) == MEMBERS


@pytest.mark.parametrize("missing", ["pyiceberg.table", "pyarrow"])
def test_without_the_extra_it_is_named(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    table = iceberg_table(tmp_path / "t", MEMBERS)
    monkeypatch.setitem(sys.modules, missing, None)
    said = refused(table.location())
    assert "table of Apache Iceberg" in said
    assert "pip install --upgrade 'airflow-provider-audiences[iceberg]'" in said


def test_a_library_that_is_too_old_is_not_trusted(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyiceberg.__version__", "0.10.2rc1")
    assert "too old: pip install --upgrade 'airflow-provider-audiences[iceberg]'" in refused(
        iceberg_table(tmp_path / "t", MEMBERS).location()
    )
