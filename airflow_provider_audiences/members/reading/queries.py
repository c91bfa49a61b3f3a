"""How paths, names and values are written in DuckDB's SQL."""

from __future__ import annotations

import glob
from pathlib import Path


def path_argument(path: Path) -> str:
    """
    Return a path escaped for DuckDB's readers, which take each path as a pattern.

    :param path: path of the file.
    """
    return glob.escape(str(path))


def quoted(name: str) -> str:
    """
    Return the name of a column quoted for SQL.

    :param name: name as the file has it.
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """
    Return a text as a string literal of SQL.

    :param text: any text.
    """
    return "'" + text.replace("'", "''") + "'"


def text_or_uuid(value: str, kind: str) -> str:
    """
    Return SQL for a value as text; a UUID stays one, as its 16 bytes need not become text and bytes again.

    :param value: SQL of the value.
    :param kind: DuckDB's name of its type.
    """
    return value if kind == "UUID" else f"CAST({value} AS VARCHAR)"
