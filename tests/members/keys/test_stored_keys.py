"""Keys that are read from the Parquet file itself: what the database would read, as long as the file is what it was."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import StateUnavailableError
from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, fingerprint_of, side_by_side
from airflow_provider_audiences.members.keys.key_tables import KeyTableError, read_key_table, stored_keys
from airflow_provider_audiences.members.keys.key_tables import write_key_table as write_table
from airflow_provider_audiences.members.keys.stored_keys import RowGroup, StoredKeys
from airflow_provider_audiences.members.workspace import Workspace

ROWS = 140_000
"""A row group of 122,880 rows at most, and one of more than 4,096: the database writes smaller ones by a dictionary."""
COLUMNS = ("earliest", "latest")
WHERE = "state/ledger.parquet"


def keys_of(rows: int) -> Keys:
    return key_order.unique(np.random.default_rng(rows).integers(0, 2**64, (rows, 2), np.uint64)).keys


def write(workspace: Workspace, path: Path, keys: Keys, *, columns: tuple[str, ...] = COLUMNS) -> None:
    numbers = np.arange(len(keys), dtype=np.uint32)
    write_table(workspace, path, iter([(keys, [numbers] * len(columns))]), key_column="member", number_columns=columns)


@pytest.fixture(scope="module")
def table(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    write(workspace, path, keys_of(ROWS))
    return path


@pytest.fixture
def copy(table: Path, tmp_path: Path) -> Path:
    """A copy of the table that may be changed."""
    path = tmp_path / "copy.parquet"
    path.write_bytes(table.read_bytes())
    return path


def rows_of(
    workspace: Workspace, path: Path, stored: StoredKeys | None, columns: tuple[str, ...] = COLUMNS
) -> tuple[Any, ...]:
    """Return all columns of a table, and check that each piece has them beside each other."""
    pieces = list(read_key_table(workspace, path, columns, stored=stored))
    for keys, numbers in pieces:
        assert {len(keys)} == {len(keys), *(len(column) for column in numbers.values())}
    keys = np.concatenate([key_order.empty_keys(16), *(keys for keys, _ in pieces)])
    return (keys.tolist(), *(np.concatenate([part[name] for _, part in pieces]).tolist() for name in columns))


@settings(deadline=None, max_examples=60)
@given(first=st.integers(0, ROWS), count=st.integers(0, ROWS))
def test_any_keys_from_any_place(workspace: Workspace, table: Path, first: int, count: int) -> None:
    stored = stored_keys(workspace, table, where=WHERE)
    assert stored.count == ROWS
    count = min(count, ROWS - first)
    found = stored.read(first, count)
    assert found.dtype == np.uint64
    assert found.shape == (count, 2)
    assert (found == keys_of(ROWS)[first : first + count]).all()


@pytest.mark.parametrize("columns", [COLUMNS, ("latest",), ()])
@pytest.mark.parametrize("rows", [1, 4_096, 5_000, 122_880 + 1, ROWS])
def test_a_table_is_the_same_with_and_without_them(
    workspace: Workspace, tmp_path: Path, rows: int, columns: tuple[str, ...]
) -> None:
    """A row group that has few rows has its keys in a dictionary, which only the database reads."""
    path = tmp_path / "t.parquet"
    write(workspace, path, keys_of(rows))
    stored = stored_keys(workspace, path, where=WHERE)
    assert stored.count == {1: 0, 4_096: 0, 5_000: 5_000, 122_881: 122_880, ROWS: ROWS}[rows]
    assert rows_of(workspace, path, stored, columns) == rows_of(workspace, path, None, columns)
    assert rows_of(workspace, path, stored, columns)[0] == keys_of(rows).tolist()


@pytest.mark.parametrize(
    "options", ["COMPRESSION snappy", "COMPRESSION zstd", "PARQUET_VERSION v2, COMPRESSION snappy"]
)
def test_compressed_tables_are_read_by_the_database(
    workspace: Workspace, table: Path, tmp_path: Path, options: str
) -> None:
    path = tmp_path / "old.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{table}') TO '{path}' (FORMAT parquet, {options})")
    stored = stored_keys(workspace, path, where=WHERE)
    assert stored.count == 0
    assert rows_of(workspace, path, stored) == rows_of(workspace, table, None)


@pytest.mark.parametrize("rows", [2_048, 8_192, 100_000])
def test_row_groups_of_any_size(workspace: Workspace, table: Path, tmp_path: Path, rows: int) -> None:
    path = tmp_path / "others.parquet"
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        options = f"FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 64, ROW_GROUP_SIZE {rows}"
        connection.execute(f"COPY (FROM '{table}') TO '{path}' ({options})")
    stored = stored_keys(workspace, path, where=WHERE)
    assert stored.count == ROWS
    assert rows_of(workspace, path, stored) == rows_of(workspace, table, None)


OTHER_WRITERS: dict[str, dict[str, Any]] = {
    "several pages, with headers between them": {"compression": "none", "data_page_size": 1 << 16},
    "compressed": {"compression": "lz4"},
    "as many bytes as the keys, in another order": {
        "compression": "none",
        "column_encoding": {"member": "BYTE_STREAM_SPLIT"},
        "data_page_size": 1 << 24,
    },
}


@pytest.mark.parametrize("name", OTHER_WRITERS)
def test_tables_of_other_programs_are_left_to_the_database(
    workspace: Workspace, table: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "others.parquet"
    columns = pyarrow.parquet.read_table(table, columns=["member"])
    pyarrow.parquet.write_table(columns, path, use_dictionary=False, **OTHER_WRITERS[name])
    assert stored_keys(workspace, path, where=WHERE).count == 0


def key_set_of(workspace: Workspace, path: Path, stored: StoredKeys | None) -> tuple[KeySet, Any]:
    """Return a set of the keys of a file, and the file that those are written to which it has not."""
    file = workspace.new_file()
    writer = KeySetWriter(file, stored=stored)
    for keys, _ in read_key_table(workspace, path, (), stored=stored):
        writer.add(keys)
    return writer.finish(), file


@pytest.mark.parametrize(("rows", "written"), [(ROWS, 0), (122_880 + 100, 100), (50, 50)])
def test_a_set_of_them_is_not_written_again(workspace: Workspace, tmp_path: Path, rows: int, written: int) -> None:
    """Only the keys that are read by the database are, and slices may have keys of both."""
    path = tmp_path / "t.parquet"
    write(workspace, path, keys_of(rows), columns=())
    found, file = key_set_of(workspace, path, stored_keys(workspace, path, where=WHERE))
    assert os.fstat(file.fileno()).st_size == written * 16
    copied, _ = key_set_of(workspace, path, None)
    assert (
        (found.count, fingerprint_of(found)) == (copied.count, fingerprint_of(copied)) == (rows, fingerprint_of(found))
    )
    assert found.starts().tolist() == copied.starts().tolist()
    for first, count in ((0, rows), (rows - 1, 5), (rows, 1), (rows - 40, 40), (max(0, rows - 150), 100)):
        assert (found.slice(first, count) == keys_of(rows)[first : first + count]).all()
        assert len(found.slice(first, count)) == len(keys_of(rows)[first : first + count])
    assert len(list(side_by_side(found, copied))) == len(list(side_by_side(copied, copied)))


def test_several_threads_read_at_the_same_time(workspace: Workspace, table: Path) -> None:
    stored, keys = stored_keys(workspace, table, where=WHERE), keys_of(ROWS)
    firsts = np.random.default_rng(0).integers(0, ROWS - 1000, 400).tolist()
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda first: stored.read(first, 1000), firsts)
        assert all((some == keys[first : first + 1000]).all() for first, some in zip(firsts, found, strict=True))


def test_the_file_may_be_deleted(workspace: Workspace, copy: Path) -> None:
    stored = stored_keys(workspace, copy, where=WHERE)
    copy.unlink()
    assert (stored.read(0, ROWS) == keys_of(ROWS)).all()


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 1000),
    "emptied": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_is_changed_meanwhile_is_an_error(workspace: Workspace, copy: Path, name: str) -> None:
    stored = stored_keys(workspace, copy, where=WHERE)
    status = copy.stat()
    CHANGES[name](copy)
    if copy.stat().st_mtime_ns == status.st_mtime_ns:  # the clock of the file system has not moved on
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(StateUnavailableError, match=f"{WHERE} was changed while it was in use. Try again"):
        stored.read(0, 1000)


def test_a_file_that_is_replaced_by_another_is_still_the_old_one(workspace: Workspace, copy: Path) -> None:
    stored = stored_keys(workspace, copy, where=WHERE)
    other = copy.with_name("other")
    write(workspace, other, keys_of(7))
    other.replace(copy)
    assert (stored.read(0, ROWS) == keys_of(ROWS)).all()


def test_a_disk_that_fails_is_an_error_that_a_retry_may_mend(workspace: Workspace, table: Path) -> None:
    file = table.open("rb", buffering=0)
    with duckdb.connect() as connection:
        query = "SELECT row_group_num_rows, data_page_offset, total_compressed_size FROM parquet_metadata(?)"
        rows, page, size = connection.execute(query, [str(table)]).fetchall()[0]
    with file:
        stored = StoredKeys(file, where=WHERE, groups=[RowGroup(rows=rows, page=page, end=page + size)])
        assert stored.count == rows
        reading, writing = os.pipe()
        os.dup2(reading, file.fileno())  # a pipe has no places to read from
        for number in (reading, writing):
            os.close(number)
        with pytest.raises(StateUnavailableError, match=f"{WHERE}: Illegal seek"):
            stored.read(0, 1)


@pytest.mark.parametrize(
    "group",
    [
        RowGroup(rows=100, page=-1, end=1700),
        RowGroup(rows=100, page=4, end=4),
        RowGroup(rows=100, page=4, end=10**9),
        RowGroup(rows=0, page=4, end=1700),
        RowGroup(rows=-5, page=4, end=1700),
        RowGroup(rows=10**9, page=4, end=1700),
        RowGroup(rows=100, page=5, end=1700),
    ],
)
def test_a_row_group_that_cannot_be_is_left_to_the_database(table: Path, group: RowGroup) -> None:
    with table.open("rb", buffering=0) as file:
        assert StoredKeys(file, where=WHERE, groups=[group]).count == 0


@pytest.mark.parametrize(
    "page", [b"", b"\x15", b"\x15\x00\x15", b"\x15\xff\xff\xff\xff\xff\xff\xff", bytes(16), b"\xff" * 16]
)
def test_a_page_without_a_header_is_left_to_the_database(tmp_path: Path, page: bytes) -> None:
    (tmp_path / "file").write_bytes(page)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        assert StoredKeys(file, where=WHERE, groups=[RowGroup(rows=1, page=0, end=len(page))]).count == 0


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_bytes_that_were_changed(workspace: Workspace, small_table: bytes, data: Any) -> None:
    """They give an error of ours, or rows: whether these are the old ones is told by their fingerprint."""
    place = data.draw(st.integers(0, 40) | st.integers(len(small_table) - 500, len(small_table) - 1))
    changed = bytearray(small_table)
    changed[place] ^= data.draw(st.integers(1, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        path.write_bytes(changed)
        try:
            rows = rows_of(workspace, path, stored_keys(workspace, path, where=WHERE))
        except KeyTableError:
            return
    assert {len(column) for column in rows} == {len(rows[0])}


@pytest.fixture(scope="module")
def small_table(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "t.parquet"
    write(workspace, path, keys_of(4_500))
    return path.read_bytes()


def test_a_file_that_is_no_table(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("00000000-0000-0000-0000-000000000001\n" * 100)
    with pytest.raises(KeyTableError):
        stored_keys(workspace, tmp_path / "t.parquet", where=WHERE)
