"""
The inputs of staging: files, values, a data frame, or tables.

Operators turn their ``source`` argument into one of these; nothing here knows Airflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect

if TYPE_CHECKING:
    from airflow_provider_audiences.members.columns import TextColumn

FileFormat = Literal["text", "csv", "jsonl", "parquet"]


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """
    A file to read members from.

    :param name: address that may be shown, without password and query; its ending tells format and compression.
    :param open: opens the file for reading in binary mode, from its beginning; it may be called more than once.
    :param local_path: path on this machine; None if the file is in a store.
    :param size_bytes: size of the file as it is stored, compressed or not; None if that is not known.
    """

    name: str
    open: Callable[[], IO[bytes]] = field(repr=False)
    local_path: Path | None = field(default=None, repr=False)
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class FilesInput:
    """
    Members in files.

    :param files: files, read in this order; at least one, all of one format.
    :param file_format: ``text`` (one member a line), ``csv``, ``jsonl`` or ``parquet``; None to decide by the endings
        of the names, with ``text`` for unknown endings.
    :param column: column or list of columns with members: names, or numbers from 1 if a CSV file has no header; None
        for the only column. Not for text.
    :param dialect: form of text, CSV and JSON lines.
    """

    files: Sequence[SourceFile]
    file_format: FileFormat | None = None
    column: str | int | Sequence[str | int] | None = None
    dialect: Dialect = field(default_factory=Dialect)

    def __post_init__(self) -> None:
        if self.file_format is not None and self.file_format not in get_args(FileFormat):
            raise InvalidInputError(
                f"file_format must be one of {', '.join(get_args(FileFormat))}, not {self.file_format!r}"
            )
        if isinstance(self.column, list | tuple) and not self.column:
            raise InvalidInputError("column is an empty list: name at least one, or leave it out")
        for column in self.columns if self.column is not None else ():
            if isinstance(column, bool) or not isinstance(column, str | int):
                raise InvalidInputError(f"column must be the name of one, not {type(column).__name__}")
            if isinstance(column, int) and self.dialect.header:
                raise InvalidInputError(
                    f"column must be the name of one, not {column}: a number goes with header=False"
                )
        if len(set(self.columns)) != len(self.columns):
            raise InvalidInputError(f"column={list(self.columns)} names one twice")

    @property
    def columns(self) -> tuple[str | int | None, ...]:
        """The columns with members; ``(None,)`` for the only column."""
        if isinstance(self.column, list | tuple):
            return tuple(self.column)
        return (self.column,)  # type: ignore[return-value] # no sequence


@dataclass(frozen=True, kw_only=True)
class ValuesInput:
    """
    Members as Python values, in chunks, so that a database cursor can deliver them while they are read.

    :param chunks: sequences of text, bytes, UUIDs, None (which counts as blank), and numbers where members are numbers;
        or columns, where a driver delivers texts without a Python object for each.
    :param name: name of the source, for messages; default ``source``.
    """

    chunks: Iterable[Sequence[object] | TextColumn] = field(repr=False)
    name: str = "source"


@dataclass(frozen=True, kw_only=True)
class FrameInput:
    """
    Members in a data frame or an array of pandas, Polars or Arrow.

    :param frame: data frame with one column, or an array.
    :param name: name for messages.
    """

    frame: Any = field(repr=False)
    name: str = "source"


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """
    The current snapshot of a table.

    :param name: address of the table that may be shown, without secrets.
    :param empty: Arrow data (``__arrow_c_stream__``) with all columns of the table and no rows.
    :param read: takes the name of a column and yields its rows in pieces, each as Arrow data of that column; it may be
        called more than once.
    """

    name: str
    empty: Any = field(repr=False)
    read: Callable[[str], Iterator[Any]] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TableInput:
    """
    Members in tables of a format that keeps its snapshots itself, such as Delta Lake and Iceberg.

    :param tables: read in this order; at least one.
    :param columns: names of the columns with members, the same for all tables; ``(None,)`` for the only column.
    :param null_values: texts that stand for "nothing" and count as blank.
    """

    tables: Sequence[SourceTable]
    columns: tuple[str | int | None, ...] = (None,)
    null_values: tuple[str, ...] = ()


MemberInput = FilesInput | ValuesInput | FrameInput | TableInput
