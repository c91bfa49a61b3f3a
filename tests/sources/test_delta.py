"""The newest version of a Delta Lake table, of tables with deleted rows whose files lie there still."""

import json
import logging
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from support.lake import add_to_log, delete_by_vector, delta_table, rows

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources import FileSource

MEMBERS = [f"member {number}" for number in range(10)]


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """A table of which the first three of ten rows were deleted."""
    delta_table(tmp_path / "users", MEMBERS, 3)
    return tmp_path / "users"


@pytest.fixture
def refused(read_source: Callable[[Any], list[str]]) -> Callable[..., str]:
    def run(source: Any) -> str:
        with pytest.raises(InvalidInputError) as refusal:
            read_source(source)
        return str(refusal.value)

    return run


@pytest.mark.parametrize("spelled", [str, Path, "{}/".format, "file://{}".format, lambda path: [path]])
def test_deleted_rows_stay_out(
    table: Any, read_source: Callable[[Any], list[str]], caplog: pytest.LogCaptureFixture, spelled: Any
) -> None:
    assert len(list(table.glob("*.parquet"))) == 3
    with caplog.at_level(logging.INFO):
        assert read_source(FileSource(spelled(table), column="Member")) == MEMBERS[3:]
    assert "its version 2 is read" in caplog.text


def test_the_example_of_a_log_made_by_hand(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    for number, members in enumerate((MEMBERS, MEMBERS[:4])):
        write_deltalake(tmp_path, pa.table({"idfa": members}), mode="overwrite" if number else "error")
    assert read_source(str(tmp_path)) == MEMBERS[:4]


@pytest.mark.parametrize("inline", [True, False])
def test_deletion_vectors_are_observed(tmp_path: Path, read_source: Callable[[Any], list[str]], inline: bool) -> None:
    write_deltalake(tmp_path / "t", rows(MEMBERS))
    delete_by_vector(tmp_path / "t", [0, 4, 9], inline=inline)
    assert read_source(FileSource(tmp_path / "t", column="member")) == [*MEMBERS[1:4], *MEMBERS[5:9]]


def test_columns_are_found_by_the_names_that_a_mapping_gives(
    tmp_path: Path, read_source: Callable[[Any], list[str]]
) -> None:
    write_deltalake(tmp_path / "t", pa.table({"col-1": MEMBERS}))
    log = tmp_path / "t/_delta_log/00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    [metadata] = [action["metaData"] for action in actions if "metaData" in action]
    schema = json.loads(metadata["schemaString"])
    schema["fields"][0] |= {
        "name": "idfa",
        "metadata": {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"},
    }
    settings = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"}
    changed = metadata | {"schemaString": json.dumps(schema), "configuration": settings}
    features = {"readerFeatures": ["columnMapping"], "writerFeatures": ["columnMapping"]}
    add_to_log(
        tmp_path / "t",
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"metaData": changed},
    )
    assert read_source(FileSource(tmp_path / "t", column="idfa")) == MEMBERS


def test_a_checkpoint_and_partitions(
    tmp_path: Path, read_source: Callable[[Any], list[str]], refused: Callable[..., str]
) -> None:
    data = rows(MEMBERS).append_column("country code", pa.array(["DE", "a b"] * 5))
    write_deltalake(tmp_path / "t", data, partition_by=["country code"])
    DeltaTable(tmp_path / "t").create_checkpoint()
    DeltaTable(tmp_path / "t").delete("n >= 8")
    assert read_source(FileSource(tmp_path / "t", column="member")) == MEMBERS[:8]
    assert set(read_source(FileSource(tmp_path / "t", column="country code"))) == {"DE", "a b"}
    assert "Delta Lake" in refused(tmp_path / "t/country code=DE/")


def test_an_empty_table_has_no_rows(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    delta_table(tmp_path / "t", MEMBERS, 99)
    assert read_source(FileSource(tmp_path / "t", column="member")) == []


def test_several_tables_and_one_twice(table: Any, tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    delta_table(tmp_path / "more", ["a", "b"], 1)
    source = FileSource([table, tmp_path / "more", f"{table}/"], column="member")
    assert read_source(source) == ["b", *MEMBERS[3:]]


def test_values_are_texts_as_everywhere(
    tmp_path: Path, read_source: Callable[[Any], list[str]], refused: Callable[..., str]
) -> None:
    ids = [uuid.uuid4() for _ in range(3)]
    data = {
        "number": pa.array([13700000000, 13700000001, None]),
        "bytes": pa.array([str(one).encode() for one in ids]),
        'a "list"': pa.array([["a"], ["b"], []]),
    }
    write_deltalake(tmp_path / "t", pa.table(data))
    assert read_source(FileSource(tmp_path / "t", column="bytes")) == sorted(map(str, ids))
    assert [text for text in read_source(FileSource(tmp_path / "t", column="number")) if text] == [
        "13700000000",
        "13700000001",
    ]
    assert "holds a list" in refused(FileSource(tmp_path / "t", column='a "list"'))
    assert "3 columns ('number', 'bytes', 'a \"list\"'): say which one with column=" in refused(tmp_path / "t")
    assert "has no column 'idfa'" in refused(FileSource(tmp_path / "t", column="idfa"))


def test_many_rows_come_in_pieces(tmp_path: Path, read_source: Callable[[Any], list[str]]) -> None:
    members = [f"{number:06}" for number in range(250_000)]
    write_deltalake(tmp_path / "t", pa.table({"m": members}))
    assert read_source(tmp_path / "t") == members


@pytest.mark.parametrize("name", ["a b", "a#b?c", "é", "[x]*", "a%b"])
def test_folders_of_any_name(table: Any, tmp_path: Path, read_source: Callable[[Any], list[str]], name: str) -> None:
    table.rename(tmp_path / name)
    assert read_source(FileSource(tmp_path / name, column="member")) == MEMBERS[3:]


def test_a_folder_that_the_library_takes_for_another_is_refused(
    table: Any, tmp_path: Path, refused: Callable[..., str]
) -> None:
    delta_table(tmp_path / "a b", ["another table's"], 0)
    table.rename(tmp_path / "a%20b")
    assert "rename the folder" in refused(FileSource(tmp_path / "a%20b", column="member"))


def test_what_the_library_does_not_know_is_refused_by_name(table: Any, refused: Callable[..., str]) -> None:
    features = {"readerFeatures": ["readsByMoonlight"], "writerFeatures": ["readsByMoonlight"]}
    add_to_log(table, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}})
    said = refused(FileSource(table, column="member"))
    assert "Delta Lake table that deltalake can't read" in said
    assert "readsByMoonlight" in said
    assert "SqlSource" in said


def test_a_vector_that_is_gone_is_no_reason_to_send_all(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_deltalake(tmp_path / "t", rows(MEMBERS))
    delete_by_vector(tmp_path / "t", [0], inline=False)
    next(tmp_path.glob("t/deletion_vector*")).unlink()
    assert "is a table of Delta Lake" in refused(FileSource(tmp_path / "t", column="member"))


def test_damage_is_no_reason_to_read_less(table: Any, tmp_path: Path, refused: Callable[..., str]) -> None:
    [current] = [path for path in table.glob("*.parquet") if str(path).endswith(tuple(_current(table)))][:1]
    whole = current.read_bytes()
    current.write_bytes(whole[:100])
    assert "Delta Lake" in refused(FileSource(table, column="member"))
    current.unlink()
    assert "lacks a file of its current snapshot" in refused(FileSource(table, column="member"))
    current.write_bytes(whole)
    (table / "_delta_log/00000000000000000001.json").write_text("{")
    assert "Delta Lake" in refused(FileSource(table, column="member"))
    (table / "_delta_log/00000000000000000001.json").unlink()
    assert "Delta Lake" in refused(FileSource(table, column="member"))


def _current(table: Any) -> list[Any]:
    return [uri.rpartition("/")[2] for uri in DeltaTable(table).file_uris()]


@pytest.mark.parametrize("missing", ["deltalake", "pyarrow"])
def test_without_the_extra_it_is_named(
    table: Any, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    said = refused(table)
    assert "table of Delta Lake" in said
    assert "pip install --upgrade 'airflow-provider-audiences[delta]'" in said


def test_a_library_that_is_too_old_is_not_trusted(
    table: Any, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deltalake.__version__", "0.10.2rc1")
    assert "too old: pip install --upgrade 'airflow-provider-audiences[delta]'" in refused(table)
