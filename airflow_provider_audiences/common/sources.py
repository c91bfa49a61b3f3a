"""From an operator's ``source`` to lines: what needs Airflow (object storage) is resolved here."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_audiences.common.hidden import is_member_text, revealed, shown_address
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
        if is_member_text(source):
            raise InvalidInputError(
                "source is text with members in it, not a path: give a list of IDs, or the path of a file (a "
                "template renders to text: give the task's .output, or set render_template_as_native_obj on the DAG)"
            )
        with _open_path(source) as file:
            yield lines_of_file(file, name=shown_address(source))
    elif isinstance(source, PathLike) or hasattr(source, "open"):
        with _open_path(source) as file:
            yield lines_of_file(file, name=shown_address(str(source)))
    elif isinstance(source, Iterable) and not isinstance(source, bytes | Mapping):
        yield lines_of_values(source)
    else:
        raise InvalidInputError(f"source is a {type(source).__name__}: give a path or a list of advertising IDs")


@contextmanager
def _open_path(path: Any) -> Iterator[IO[bytes]]:
    shown = shown_address(str(path))
    try:
        file = _open(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInputError(f"source {shown} does not exist") from None
    except IsADirectoryError:
        raise InvalidInputError(f"source {shown} is a folder: give one file") from None
    except PermissionError:
        raise InvalidInputError(f"source {shown} may not be read by this worker") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InvalidInputError("source is text that is too long for a path: give a list of IDs, or a path") from None
    with file:
        yield file


def _open(path: Any) -> IO[bytes]:
    if not isinstance(path, str):
        file: IO[bytes] = (path if hasattr(path, "open") else Path(fspath(path))).open("rb")
        return file
    parts = urlsplit(path)
    if parts.scheme == "file":
        path = unquote(parts.path)
    elif "://" in path:
        return _open_object(path)
    return Path(path).expanduser().open("rb")


def _open_object(path: str) -> IO[bytes]:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        file: IO[bytes] = ObjectStoragePath(path).open("rb")
    except ValueError as error:
        # Of an unknown scheme some versions of Airflow speak at once, and others when they open.
        raise InvalidInputError(
            f"source {shown_address(path)}: no file system takes it ({type(error).__name__}); install the provider "
            f"package that serves {urlsplit(path).scheme}://"
        ) from None
    return file
