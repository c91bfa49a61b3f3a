"""From an operator's ``source`` to lines: what needs Airflow (object storage) is resolved here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_audiences.common.hidden import revealed
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.lines import lines_of_file, lines_of_values


@contextmanager
def open_source(source: Any) -> Iterator[Iterator[bytes]]:
    """
    Open a source and yield its lines.

    :param source: a list or another iterable of IDs; or the path of a text file with one ID a line, plain or
        gzip: a local path, ``file://…``, an ``ObjectStoragePath`` or the text of one (``s3://conn_id@bucket/key``).
    :raises InvalidInputError: there is no such file, or the source is none of these.
    """
    source = revealed(source)
    if isinstance(source, str):
        source = source.strip()
        if not source:
            raise InvalidInputError("source is empty: give a path or a list of advertising IDs")
        if "\n" in source:
            raise InvalidInputError("source is a text of several lines: give a list of IDs, or the path of a file")
        with _open_path(source) as file:
            yield lines_of_file(file, name=_shown(source))
    elif isinstance(source, PathLike) or hasattr(source, "open"):
        with _open_path(source) as file:
            yield lines_of_file(file, name=_shown(str(source)))
    elif isinstance(source, Iterable) and not isinstance(source, bytes | dict):
        yield lines_of_values(source)
    else:
        raise InvalidInputError(f"source is a {type(source).__name__}: give a path or a list of advertising IDs")


@contextmanager
def _open_path(path: Any) -> Iterator[IO[bytes]]:
    shown = _shown(str(path))
    try:
        file: IO[bytes] = _open_local(path) or _object_storage_path(path).open("rb")
    except FileNotFoundError:
        raise InvalidInputError(f"source {shown} does not exist") from None
    except IsADirectoryError:
        raise InvalidInputError(f"source {shown} is a folder: give one file") from None
    except PermissionError:
        raise InvalidInputError(f"source {shown} may not be read by this worker") from None
    with file:
        yield file


def _open_local(path: Any) -> IO[bytes] | None:
    """Open a local file, or return None for a path of another store."""
    if isinstance(path, str):
        parts = urlsplit(path)
        if parts.scheme == "file":
            path = unquote(parts.path)
        elif "://" in path:
            return None
        return Path(path).expanduser().open("rb")
    return Path(fspath(path)).open("rb") if isinstance(path, Path) else None


def _object_storage_path(path: Any) -> Any:
    if not isinstance(path, str):
        return path
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        return ObjectStoragePath(path)
    except ValueError as error:
        scheme = urlsplit(path).scheme
        raise InvalidInputError(
            f"source {_shown(path)}: no file system for {scheme}:// ({type(error).__name__}); install the provider "
            f"package that serves it"
        ) from None


def _shown(path: str) -> str:
    """Return a path without user info and query, which may hold secrets."""
    parts = urlsplit(path)
    if not parts.scheme:
        return path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
