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
from airflow_provider_audiences.members.reading.queries import literal, path_argument, quoted, text_or_uuid
from airflow_provider_audiences.members.values import UUID_BYTES

if TYPE_CHECKING:
    import duckdb

_READER = "read_parquet(?, binary_as_string = false, hive_partitioning = false)"


def parquet_query(cursor: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str | None], *, name: str) -> str:
    """
    Return the query that reads columns of a Parquet file.

    :param cursor: DuckDB cursor that finds out which columns there are, and looks at binary values.
    :param path: the file on this machine.
    :param columns: names, paths with dots into structs, or None for the only column.
    :param name: name of the file, for messages.
    :return: SQL with a ``?`` for the path, which selects the columns as text or UUIDs in the given order.
    :raises InvalidInputError: no column or several fit a name.
    """
    described = cursor.sql(f"SELECT * FROM {_READER}", params=[path_argument(path)])
    fields = fields_of(described.columns, described.types)
    texts = []
    for choice in choose_each(fields, columns, name):
        refuse_renamed(fields, choice, name)
        value = quoted(fields[choice.index].name)
        for field in choice.below:
            value = f"struct_extract({value}, {literal(field)})"
        texts.append(_of_binary(cursor, path, value) if choice.kind == "BLOB" else text_or_uuid(value, choice.kind))
    return f"SELECT {', '.join(texts)} FROM {_READER}"


def _of_binary(cursor: duckdb.DuckDBPyConnection, path: Path, value: str) -> str:
    """
    Return SQL for binary values: as UUIDs if each has 16 bytes and is not text itself, otherwise as text.

    Most binary columns hold text, as their first value shows; only for the others, all values are looked at.
    """
    where = f"FROM {_READER} WHERE {value} IS NOT NULL"
    first = cursor.execute(f"SELECT octet_length({value}) {where} LIMIT 1", [path_argument(path)]).fetchall()
    if first == [(UUID_BYTES,)]:
        length = f"octet_length({value})"
        found = cursor.execute(
            f"SELECT min({length}), max({length}), bool_and(TRY(decode({value})) IS NOT NULL) {where}",
            [path_argument(path)],
        ).fetchall()
        if found == [(UUID_BYTES, UUID_BYTES, False)]:
            return f"CAST({value} AS UUID)"
    return f"decode({value})"
