"""Parquet: columns, fields of structs, and binary values that are UUIDs or text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_audiences.members.reading.column_choice import (
    choose_each,
    fields_of,
    refuse_renamed,
)
from airflow_provider_audiences.members.reading.queries import literal, path_argument, quoted

if TYPE_CHECKING:
    import duckdb

_READER = "read_parquet(?, binary_as_string = false, hive_partitioning = false)"
_UUID_BYTES = 16


def parquet_query(cursor: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str | None], *, name: str) -> str:
    """
    Return what reads columns of a Parquet file.

    :param cursor: looks which columns there are, and at binary ones.
    :param path: where the file lies.
    :param columns: names, paths with dots into structs, or None for the only one.
    :param name: of the file, for messages.
    :return: SQL with a ``?`` for the path, and a column of text for each that is wanted.
    :raises InvalidInputError: no column or several could be meant.
    """
    described = cursor.sql(f"SELECT * FROM {_READER}", params=[path_argument(path)])
    fields = fields_of(described.columns, described.types)
    texts = []
    for choice in choose_each(fields, columns, name):
        refuse_renamed(fields, choice, name)
        value = quoted(fields[choice.index].name)
        for field in choice.below:
            value = f"struct_extract({value}, {literal(field)})"
        texts.append(_text_of_binary(cursor, path, value) if choice.kind == "BLOB" else f"CAST({value} AS VARCHAR)")
    return f"SELECT {', '.join(texts)} FROM {_READER}"


def _text_of_binary(cursor: duckdb.DuckDBPyConnection, path: Path, value: str) -> str:
    """
    Return what makes text of binary values: UUIDs if each has 16 bytes, and they are no text themselves.

    Most binary columns hold text, which their first value tells; only of others all values are looked at.
    """
    where = f"FROM {_READER} WHERE {value} IS NOT NULL"
    first = cursor.execute(f"SELECT octet_length({value}) {where} LIMIT 1", [path_argument(path)]).fetchall()
    if first == [(_UUID_BYTES,)]:
        length = f"octet_length({value})"
        found = cursor.execute(
            f"SELECT min({length}), max({length}), bool_and(TRY(decode({value})) IS NOT NULL) {where}",
            [path_argument(path)],
        ).fetchall()
        if found == [(_UUID_BYTES, _UUID_BYTES, False)]:
            return f"CAST(CAST(lower(hex({value})) AS UUID) AS VARCHAR)"
    return f"decode({value})"
