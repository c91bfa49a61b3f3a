"""
Keys in Parquet files, with columns of whole numbers beside them. Keys of 16 bytes are UUIDs there, which any tool
reads; others are binary values.

DuckDB writes and reads the files. Data passes through Arrow's buffers, without a Python object for each key.
"""

from __future__ import annotations

import glob
import mmap
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb
import nanoarrow
import numpy as np
from nanoarrow.c_array_stream import CArrayStream
from numpy.typing import NDArray

from airflow_provider_audiences.exceptions import WorkspaceUnavailableError
from airflow_provider_audiences.members.failures import is_out_of_memory
from airflow_provider_audiences.members.keys.key_order import KEY_BYTES, WORD_BYTES, Keys
from airflow_provider_audiences.members.workspace import write_all

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_set import KeySet
    from airflow_provider_audiences.members.workspace import Workspace

Numbers = NDArray[np.uint32]

_PARQUET = "FORMAT parquet, COMPRESSION snappy, USE_TMP_FILE false"
_CHUNK_ROWS = 1 << 17
_NUMBER_BYTES = 4
_NUMBER = nanoarrow.c_schema(nanoarrow.uint32())


class KeyTableError(Exception):
    """A file is not one that :func:`write_key_table` wrote, or it is damaged."""


def write_key_table(
    workspace: Workspace, path: Path, keys: KeySet, *, key_column: str, numbers: Mapping[str, IO[bytes]]
) -> None:
    """
    Write keys and numbers to a Parquet file.

    :param workspace: workspace whose database writes the file.
    :param path: an existing, empty file, which is written in place.
    :param keys: the first column, in the set's order.
    :param key_column: name of that column.
    :param numbers: further columns by name: files of 4 bytes (unsigned) for each key, in the same order.
    :raises WorkspaceUnavailableError: the disk is full, or the database failed.
    """
    with workspace.new_file() as texts:
        for first in range(0, keys.count, _CHUNK_ROWS):
            write_all(texts, keys.slice(first, _CHUNK_ROWS).astype(">u8"))
        table = _Table({key_column: texts}, numbers, keys.count, keys.key_bytes)
        with workspace.database_writes() as cursor:
            cursor.register("key_table", table)
            # Into the existing file itself, as only this user may read it.
            cursor.execute(f"COPY (FROM key_table) TO ? ({_PARQUET})", [str(path)])
            cursor.unregister("key_table")


def read_key_table(
    workspace: Workspace, path: Path, columns: Sequence[str]
) -> Iterator[tuple[Keys, dict[str, Numbers]]]:
    """
    Yield the keys and numbers of a Parquet file, in parts.

    :param workspace: workspace whose database reads the file.
    :param path: path of the file on this machine.
    :param columns: names of the number columns to read.
    :raises KeyTableError: the file is damaged, or its columns are not those.
    :raises WorkspaceUnavailableError: reading needs more memory than the workspace may use.
    """
    names = ", ".join(("#1", *columns))  # the first column is the keys, whatever its name
    query = f"SELECT {names} FROM read_parquet(?)"
    try:
        with workspace.connection.cursor() as cursor:
            cursor.execute("SET arrow_lossless_conversion = true")  # UUIDs as bytes, not as text
            relation = cursor.sql(query, params=[glob.escape(str(path))])
            with nanoarrow.c_array_stream(relation) as stream:
                words = None
                for batch in stream:
                    keys, numbers = _rows_of(batch.view(), columns)
                    if words not in {None, keys.shape[1]}:
                        raise KeyTableError("keys of several lengths")
                    words = keys.shape[1]
                    yield keys, numbers
    except (duckdb.Error, RuntimeError, UnicodeDecodeError) as error:
        # nanoarrow raises RuntimeError; a damaged column name raises UnicodeDecodeError.
        failure: Exception = KeyTableError(type(error).__name__)
        if is_out_of_memory(error):
            failure = WorkspaceUnavailableError(
                "a table of members does not fit into memory", advice="Raise [audiences] memory_limit."
            )
        if isinstance(error, duckdb.InternalException | duckdb.FatalException):
            workspace.close_database()  # after an internal error, DuckDB refuses all further work
    else:
        return
    raise failure


def _rows_of(view: Any, columns: Sequence[str]) -> tuple[Keys, dict[str, Numbers]]:
    children = [view.child(index) for index in range(view.n_children)]
    keys, *numbers = children
    if any(child.storage_type != "uint32" for child in numbers):
        raise KeyTableError("columns of other types")
    if any(child.null_count for child in children):
        raise KeyTableError("rows without values")
    return _keys_of(keys), {
        name: np.frombuffer(child.buffer(1), np.uint32)[child.offset : child.offset + child.length].copy()
        for name, child in zip(columns, numbers, strict=True)
    }


def _keys_of(column: Any) -> Keys:
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


class _Table:
    """Files as an Arrow stream; each part is in memory only while DuckDB reads it."""

    def __init__(
        self, keys: Mapping[str, IO[bytes]], numbers: Mapping[str, IO[bytes]], rows: int, key_bytes: int
    ) -> None:
        self._rows = rows
        self._key_bytes = key_bytes
        self._key_type = _key_type(key_bytes)
        ((key_column, key_file),) = keys.items()
        self._keys = _MappedFile(key_file, rows * key_bytes)
        self._numbers = [_MappedFile(file, rows * _NUMBER_BYTES) for file in numbers.values()]
        self._schema = nanoarrow.c_schema(
            nanoarrow.struct({key_column: self._key_type, **dict.fromkeys(numbers, _NUMBER)})
        )

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        chunks = [self._chunk(first) for first in range(0, self._rows, _CHUNK_ROWS)]
        return CArrayStream.from_c_arrays(chunks, self._schema, validate=False).__arrow_c_stream__()

    def _chunk(self, first: int) -> Any:
        rows = min(_CHUNK_ROWS, self._rows - first)
        width = self._key_bytes
        columns = [_column(self._key_type, rows, self._keys.part(first * width, rows * width))]
        columns += (
            _column(_NUMBER, rows, file.part(first * _NUMBER_BYTES, rows * _NUMBER_BYTES)) for file in self._numbers
        )
        return nanoarrow.c_array_from_buffers(self._schema, rows, [None], children=columns, validation_level="none")


def _key_type(key_bytes: int) -> Any:
    binary = nanoarrow.fixed_size_binary(key_bytes)
    return nanoarrow.c_schema(nanoarrow.extension_type(binary, "arrow.uuid") if key_bytes == KEY_BYTES else binary)


def _column(schema: Any, rows: int, data: NDArray[np.uint8]) -> Any:
    # nanoarrow's validation expects a wrong width of fixed-size binary values.
    return nanoarrow.c_array_from_buffers(schema, rows, [None, data], validation_level="none")


class _MappedFile:
    """
    A memory-mapped file, of which parts that are no longer used leave memory again.

    The file is mapped once as a whole: each map takes a file descriptor, and a process may have about a thousand.

    :param file: file whose content does not change meanwhile.
    :param size: size of the file in bytes.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else None

    def part(self, first: int, count: int) -> NDArray[np.uint8]:
        """
        Return some of the bytes without copying them; their memory is released when the array is deleted.

        :param first: offset of the first byte.
        :param count: number of bytes, at least one.
        """
        if self._map is None:
            raise AssertionError("an empty file has no parts")
        part = np.frombuffer(self._map, np.uint8, count, first)
        page = first - first % mmap.PAGESIZE  # a neighbouring part in use loads its page again
        weakref.finalize(part, self._map.madvise, mmap.MADV_DONTNEED, page, first + count - page).atexit = False
        return part
