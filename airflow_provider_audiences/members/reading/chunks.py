"""Reading of an input into chunks of texts; each chunk knows its place in the source, for messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import TextColumn, column_of_lines, column_of_values
from airflow_provider_audiences.members.key_width import KEY_BYTES
from airflow_provider_audiences.members.reading.inputs import (
    FileFormat,
    FilesInput,
    FrameInput,
    MemberInput,
    SourceFile,
    TableInput,
    ValuesInput,
)
from airflow_provider_audiences.members.reading.null_values import without_null_values
from airflow_provider_audiences.members.reading.text_files import text_blocks
from airflow_provider_audiences.members.workspace import Workspace

_COMPRESSIONS = (".gz", ".zst")
_MAX_TEXT_BYTES = 128
"""A line that is a member is shorter than this, including its line end, also in UTF-16."""

_TAB_ENDINGS = (".tsv", ".tab")
_FORMATS: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChunk:
    """
    Texts that follow each other in a source.

    :param column: the texts, one in each row.
    :param source: name of the file or table; ``source`` for values and data frames.
    :param unit: word for one text of the source: line, row or item.
    :param first: number of the first text in the source, counted from 1.
    :param member_column: name of the column that the texts are from; None if the source has one column of members.
    """

    column: TextColumn
    source: str
    unit: str
    first: int
    member_column: str | None = None

    def place(self, row: int) -> str:
        """
        Return the place of a text, for messages.

        :param row: row in the chunk, counted from 0.
        """
        column = "" if self.member_column is None else f", column {self.member_column}"
        return f"{self.source}, {self.unit} {self.first + row}{column}"


def read_members(source: MemberInput, *, workspace: Workspace, takes_numbers: bool = False) -> Iterator[MemberChunk]:
    """
    Yield an input's texts in chunks, in their order.

    :param source: files, values, a data frame or tables.
    :param workspace: workspace whose database reads tables.
    :param takes_numbers: whether members may be numbers, in a list or from a database.
    :raises InvalidInputError: the input is damaged, has another format, or has values that can't be members.
    """
    if isinstance(source, ValuesInput):
        return _of_values(source, takes_numbers=takes_numbers)
    if isinstance(source, FrameInput):
        from airflow_provider_audiences.members.reading.tables import columns_of_frame  # takes its time to load

        return _numbered(((column,) for column in columns_of_frame(workspace, source)), source=source.name, unit="row")
    if isinstance(source, TableInput):
        return _of_tables(source, workspace)
    return _of_files(source, workspace)


def disk_bytes_of(source: MemberInput) -> int:
    """
    Return how many bytes reading an input will write to the temporary folder at least; 0 if that is not known.

    :param source: any input; only the sizes of files are known before they are read.
    """
    if not isinstance(source, FilesInput):
        return 0
    is_text = _common_format(source) == "text"
    sizes = [
        file.size_bytes or 0
        for file in source.files
        if (_is_plain(file) if is_text else file.local_path is None or not _is_plain(file))
    ]
    # For text, each member's key is written; for tables, a copy of each file that DuckDB can't read as it is.
    return sum(sizes) // _MAX_TEXT_BYTES * KEY_BYTES if is_text else max(sizes, default=0)


def _is_plain(file: SourceFile) -> bool:
    return not file.name.lower().endswith(_COMPRESSIONS)


def format_of(name: str) -> FileFormat:
    """
    Return a file's format by the ending of its name; ``text`` if the ending is not known.

    :param name: name of the file, with or without folders; ``.gz`` and ``.zst`` at its end are ignored.
    """
    stem = _stem(name)
    return next((found for ending, found in _FORMATS.items() if stem.endswith(ending)), "text")


def _stem(name: str) -> str:
    """Return a file's name in lower case, without ``.gz`` and ``.zst`` at its end."""
    stem = name.lower()
    for ending in _COMPRESSIONS:
        stem = stem.removesuffix(ending)
    return stem


def _of_values(source: ValuesInput, *, takes_numbers: bool) -> Iterator[MemberChunk]:
    first = 1
    for values in source.chunks:
        column = column_of_values(values, name=source.name, first_row=first, takes_numbers=takes_numbers)
        yield MemberChunk(column=column, source=source.name, unit="item", first=first)
        first += len(column)


def _of_files(source: FilesInput, workspace: Workspace) -> Iterator[MemberChunk]:
    file_format = _common_format(source)
    name = source.files[0].name if source.files else "source"
    if file_format == "text" and source.column is not None:
        raise InvalidInputError(
            f"column={source.column!r} is given, and {name} is read as text, which has no columns: "
            "leave column out, or say with file_format what it is"
        )
    source.dialect.refuse_misfit(file_format, name=name)
    null_values = source.dialect.null_values
    for file in source.files:
        parts = (
            _text_parts(file, source, workspace)
            if file_format == "text"
            else _table_parts(file, file_format, source, workspace)
        )
        if null_values:
            parts = _with_nulls(parts, null_values)
        unit = "line" if file_format == "text" else "row"
        yield from _numbered(parts, source=file.name, unit=unit, columns=source.columns)


def _text_parts(file: SourceFile, source: FilesInput, workspace: Workspace) -> Iterator[tuple[TextColumn]]:
    with ExitStack() as stack:
        stream = stack.enter_context(file.open())
        window = workspace.window_bytes
        for block in text_blocks(stream, name=file.name, encoding=source.dialect.encoding, most_window_bytes=window):
            yield (column_of_lines(block),)


def _table_parts(
    file: SourceFile, file_format: FileFormat, source: FilesInput, workspace: Workspace
) -> Iterator[tuple[TextColumn, ...]]:
    from airflow_provider_audiences.members.reading.table_files import TableWish, columns_of_file  # takes its time

    wish = TableWish(file_format=file_format, columns=source.columns, dialect=source.dialect)
    # If the user gives the format, the name's ending does not decide about the delimiter.
    has_tabs = source.file_format is None and _stem(file.name).endswith(_TAB_ENDINGS)
    return columns_of_file(workspace, file, wish, has_tabs=has_tabs)


def _with_nulls(
    parts: Iterator[tuple[TextColumn, ...]], null_values: tuple[str, ...]
) -> Iterator[tuple[TextColumn, ...]]:
    return (tuple(without_null_values(column, null_values) for column in part) for part in parts)


def _of_tables(source: TableInput, workspace: Workspace) -> Iterator[MemberChunk]:
    from airflow_provider_audiences.members.reading.tables import columns_of_table  # takes its time to load

    for table in source.tables:
        for wanted in source.columns:  # each read by itself, from the same snapshot
            column = None if wanted is None else str(wanted)
            found = columns_of_table(workspace, table, column=column)
            parts: Iterator[tuple[TextColumn, ...]] = ((texts,) for texts in found)
            if source.null_values:
                parts = _with_nulls(parts, source.null_values)
            for chunk in _numbered(parts, source=table.name, unit="row"):
                yield chunk if len(source.columns) == 1 else replace(chunk, member_column=column)


def _common_format(source: FilesInput) -> FileFormat:
    if source.file_format is not None:
        return source.file_format
    examples = {format_of(file.name): file.name for file in source.files}
    if len(examples) > 1:
        (one, one_name), (other, other_name), *_ = examples.items()
        raise InvalidInputError(
            f"source has files of more than one format: {one_name} ({one}) and {other_name} ({other}); "
            "give a pattern that fits one of them, or say with a FileSource's file_format what they are"
        )
    return next(iter(examples), "text")


def _numbered(
    parts: Iterable[tuple[TextColumn, ...]],
    *,
    source: str,
    unit: str,
    columns: Sequence[str | int | None] = (None,),
) -> Iterator[MemberChunk]:
    first = 1
    names = [str(column) for column in columns] if len(columns) > 1 else [None]
    for part in parts:
        for name, column in zip(names, part, strict=True):
            yield MemberChunk(column=column, source=source, unit=unit, first=first, member_column=name)
        first += len(part[0])
