"""From an input to chunks of texts, each with its place, so that whatever is found can be pointed at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import TextColumn, column_of_lines, column_of_values
from airflow_provider_audiences.members.reading.inputs import (
    FileFormat,
    FilesInput,
    FrameInput,
    MemberInput,
    TableInput,
    ValuesInput,
)
from airflow_provider_audiences.members.reading.text_files import text_blocks
from airflow_provider_audiences.members.workspace import Workspace

_COMPRESSIONS = (".gz", ".zst")
_FORMATS: dict[str, FileFormat] = {
    ".csv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChunk:
    """
    Texts that stand one after the other in a source.

    :param column: the texts.
    :param source: name of the file, or ``source``.
    :param unit: what a text is there: a line, a row or an item.
    :param first: number of the first one, counted from 1.
    """

    column: TextColumn
    source: str
    unit: str
    first: int

    def place(self, row: int) -> str:
        """
        Return where a text stands, for messages.

        :param row: counted from 0 within the chunk.
        """
        return f"{self.source}, {self.unit} {self.first + row}"


def read_members(source: MemberInput, *, workspace: Workspace, takes_numbers: bool = False) -> Iterator[MemberChunk]:
    """
    Yield an input's texts in their order.

    :param source: files, values, a data frame or tables.
    :param workspace: has the database that reads tables.
    :param takes_numbers: whether members may come as numbers, in a list or from a database.
    :raises InvalidInputError: something in it can't be read as members.
    """
    if isinstance(source, ValuesInput):
        return _of_values(source, takes_numbers=takes_numbers)
    if isinstance(source, FrameInput):
        from airflow_provider_audiences.members.reading.tables import columns_of_frame  # takes its time to load

        return _numbered(columns_of_frame(workspace, source), source="source", unit="row")
    if isinstance(source, TableInput):
        return _of_tables(source, workspace)
    return _of_files(source, workspace)


def format_of(name: str) -> FileFormat:
    """
    Return a file's format by the ending of its name; text if that tells nothing.

    :param name: with or without folders.
    """
    stem = name.lower()
    for ending in _COMPRESSIONS:
        stem = stem.removesuffix(ending)
    return next((found for ending, found in _FORMATS.items() if stem.endswith(ending)), "text")


def _of_values(source: ValuesInput, *, takes_numbers: bool) -> Iterator[MemberChunk]:
    first = 1
    for values in source.chunks:
        column = column_of_values(values, name=source.name, first_row=first, takes_numbers=takes_numbers)
        yield MemberChunk(column=column, source=source.name, unit="item", first=first)
        first += len(column)


def _of_files(source: FilesInput, workspace: Workspace) -> Iterator[MemberChunk]:
    file_format = _common_format(source)
    if file_format == "text" and source.column is not None:
        raise InvalidInputError(
            f"column={source.column!r} is given, and {source.files[0].name} is read as text, which has no columns: "
            "leave column out, or say with file_format what it is"
        )
    for file in source.files:
        if file_format == "text":
            with ExitStack() as stack:
                blocks = text_blocks(stack.enter_context(file.open()), name=file.name)
                yield from _numbered(map(column_of_lines, blocks), source=file.name, unit="line")
        else:
            from airflow_provider_audiences.members.reading.tables import columns_of_file  # takes its time to load

            columns = columns_of_file(workspace, file, file_format=file_format, column=source.column)
            yield from _numbered(columns, source=file.name, unit="row")


def _of_tables(source: TableInput, workspace: Workspace) -> Iterator[MemberChunk]:
    from airflow_provider_audiences.members.reading.tables import columns_of_table  # takes its time to load

    for table in source.tables:
        columns = columns_of_table(workspace, table, column=source.column)
        yield from _numbered(columns, source=table.name, unit="row")


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


def _numbered(columns: Iterator[TextColumn], *, source: str, unit: str) -> Iterator[MemberChunk]:
    first = 1
    for column in columns:
        yield MemberChunk(column=column, source=source, unit=unit, first=first)
        first += len(column)
