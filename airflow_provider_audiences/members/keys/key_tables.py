"""
Keys in Parquet files, with columns of whole numbers beside them. Keys of 16 bytes are UUIDs there, which any tool
reads; others are binary values.

DuckDB writes and reads the files. Data passes through Arrow's buffers, without a Python object for each key.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import nanoarrow
import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.exceptions import WorkspaceUnavailableError
from airflow_provider_audiences.members.failures import failure_of_reading, is_out_of_memory
from airflow_provider_audiences.members.key_width import KEY_BYTES, WORD_BYTES
from airflow_provider_audiences.members.keys.arrow_stream import PulledTable
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.keys.stored_keys import RowGroup, StoredKeys
from airflow_provider_audiences.members.threads import THREADS

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace

Numbers = NDArray[np.uint32]

# Random keys can't be compressed, and numbers become small by their dictionaries alone. A row group has few distinct
# numbers: DuckDB gives up the keys' dictionary early if it need not look for many.
_PARQUET = "FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 4096, USE_TMP_FILE false"
_PIECE_ROWS = 1 << 17
_NUMBER = nanoarrow.c_schema(nanoarrow.uint32())


_ROW_GROUPS = """
    SELECT
        encodings = 'PLAIN' AND type = 'FIXED_LEN_BYTE_ARRAY', row_group_num_rows, data_page_offset,
        total_compressed_size
    FROM parquet_metadata(?) WHERE column_id = 0 ORDER BY row_group_id
"""


class KeyTableError(Exception):
    """A file is not one that :func:`write_key_table` wrote, or it is damaged."""


def write_key_table(
    workspace: Workspace,
    path: Path,
    rows: Iterator[tuple[Keys, Sequence[Numbers]]],
    *,
    key_column: str,
    number_columns: Sequence[str] = (),
) -> None:
    """
    Write keys and numbers to a Parquet file, piece by piece as they come.

    :param workspace: workspace whose database writes the file.
    :param path: an existing, empty file, which is written in place.
    :param rows: yields pieces of the table: keys, and for each number column as many numbers. An error that it raises
        ends the writing, and is raised here.
    :param key_column: name of the first column, the keys.
    :param number_columns: names of the further columns.
    :raises OSError: the disk of the file is full.
    :raises WorkspaceUnavailableError: the temporary folder is full, or the database failed.
    """
    columns = _Columns(key_column, number_columns, workspace.key_bytes)
    table = PulledTable(columns.schema, (columns.array(keys, numbers) for keys, numbers in rows if len(keys)))
    # Signals raise errors in the main thread only. In a call by DuckDB they would be lost, so another thread has those.
    with workspace.database_writes(path) as cursor, ThreadPoolExecutor(1, "audiences-table") as thread:
        thread.submit(int).result()  # a signal while the thread begins would leave it to itself, so it has no work yet
        try:
            thread.submit(_copy, cursor, table, path).result()
        except Exception:
            if table.failure is None:
                raise
        except BaseException:
            table.end()
            raise
    if table.failure is not None:
        raise table.failure
    if not table.has_ended:
        raise WorkspaceUnavailableError("a table of members was not written to its end", advice="Try again.")


def _copy(cursor: duckdb.DuckDBPyConnection, table: PulledTable, path: Path) -> None:
    cursor.register("key_table", table)
    try:
        # One thread of DuckDB writes one row group after the other, in order; several would have to put them in order,
        # which takes a third more work and more memory. The pieces are made by threads of their own.
        cursor.execute("SET threads = 1")
        # Into the existing file itself, as only this user may read it.
        cursor.execute(f"COPY (FROM key_table) TO ? ({_PARQUET})", [str(path)])
    finally:
        cursor.unregister("key_table")
        cursor.execute(f"SET threads = {THREADS}")


def stored_keys(workspace: Workspace, path: Path, *, where: str) -> StoredKeys:
    """
    Return the first keys of a Parquet file, as far as they can be read from it without the database.

    :param workspace: workspace that keeps the file open until it ends; the path is not needed any more.
    :param path: path of the file on this machine.
    :param where: address of the file, for messages.
    :raises KeyTableError: the file is damaged.
    :raises StateUnavailableError: the file can't be read.
    """
    groups: list[RowGroup] = []
    if workspace.key_bytes == KEY_BYTES:
        with _reading(workspace) as cursor:
            found = cursor.execute(_ROW_GROUPS, [glob.escape(str(path))]).fetchall()
        for is_plain, rows, page, size in found:
            if not is_plain:
                break
            groups.append(RowGroup(rows=rows, page=page, end=page + size))
    return StoredKeys(workspace.open_file(path), where=where, groups=groups)


def read_key_table(
    workspace: Workspace, path: Path, columns: Sequence[str], *, stored: StoredKeys | None = None
) -> Iterator[tuple[Keys, dict[str, Numbers]]]:
    """
    Yield the keys and numbers of a Parquet file, in parts.

    :param workspace: workspace whose database reads the file.
    :param path: path of the file on this machine.
    :param columns: names of the number columns to read.
    :param stored: keys of the file that need not be decoded, as :func:`stored_keys` returned them; None for none.
    :raises KeyTableError: the file is damaged, or its columns are not those.
    :raises StateUnavailableError: the file can't be read, or was changed.
    :raises WorkspaceUnavailableError: reading needs more memory than the workspace may use.
    """
    first = stored.count if stored else 0
    if stored and first:
        yield from _beside_stored(workspace, path, columns, stored)
    # The first column is the keys, whatever its name.
    query = f"SELECT {', '.join(('#1', *columns))} FROM read_parquet(?, file_row_number = true)"
    words = None
    for view in _batches(workspace, path, f"{query} WHERE file_row_number >= {first}" if first else query):
        key_column, *others = (view.child(index) for index in range(view.n_children))
        keys, numbers = _keys_of(key_column), _numbers_of(others, columns)
        if words not in {None, keys.shape[1]}:
            raise KeyTableError("keys of several lengths")
        words = keys.shape[1]
        yield keys, numbers


def _beside_stored(
    workspace: Workspace, path: Path, columns: Sequence[str], stored: StoredKeys
) -> Iterator[tuple[Keys, dict[str, Numbers]]]:
    """Yield keys that are stored as they are, and the numbers beside them."""
    first = 0
    if columns:
        names = ", ".join(columns)
        query = f"SELECT {names} FROM read_parquet(?, file_row_number = true) WHERE file_row_number < {stored.count}"
        for view in _batches(workspace, path, query):
            numbers = _numbers_of([view.child(index) for index in range(view.n_children)], columns)
            if first + view.length > stored.count:
                break
            yield stored.read(first, view.length), numbers
            first += view.length
        if first != stored.count:
            raise KeyTableError("columns of several lengths")
    while first < stored.count:
        rows = min(_PIECE_ROWS, stored.count - first)
        yield stored.read(first, rows), {}
        first += rows


def _batches(workspace: Workspace, path: Path, query: str) -> Iterator[Any]:
    """Yield what a query returns of a file, as views of Arrow arrays."""
    with _reading(workspace) as cursor:
        relation = cursor.sql(query, params=[glob.escape(str(path))])
        with nanoarrow.c_array_stream(relation) as stream:
            for batch in stream:
                yield batch.view()


@contextmanager
def _reading(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a cursor for a block that reads a file, whose errors become those of this module."""
    try:
        with workspace.connection.cursor() as cursor:
            yield cursor
    except (duckdb.Error, RuntimeError, UnicodeDecodeError) as error:
        # nanoarrow raises RuntimeError; a damaged column name raises UnicodeDecodeError.
        failure = failure_of_reading(error) or KeyTableError(type(error).__name__)
        if is_out_of_memory(error):
            failure = WorkspaceUnavailableError(
                "a table of members does not fit into memory", advice="Raise [audiences] memory_limit."
            )
        if isinstance(error, duckdb.InternalException | duckdb.FatalException):
            workspace.close_database()  # after an internal error, DuckDB refuses all further work
    else:
        return
    raise failure


def _numbers_of(children: Sequence[Any], columns: Sequence[str]) -> dict[str, Numbers]:
    if any(child.storage_type != "uint32" for child in children):
        raise KeyTableError("columns of other types")
    if any(child.null_count for child in children):
        raise KeyTableError("rows without values")
    return {
        name: np.frombuffer(child.buffer(1), np.uint32)[child.offset : child.offset + child.length].copy()
        for name, child in zip(columns, children, strict=True)
    }


def _keys_of(column: Any) -> Keys:
    if column.null_count:
        raise KeyTableError("rows without values")
    first, end = column.offset, column.offset + column.length
    if column.storage_type == "fixed_size_binary":  # UUIDs
        key_bytes = KEY_BYTES
        data = np.frombuffer(column.buffer(1), np.uint8)[first * key_bytes : end * key_bytes]
    elif column.storage_type == "binary":
        offsets = np.frombuffer(column.buffer(1), np.int32)[first : end + 1]
        lengths = np.unique(np.diff(offsets))
        if len(lengths) != 1 or not lengths[0] or lengths[0] % WORD_BYTES:
            raise KeyTableError("keys of several lengths")
        key_bytes = int(lengths[0])
        if key_bytes == KEY_BYTES:  # they would have been written as UUIDs
            raise KeyTableError("columns of other types")
        data = np.frombuffer(column.buffer(2), np.uint8)[offsets[0] : offsets[-1]]
    else:
        raise KeyTableError("columns of other types")
    return data.view(">u8").astype(np.uint64).reshape(-1, key_bytes // WORD_BYTES)


class _Columns:
    """Makes Arrow arrays of keys and numbers; the keys as big-endian bytes, which is the form of UUIDs."""

    def __init__(self, key_column: str, number_columns: Sequence[str], key_bytes: int) -> None:
        binary = nanoarrow.fixed_size_binary(key_bytes)
        is_uuid = key_bytes == KEY_BYTES
        self._key = nanoarrow.c_schema(nanoarrow.extension_type(binary, "arrow.uuid") if is_uuid else binary)
        columns = {key_column: self._key, **dict.fromkeys(number_columns, _NUMBER)}
        self.schema = nanoarrow.c_schema(nanoarrow.struct(columns))

    def array(self, keys: Keys, numbers: Sequence[Numbers]) -> Any:
        """Return one piece of the table."""
        columns = [_column(self._key, len(keys), keys.astype(">u8").view(np.uint8).reshape(-1))]
        columns += (_column(_NUMBER, len(keys), column) for column in numbers)
        return nanoarrow.c_array_from_buffers(self.schema, len(keys), [None], children=columns, validation_level="none")


def _column(schema: Any, rows: int, data: NDArray[Any]) -> Any:
    # nanoarrow's validation expects a wrong width of fixed-size binary values.
    return nanoarrow.c_array_from_buffers(schema, rows, [None, data], validation_level="none")
