"""How paths, names and values are written in queries."""

from __future__ import annotations

import glob
from pathlib import Path


def path_argument(path: Path) -> str:
    """
    Return a path as DuckDB's readers take one: to them each is a pattern.

    :param path: of the file.
    """
    return glob.escape(str(path))


def quoted(name: str) -> str:
    """
    Return the name of a column as SQL.

    :param name: as it is.
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """
    Return text as SQL.

    :param text: as it is.
    """
    return "'" + text.replace("'", "''") + "'"
