"""
Tells the folders of tables (Delta Lake, Apache Iceberg and others) from plain folders.

A table's folder keeps files of old snapshots beside those of the current one. Read as a plain folder, it would give
rows that were deleted. A table is recognised by a file or folder that only its format makes. Names that anybody may
use, such as ``metadata`` or ``data``, prove nothing by themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol

DELTA = "Delta Lake"
ICEBERG = "Apache Iceberg"
HUDI = "Apache Hudi"
PAIMON = "Apache Paimon"
HIVE = "Hive ACID"
DUCKLAKE = "DuckLake"
LANCE = "Lance"

S3_PROTOCOLS = frozenset({"s3", "s3a", "s3n"})

MAX_PARENTS = 6
"""How many folders above a source in a store are checked for being a table: ``data`` and five levels of partitions."""

_UUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_ICEBERG_STATE = rf"(?:v\d+|\d+-{_UUID})(?:\.gz)?\.metadata\.json(?:\.gz)?"
_ICEBERG_NAME = rf"(?:{_ICEBERG_STATE}|version-hint\.text|snap-\d+[\w-]*\.avro)"
_HIVE_BASE = re.compile(r"base_\d{7,}")
_BUCKET = re.compile(r"/bucket-(?:\d+|postpone)(?:/|$)")

# A path within a table, with the table's folder as its first group.
_MARKED = {
    DELTA: re.compile(r"(.*?)/_delta_log(?:/|$)"),
    ICEBERG: re.compile(rf"(.*)/metadata/{_ICEBERG_NAME}$"),
    HUDI: re.compile(r"(.*?)/(?:\.hoodie(?:/|$)|\.hoodie_partition_metadata(?:\.\w+)?$)"),
    HIVE: re.compile(r"(.*?)/(?:(?:delete_)?delta_\d{7,}_\d{7,}(?:_\d{4,})?|base_\d{7,}_v\d{7,})/"),
    DUCKLAKE: re.compile(rf"(.*)/ducklake-{_UUID}(?:-delete)?\.(?:parquet|puffin)$"),
    LANCE: re.compile(r"(.*?)/(?:_versions/\d+\.manifest|data/[^/]+\.lance)$"),
}
# Fast check: most names have none of these parts, and a listing may be long.
_WORTH_A_LOOK = re.compile(
    r"/_delta_log|/metadata/|/\.hoodie|/(?:delete_)?delta_\d|/base_\d|/ducklake-|/_versions/|\.lance$|/schema/|/snapshot/"
)
_PAIMON_SCHEMA = re.compile(r"(.*)/schema/schema-\d+$")
_PAIMON_SNAPSHOT = re.compile(r"(.*)/snapshot/(?:snapshot-\d+|LATEST|EARLIEST)$")


class Folders(Protocol):
    """A file system with folders: this machine's, or that of a store."""

    @property
    def name(self) -> str:
        """Name that differs from those of other file systems."""

    def is_folder(self, path: str) -> bool:
        """Return whether there is such a folder; False too if this worker may not know."""

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, without their paths; an empty list if there is no such folder."""

    def shown(self, path: str) -> str:
        """Return a folder's address for messages."""

    def above(self, path: str) -> Iterator[str]:
        """Yield the folders above a path that are checked for being a table, the nearest first."""


class LocalFolders:
    """The folders of this machine. Looking costs next to nothing, so all folders above a path are checked."""

    name = "local"

    def is_folder(self, path: str) -> bool:
        """Tell whether there is such a folder."""
        return os.path.isdir(path)  # noqa: PTH112 - asked thousands of times

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        try:
            return os.listdir(path)  # noqa: PTH208
        except OSError:
            return []

    def shown(self, path: str) -> str:
        """Return a folder's address."""
        return path

    def above(self, path: str) -> Iterator[str]:
        """Yield the folders above a path."""
        return map(str, PurePosixPath(path).parents)


@dataclass(frozen=True)
class StoredFolders:
    """
    The folders of a store, where each look costs a request.

    :param file_system: file system of fsspec, with the keys of the connection.
    :param name: protocol of the store, such as ``s3``.
    """

    file_system: Any
    name: str

    def is_folder(self, path: str) -> bool:
        """Tell whether there is such a folder."""
        # A worker may be allowed to read its own files, but not the folders above.
        with suppress(OSError, NotImplementedError):
            return bool(self.file_system.isdir(path))
        return False

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        with suppress(OSError, NotImplementedError):
            return [PurePosixPath(name).name for name in self.file_system.ls(path, detail=False)]
        return []

    def shown(self, path: str) -> str:
        """Return a folder's address."""
        return f"{self.name}://{path.lstrip('/')}"

    def above(self, path: str) -> Iterator[str]:
        """Yield the folders above a path."""
        parents = [str(parent) for parent in PurePosixPath(path).parents if str(parent) not in {".", "/"}]
        return iter(parents[:MAX_PARENTS])


@dataclass(frozen=True)
class FoundTable:
    """
    A folder that is a table.

    :param table_format: name of the format, such as ``Delta Lake``.
    :param folder: path of the folder in its file system.
    """

    table_format: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class TableFolder:
    """
    A table's folder, and how to open it.

    :param table_format: name of the format, such as ``Delta Lake``.
    :param shown: address of the folder without secrets, for messages.
    :param path: path in its file system; on this machine an absolute one.
    :param protocol: protocol of the store; default ``file``, this machine.
    :param file_system: file system of fsspec, with the keys of the connection; None (default) on this machine.
    :param conn_id: Airflow connection of the store; None (default) for the worker's own credentials.
    """

    table_format: str
    shown: str
    path: str
    protocol: str = "file"
    file_system: Any = field(default=None, repr=False)
    conn_id: str | None = None


class TableSearch:
    """Looks for tables at, above and below the paths of a source. Remembers what it has looked at."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str | None] = {}

    def at(self, folders: Folders, path: str, *, has_buckets: bool = True) -> FoundTable | None:
        """
        Return the table if a folder is one; otherwise None.

        :param folders: file system that the paths are in.
        :param path: path of the folder.
        :param has_buckets: whether folders of Paimon such as ``bucket-0`` may lie below; False saves the check for
            Paimon.
        """
        path = path.rstrip("/") or "/"
        key = (folders.name, path)
        if key not in self._known:
            self._known[key] = _format_at(folders, path)
        found = self._known[key]
        if found is None and has_buckets and _is_paimon(folders, path):
            found = PAIMON
        return FoundTable(found, path) if found else None

    def around(self, folders: Folders, path: str, *, files: Iterable[str] = ()) -> FoundTable | None:
        """
        Return the table that a path lies in; None if there is none.

        :param folders: file system that the paths are in.
        :param path: path of the source, up to its first wildcard.
        :param files: files that were found there.
        """
        path = path.rstrip("/")
        if found := next(iter(tables_among([f"{path}/"])), None):
            return found
        has_buckets = any(_BUCKET.search(file) for file in (path, *files))
        for folder in (path, *folders.above(path)):
            if found := self.at(folders, folder, has_buckets=has_buckets):
                return found
            parent, _, name = folder.rpartition("/")
            if _HIVE_BASE.fullmatch(name) and (
                found := next(iter(tables_among(f"{parent}/{other}/" for other in folders.names(parent))), None)
            ):
                return found
        return None

    def below(self, folders: Folders, files: Iterable[str], listed: Iterable[str]) -> FoundTable | None:
        """
        Return a table that any of the files lies in; None if there is none.

        :param folders: file system that the paths are in.
        :param files: files that the source reads.
        :param listed: everything below the source's folder, also what the source passes over.
        """
        listed = list(listed)
        tables = {table.folder: table for table in tables_among(listed)}
        for path in listed:
            # A listing that goes no deeper shows the folder metadata, but not the files in it.
            if path.endswith("/metadata") and (table := self.at(folders, path.rpartition("/")[0], has_buckets=False)):
                tables.setdefault(table.folder, table)
        if tables:
            for file in files:
                for parent in PurePosixPath(file).parents:
                    if table := tables.get(str(parent)):
                        return table
        return None


def tables_among(paths: Iterable[str]) -> list[FoundTable]:
    """
    Return the tables that a listing shows.

    :param paths: paths of files, and of folders with or without a slash at the end.
    """
    found: dict[str, str] = {}
    bases: dict[str, set[str]] = {}
    paimon: tuple[set[str], set[str]] = (set(), set())
    for path in paths:
        if not _WORTH_A_LOOK.search(path):
            continue
        for table_format, pattern in _MARKED.items():
            if match := pattern.match(path):
                found.setdefault(match[1], table_format)
        for pattern, folders in zip((_PAIMON_SCHEMA, _PAIMON_SNAPSHOT), paimon, strict=True):
            if match := pattern.match(path):
                folders.add(match[1])
        if match := re.match(rf"(.*?)/({_HIVE_BASE.pattern})/", path):
            bases.setdefault(match[1], set()).add(match[2])
    # A single base_N folder may be a plain folder, and has no old rows in it.
    found.update({folder: HIVE for folder, names in bases.items() if len(names) > 1})
    found.update(dict.fromkeys(paimon[0] & paimon[1], PAIMON))
    return [FoundTable(table_format, folder) for folder, table_format in found.items()]


def _format_at(folders: Folders, path: str) -> str | None:
    if folders.is_folder(f"{path}/_delta_log"):
        return DELTA
    if folders.is_folder(f"{path}/.hoodie"):
        return HUDI
    if folders.is_folder(f"{path}/metadata") and any(
        re.fullmatch(_ICEBERG_NAME, name) for name in folders.names(f"{path}/metadata")
    ):
        return ICEBERG
    return None


def _is_paimon(folders: Folders, path: str) -> bool:
    if not (folders.is_folder(f"{path}/schema") and folders.is_folder(f"{path}/snapshot")):
        return False
    inside = [f"{path}/{name}/{below}" for name in ("schema", "snapshot") for below in folders.names(f"{path}/{name}")]
    return any(table.table_format == PAIMON for table in tables_among(inside))
