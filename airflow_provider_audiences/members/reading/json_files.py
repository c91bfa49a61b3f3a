"""JSON: one object a line, or one array of objects; keys take the place of columns."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.column_choice import (
    Choice,
    Field,
    choose_each,
    fields_of,
    refuse_renamed,
)
from airflow_provider_audiences.members.reading.queries import literal, path_argument, quoted
from airflow_provider_audiences.members.reading.tables import too_deep

if TYPE_CHECKING:
    import duckdb

_END_BYTES = 1 << 12
_HEAD_BYTES = 2 << 20
_KEY = re.compile(rb'"((?:[^"\\]|\\.){1,1000})"\s*:')
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPENING, _CLOSING = np.frombuffer(b"[{", np.uint8), np.frombuffer(b"]}", np.uint8)
_MAX_DEPTH = 1_000
_MAX_KEYS = 10_000
"""Most keys of a file: each takes DuckDB memory and time, whatever its values are."""


def json_query(
    cursor: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[str | None], *, name: str
) -> str | None:
    """
    Return the query that reads keys of a JSON file; None if the file has no objects.

    :param cursor: DuckDB cursor that finds out which keys there are.
    :param path: the file on this machine, unpacked, without a byte order mark.
    :param columns: keys, paths with dots into objects, or None for the only key.
    :param name: name of the file, for messages.
    :return: SQL with a ``?`` for the path, which selects the keys in the given order; None if the file has no objects.
    :raises InvalidInputError: no key or several fit a name, there are too many keys, or an array is cut off.
    """
    first, last = _ends(path)
    if not first or (first.startswith(b"[") and first.removeprefix(b"[").strip() == b"]"):
        return None
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    _refuse_many_keys(len(set(_KEY.findall(head))), name)
    _refuse_depth(head, name)
    is_array = first.startswith(b"[")
    if is_array and not last.endswith(b"]"):  # DuckDB takes some that break off for whole
        raise InvalidInputError(f"{name} is damaged: its JSON array breaks off, or something follows it")
    # All lines are sampled: keys that first occur in late lines, and their members, would be lost otherwise.
    reader = (
        f"read_json(?, format = '{'array' if is_array else 'newline_delimited'}', compression = 'uncompressed', "
        "map_inference_threshold = -1, sample_size = -1"
    )
    described = cursor.sql(f"SELECT * FROM {reader})", params=[path_argument(path)])
    fields = fields_of(described.columns, described.types)
    _refuse_many_keys(_count(fields), name)
    choices = choose_each(fields, columns, name)
    for choice in choices:
        refuse_renamed(fields, choice, name)
    # All values are read as text, as a type guessed from some values may not fit others.
    kinds = {fields[choice.index].name: "VARCHAR" for choice in choices}
    kinds |= {fields[choice.index].name: "JSON" for choice in choices if choice.below}
    typed = ", ".join(f"{quoted(key)}: '{kind}'" for key, kind in kinds.items())
    texts = ", ".join(_text_of(fields, choice, kinds) for choice in choices)
    return f"SELECT {texts} FROM {reader}, columns = {{{typed}}})"


def _text_of(fields: Sequence[Field], choice: Choice, kinds: dict[str, str]) -> str:
    name = fields[choice.index].name
    if kinds[name] == "VARCHAR":
        return f"CAST({quoted(name)} AS VARCHAR)"
    keys = (key.replace("\\", "\\\\").replace('"', '\\"') for key in choice.below)
    path = "".join(["$", *(f'."{key}"' for key in keys)])
    return f"json_extract_string({quoted(name)}, {literal(path)})"


def _count(fields: Sequence[Field]) -> int:
    return sum(1 + _count(field.children) for field in fields)


def _refuse_many_keys(count: int, name: str) -> None:
    if count > _MAX_KEYS:
        raise InvalidInputError(
            f"{name} has objects of more than {_MAX_KEYS:,} keys, too many to look through: write the members by "
            "themselves, or as Parquet or CSV; nothing was sent"
        )


def _refuse_depth(head: bytes, name: str) -> None:
    """Raise an error for values nested very deeply: some versions of DuckDB end the process when they read them."""
    marks = np.frombuffer(_STRING.sub(b"", head), np.uint8)
    steps = np.isin(marks, _OPENING).astype(np.int64) - np.isin(marks, _CLOSING)
    if np.cumsum(steps).max(initial=0) > _MAX_DEPTH:
        raise too_deep(name, "jsonl")


def _ends(path: Path) -> tuple[bytes, bytes]:
    """Return the beginning and the end of a file without white space around them; empty if the file is blank."""
    first = last = b""
    with path.open("rb") as stream:
        while not first and (block := stream.read(_END_BYTES)):
            first = block.strip()
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _END_BYTES))
        last = stream.read().strip()
    return first, last
