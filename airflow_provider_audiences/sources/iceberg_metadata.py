"""Finds the newest metadata file of an Iceberg table without a catalog."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources.table_formats import TableFolder

_STATE = re.compile(r"v?(\d+)(?:-[0-9A-Fa-f-]{36})?(?:\.gz)?\.metadata\.json(?:\.gz)?")
_HINT = "version-hint.text"
_GZIP_MAGIC = b"\x1f\x8b"
_TIMES = ("LastModified", "mtime", "last_modified", "updated", "created")


@dataclass(frozen=True)
class MetadataFile:
    """
    A metadata file, which describes one state of a table.

    :param name: name of the file.
    :param version: number in the name, which grows with each change of the table.
    :param modified: time of the last change, in the type that the store gives; None if it gives none.
    """

    name: str
    version: int
    modified: Any


def newest_metadata(folder: TableFolder) -> MetadataFile:
    """
    Return the metadata file with a table's newest state.

    The highest version counts, even if ``version-hint.text`` has a lower one: writers update the hint later, or never.
    Two cases are refused: several writers made the same version, and the folder has states of two tables. The latter
    happens when a table is dropped and made again: the new one begins at version 0 beside the old one's files.

    :param folder: folder of the table.
    :raises InvalidInputError: there is no metadata file, or it is unclear which one counts.
    """
    states = _states(folder)
    if not states:
        raise InvalidInputError(
            f"source {folder.shown} is an Iceberg table without a metadata file in its folder metadata: its catalog "
            "knows where it is; query it with SqlSource"
        )
    highest = max(state.version for state in states)
    newest = [state for state in states if state.version == highest]
    if len(newest) > 1:
        newest = [state for state in newest if state.name.startswith(f"{_hint(folder)}.")] or newest
    latest = max(states, key=lambda state: (state.modified is not None and state.modified, state.version))
    if len(newest) > 1:
        _refuse(folder, newest, "two writers made the same version")
    if latest.version < highest and _uuid(folder, latest) != _uuid(folder, newest[0]):
        _refuse(folder, [newest[0], latest], "they are of two tables")
    return newest[0]


def metadata_text(folder: TableFolder, state: MetadataFile) -> str:
    """
    Return the JSON text of a metadata file.

    :param folder: folder of the table.
    :param state: metadata file to read.
    """
    data = _read(folder, state.name)
    return (gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data).decode()


def _states(folder: TableFolder) -> list[MetadataFile]:
    listed = _file_system(folder).ls(f"{folder.path}/metadata", detail=True)
    states = []
    for info in listed:
        name = info["name"].rstrip("/").rpartition("/")[2]
        if match := _STATE.fullmatch(name):
            modified = next((info[key] for key in _TIMES if info.get(key) is not None), None)
            states.append(MetadataFile(name, int(match[1]), modified))
    return states


def _hint(folder: TableFolder) -> str:
    try:
        hint = _read(folder, _HINT).decode().strip()
    except FileNotFoundError:
        return ""
    return f"v{hint}" if hint.isdecimal() else hint.partition(".")[0]


def _uuid(folder: TableFolder, state: MetadataFile) -> str:
    return str(json.loads(metadata_text(folder, state)).get("table-uuid"))


def _read(folder: TableFolder, name: str) -> bytes:
    data: bytes = _file_system(folder).cat_file(f"{folder.path}/metadata/{name}")
    return data


def _file_system(folder: TableFolder) -> Any:
    return folder.file_system or LocalFileSystem()


def _refuse(folder: TableFolder, states: Sequence[MetadataFile], why: str) -> None:
    names = " and ".join(state.name for state in states[:2])
    raise InvalidInputError(
        f"source {folder.shown} is an Iceberg table, and its catalog alone knows which of {names} counts ({why}): "
        "query it with SqlSource, or remove the metadata that is not the table's"
    )
