"""
CSV: the layout of a file by its first lines, and the query that reads it.

The query states the whole layout, so that DuckDB guesses nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.column_choice import (
    NAME_IT,
    Choice,
    Field,
    choose_each,
    looks_like_a_member,
)
from airflow_provider_audiences.members.reading.dialect import Dialect, column_numbers
from airflow_provider_audiences.members.reading.queries import literal, path_argument

if TYPE_CHECKING:
    import duckdb

_DELIMITERS = ",;|\t"
_HEAD_BYTES = 1 << 20
_SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n])"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """
    Layout of a CSV file.

    :param delimiter: character between fields.
    :param names: names of the columns from the header; numbers from 1 if the file has no header.
    :param has_header: whether the first line has the names of the columns.
    :param skipped: number of lines before the header, or before the first row if there is no header.
    """

    delimiter: str
    names: tuple[str, ...]
    has_header: bool
    skipped: int


def csv_query(
    cursor: duckdb.DuckDBPyConnection,
    path: Path,
    columns: Sequence[str | int | None],
    *,
    dialect: Dialect,
    has_tabs: bool,
    name: str,
) -> str | None:
    """
    Return the query that reads columns of a CSV file; None if the file has no lines.

    :param cursor: DuckDB cursor that finds out the delimiter where the first line does not tell it.
    :param path: the file on this machine, unpacked, with line ends of one kind.
    :param columns: names, numbers from 1, or None for the only column.
    :param dialect: what the user has said about the file.
    :param has_tabs: whether the file's name says that its delimiter is a tab.
    :param name: name of the file, for messages.
    :return: SQL with a ``?`` for the path, which selects the columns in the given order; None if the file has no lines.
    :raises InvalidInputError: no column or several fit a name, or the first line can't be read.
    """
    text, is_whole = _head(path, name)
    separator = _SEPARATOR_LINE.match(text)
    if not text[separator.end() if separator else 0 :].strip("\r\n"):
        return None
    layout = _layout(cursor, path, text, is_whole, dialect, name=name, has_tabs=has_tabs, columns=columns)
    choices = _choices(layout, columns, name)
    fields = ", ".join(f"c{number}: 'VARCHAR'" for number in range(len(layout.names)))
    reader = (
        f"read_csv(?, auto_detect = false, header = {layout.has_header}, skip = {layout.skipped}, "
        f"columns = {{{fields}}}, delim = {literal(layout.delimiter)}, {_quoting(dialect)})"
    )
    return f"SELECT {', '.join(f'c{choice.index}' for choice in choices)} FROM {reader}"


def has_escaped_quotes(path: Path) -> bool:
    """
    Return whether the beginning of a file has quotes escaped by a backslash; for a hint in a message.

    :param path: the file on this machine.
    """
    with path.open("rb") as stream:
        return b'\\"' in stream.read(_HEAD_BYTES)


def _quoting(dialect: Dialect) -> str:
    # DuckDB must not guess that lines are comments: members would be lost.
    return (
        f"quote = {literal(dialect.quote_character)}, escape = {literal(dialect.escape_character)}, comment = '', "
        "strict_mode = true, compression = 'none', hive_partitioning = false"
    )


def _head(path: Path, name: str) -> tuple[str, bool]:
    """Return the beginning of a file as text, and whether that is the whole file."""
    with path.open("rb") as stream:
        data = stream.read(_HEAD_BYTES)
        is_whole = not stream.read(1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        start, is_cut = error.start, not is_whole and len(data) - error.start < len("\U0010ffff".encode())
    else:
        return text.removeprefix(_BYTE_ORDER_MARK), is_whole
    if is_cut:
        return data[:start].decode("utf-8").removeprefix(_BYTE_ORDER_MARK), False
    line = data.count(b"\n", 0, start) + 1
    raise InvalidInputError(
        f"{name}, near line {line}: it is not UTF-8 text; nothing was sent",
        advice="Say in a FileSource with encoding= what it was written in, such as 'gbk', or save it as UTF-8.",
    )


def _layout(
    cursor: duckdb.DuckDBPyConnection,
    path: Path,
    text: str,
    is_whole: bool,
    dialect: Dialect,
    *,
    name: str,
    has_tabs: bool,
    columns: Sequence[str | int | None],
) -> _Layout:
    skipped = 0
    delimiter = dialect.delimiter or ("\t" if has_tabs else None)
    if separator := _SEPARATOR_LINE.match(text):  # as Excel writes and reads it
        delimiter = dialect.delimiter or separator[1]
        text, skipped = text[separator.end() :], 1
    if delimiter is None:
        delimiter = _delimiter_of(text, dialect, name, is_whole) or _sniffed(cursor, path, dialect, skipped)
    first, blank = _first_record(text, delimiter, dialect, name, is_whole=is_whole)
    if not dialect.header:
        # Without a header, blank lines before the first record are rows, as anywhere else.
        numbers = tuple(str(number) for number in range(1, max(1, len(first)) + 1))
        return _Layout(delimiter=delimiter, names=numbers, has_header=False, skipped=skipped)
    if columns == (None,) and len(first) == 1 and looks_like_a_member(first[0]):
        if blank:  # the blank line is the header
            return _Layout(delimiter=delimiter, names=("",), has_header=True, skipped=skipped)
        if has_tabs:  # one member a line, whatever its name says
            return _Layout(delimiter=delimiter, names=("",), has_header=False, skipped=skipped)
    return _Layout(delimiter=delimiter, names=tuple(first), has_header=True, skipped=skipped + blank)


def _choices(layout: _Layout, columns: Sequence[str | int | None], name: str) -> list[Choice]:
    if layout.has_header or columns == (None,):
        (only, *others) = layout.names or ("",)
        if not others and any(mark in only for mark in _DELIMITERS) and not looks_like_a_member(only):
            raise InvalidInputError(
                f"{name} has a header of several columns ({only!r}) and lines that differ from it; say in a FileSource "
                "what stands between fields (delimiter=), around them (quote=) and before quotes in them (escape=)"
            )
        hint = "" if others else "; say with delimiter= what stands between columns, if they are several"
        if only.startswith("'") and only.endswith("'"):
            hint = '; they are in single quotes: say quote="\'"'
        fields = [Field(name=column, kind="VARCHAR") for column in layout.names]
        how = NAME_IT if layout.has_header else f"{NAME_IT}, by its number from 1"
        names = [None if column is None else str(column) for column in columns]
        return choose_each(fields, names, name, how=how, hint=hint)
    numbers = column_numbers(columns)
    if len(set(numbers)) != len(numbers):
        raise InvalidInputError(f"{name}: column={list(columns)} names a column twice")
    for number in numbers:
        if number > len(layout.names):
            raise InvalidInputError(
                f"{name} has no column {number}: its first line has {len(layout.names)}; say with delimiter= "
                "what stands between them if they are more"
            )
    return [Choice(index=number - 1) for number in numbers]


def _first_record(text: str, delimiter: str, dialect: Dialect, name: str, *, is_whole: bool) -> tuple[list[str], int]:
    """Return the fields of the first line that is not blank, and the number of blank lines before it."""
    found = _record_within(text, delimiter, dialect, is_whole=is_whole)
    if found is None:
        raise InvalidInputError(
            f"{name}: its first line is too long for names of columns ({_HEAD_BYTES >> 20} MiB): is a quote missing?"
        )
    return found


def _record_within(text: str, delimiter: str, dialect: Dialect, *, is_whole: bool) -> tuple[list[str], int] | None:
    """Return the same as :func:`_first_record`; None if the line does not end within the text."""
    records = _records(text, delimiter, dialect)
    blank = 0
    first: list[str] = []
    try:
        for first in records:
            if first:
                break
            blank += 1
    except csv.Error:
        return None
    # If the text is cut off, the first line is complete only if another one follows it.
    return (first, blank) if is_whole or _goes_on(records) else None


def _goes_on(records: Iterator[list[str]]) -> bool:
    try:
        return next(records, None) is not None
    except csv.Error:  # there is another line; its error shows when the file is read
        return True


def _records(text: str, delimiter: str, dialect: Dialect) -> Iterator[list[str]]:
    quote, escape = dialect.quote_character, dialect.escape_character
    is_doubled = quote == escape
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        doublequote=is_doubled,
        escapechar=None if is_doubled or not escape else escape,
    )


def _delimiter_of(text: str, dialect: Dialect, name: str, is_whole: bool) -> str | None:
    """Return the delimiter of the first line; None if no character or several of them could be it."""
    records = {
        mark: _record_within(text, mark, replace(dialect, delimiter=mark), is_whole=is_whole) for mark in _DELIMITERS
    }
    if not any(records.values()):
        _first_record(text, _DELIMITERS[0], dialect, name, is_whole=is_whole)
    found = [mark for mark, record in records.items() if record and len(record[0]) > 1]
    return found[0] if len(found) == 1 else None


def _sniffed(cursor: duckdb.DuckDBPyConnection, path: Path, dialect: Dialect, skipped: int) -> str:
    """Return the delimiter that DuckDB finds by looking at more lines."""
    query = (
        f"SELECT Delimiter FROM sniff_csv(?, header = {dialect.header}, all_varchar = true, skip = {skipped}, "
        f"{_quoting(dialect)})"
    )
    (found,) = cursor.execute(query, [path_argument(path)]).fetchall()
    return str(found[0])
