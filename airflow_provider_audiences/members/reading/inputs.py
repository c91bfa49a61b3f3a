"""
What staging takes: files, values, a data frame or tables.

Whatever an operator's ``source`` is, the face resolves it to one of these; nothing here knows Airflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect

FileFormat = Literal["text", "csv", "jsonl", "parquet"]


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """
    A file to read members from.

    :param name: what may be shown of its address: no password, no query. Its ending tells format and compression.
    :param open: opens it for reading in binary mode, from its beginning; may be called more than once.
    :param local_path: where it lies on this machine; None if it lies in a store.
    :param size_bytes: how large it is, packed as it lies there; None if that is not known.
    """

    name: str
    open: Callable[[], IO[bytes]] = field(repr=False)
    local_path: Path | None = field(default=None, repr=False)
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class FilesInput:
    """
    Members in files.

    :param files: read in this order; at least one, all of one format.
    :param file_format: ``text`` (one member a line), ``csv``, ``jsonl`` or ``parquet``; None to go by the names'
        endings, and text where they tell nothing.
    :param column: which column has the members, or a list of columns that have; a name, or a number from 1 if a CSV
        file has no header; None if there is only one. Not for text.
    :param dialect: what text, CSV and JSON lines look like.
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
        """The columns that have members; one that is None for the only one."""
        if isinstance(self.column, list | tuple):
            return tuple(self.column)
        return (self.column,)  # type: ignore[return-value] # no sequence


@dataclass(frozen=True, kw_only=True)
class ValuesInput:
    """
    Members as Python values, in chunks so that a cursor can hand them over as they come.

    :param chunks: each a sequence of text, bytes, UUIDs, numbers where members are numbers, or None (which counts as
        blank).
    :param name: of the source, in messages.
    """

    chunks: Iterable[Sequence[object]] = field(repr=False)
    name: str = "source"


@dataclass(frozen=True, kw_only=True)
class FrameInput:
    """
    Members in a data frame or an array of pandas, Polars or Arrow.

    :param frame: the data frame, of one column, or the array.
    """

    frame: Any = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """
    The current snapshot of a table.

    :param name: what may be shown of its address.
    :param empty: Arrow data (``__arrow_c_stream__``) with all of its columns and no rows.
    :param read: takes a column's name and yields its rows piece by piece, each Arrow data of that one column; may be
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
    :param columns: which columns have members; one that is None for the only one.
    :param null_values: texts that mean "nothing": they count as blank.
    """

    tables: Sequence[SourceTable]
    columns: tuple[str | int | None, ...] = (None,)
    null_values: tuple[str, ...] = ()


MemberInput = FilesInput | ValuesInput | FrameInput | TableInput
