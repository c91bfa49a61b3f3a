"""Finds the files of a source: local files directly, and those of object stores through Airflow's file systems."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from airflow_provider_audiences.common.paths import connection_of, local_path, store_path
from airflow_provider_audiences.common.recognition import is_member_text, shown_address
from airflow_provider_audiences.common.stores import MISTAKES, store_mistake
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect
from airflow_provider_audiences.members.reading.inputs import FileFormat, FilesInput, SourceFile, TableInput
from airflow_provider_audiences.sources.missing import OnMissing, checked_on_missing, missing_error
from airflow_provider_audiences.sources.stored import StoredStream, store_failure
from airflow_provider_audiences.sources.table_formats import TableFolder, TableSearch
from airflow_provider_audiences.sources.tables import (
    local_table,
    refuse_local_tables,
    refuse_stored_tables,
    stored_table,
    tables_input,
)
from airflow_provider_audiences.sources.unfinished import PassedOver, is_unfinished
from airflow_provider_audiences.validation import a_type

_STORES = frozenset({"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "oss2", "requests", "urllib3"})
"""Libraries of stores, whose errors have no common root."""

_WILDCARDS = frozenset("*?[")


def files_input(
    paths: Sequence[Any],
    *,
    conn_id: str | None,
    on_missing: OnMissing,
    file_format: FileFormat | None,
    column: str | int | Sequence[str | int] | None,
    dialect: Dialect,
) -> FilesInput | TableInput:
    """
    Find the files of a source, or open the tables that its paths name.

    :param paths: files, folders and globs, as text or path objects.
    :param conn_id: Airflow connection of the object store; None for the worker's own credentials.
    :param on_missing: what to do if there are no such files.
    :param file_format: format of the files; None to decide by the endings of their names.
    :param column: column or columns with members; None for the only one.
    :param dialect: form of text, CSV and JSON.
    :raises InvalidInputError: there are no such files, a file may not be read, no file system knows the address, or an
        argument is wrong.
    :raises SourceUnavailableError: there are no such files, and ``on_missing`` is ``retry``.
    """
    if not paths:
        raise InvalidInputError("source is an empty list of paths: give at least one")
    on_missing = checked_on_missing(on_missing)
    found: dict[str, SourceFile | TableFolder] = {}
    tables = TableSearch()
    for path in paths:
        # A file that two globs match is read once.
        found.update(_files_of(_checked(path), conn_id, _Search(on_missing=on_missing, tables=tables)))
    if opened := tables_input(found.values(), file_format=file_format, column=column, dialect=dialect):
        return opened
    files = [file for file in found.values() if isinstance(file, SourceFile)]
    return FilesInput(files=files, file_format=file_format, column=column, dialect=dialect)


def _checked(path: Any) -> Any:
    if isinstance(path, str):
        path = path.strip()
        if not path:
            raise InvalidInputError("source is empty: give a path or a list of members")
        if is_member_text(path):
            raise InvalidInputError(
                "source is text with members in it, not a path: give a list of IDs, or the path of a file (a "
                "template renders to text: give the task's .output, or set render_template_as_native_obj on the DAG)"
            )
    elif not isinstance(path, PathLike) and not hasattr(path, "open"):
        raise InvalidInputError(f"source: {a_type(path)} is not a path: give text or an ObjectStoragePath")
    return path


def _files_of(path: Any, conn_id: str | None, search: _Search) -> Mapping[str, SourceFile | TableFolder]:
    """Return the files of one path in the order of their names; two paths that match one file give it the same key."""
    shown = shown_address(str(path))
    if shown.partition("://")[0].lower() in {"http", "https"}:
        from airflow_provider_audiences.sources.web import web_file

        if conn_id:
            raise InvalidInputError(f"source {shown}: a web address takes no conn_id: leave it out")
        return {str(path): web_file(str(path), on_missing=search.on_missing)}
    local = local_path(path)
    files: Mapping[str, SourceFile | TableFolder]
    with search.refusing(shown):
        if local is not None:
            files = _local_files(local, search)
        elif isinstance(path, str) or hasattr(path, "fs"):
            files = _stored_files(path, conn_id, shown, search)
        else:
            files = {shown: _opened_by_itself(path, shown, search)}
    if not files:
        what = "no file matches it" if _has_wildcard(str(path)) else "the folder has no files to read"
        why = str(search.passed_over) if search.passed_over else "names that begin with _ or . are passed over"
        raise missing_error(f"source {shown}: {what} ({why})", search.on_missing)
    search.passed_over.log(shown)
    return files


class _Search:
    """
    State of the search for the files of one path.

    :param on_missing: what to do about files that are not there.
    :param tables: search for tables, shared by all paths of the source.
    """

    def __init__(self, *, on_missing: OnMissing, tables: TableSearch) -> None:
        self.tables = tables
        self.passed_over = PassedOver()
        self.on_missing = on_missing

    @contextmanager
    def refusing(self, shown: str) -> Iterator[None]:
        """Turn errors of a path that can't be read into errors that name it. Other errors of the file system pass."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise missing_error(f"source {shown} does not exist", self.on_missing) from None
        except IsADirectoryError:
            raise InvalidInputError(f"source {shown} is a folder, not a file") from None
        except PermissionError:
            raise InvalidInputError(f"source {shown} may not be read by this worker") from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InvalidInputError(
                "source is text that is too long for a path: give a list of IDs, or a path"
            ) from None

        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _STORES:
                raise
            raise store_failure(error, shown) from None

    def opening(self, open_file: Callable[[], IO[bytes]], shown: str) -> Callable[[], IO[bytes]]:
        """Wrap a function that opens a file, so that its errors name the file."""

        def opened() -> IO[bytes]:
            with self.refusing(shown):
                return open_file()

        return opened

    def is_data(self, names: Sequence[str], *, left_over: bool = False, unfinished: bool = False) -> bool:
        """
        Return whether a file is data: neither something that writers leave beside their data, nor still being written.

        :param names: name of the file, preceded by the names of the folders from the source down to it.
        :param left_over: whether the glob names files that writers leave beside their data, such as ``_*``.
        :param unfinished: whether the glob names files that are still being written, such as ``*.part``.
        """
        if not left_over and _is_left_over(names):
            return False
        return unfinished or not self.passed_over.takes(names)


def _has_wildcard(path: str) -> bool:
    return not _WILDCARDS.isdisjoint(path)


def _is_left_over(names: Iterable[str]) -> bool:
    """Return whether writers leave a file of this name beside their data, such as ``_SUCCESS``."""
    return any(name.startswith(("_", ".")) or name.endswith("_$folder$") for name in names)


def _split_glob(path: str) -> tuple[str, str]:
    """Split a glob into the folder before its first wildcard, and the pattern below it."""
    first = min(path.index(char) for char in _WILDCARDS if char in path)
    folder, slash, _ = path[:first].rpartition("/")
    return folder + slash, path[len(folder + slash) :]


def _asked_for(pattern: str) -> dict[str, bool]:
    """Return which files that are passed over otherwise a glob asks for by name."""
    names = PurePosixPath(pattern).parts
    return {"left_over": _is_left_over(names), "unfinished": any(map(is_unfinished, names))}


# Local files


def _local_files(path: Path, search: _Search) -> Mapping[str, SourceFile | TableFolder]:
    if path.is_dir():
        if table := local_table(search.tables, path):
            return {str(path): table}
        found = list(_walk(path, search))
    elif _has_wildcard(str(path)) and not path.exists():
        found = list(_glob(path, search))
    else:
        found = [path]
    refuse_local_tables(search.tables, path, found)
    return {str(file): _local_file(file, search) for file in found}


def _local_file(path: Path, search: _Search) -> SourceFile:
    open_file = cast("Callable[[], IO[bytes]]", partial(path.open, "rb"))
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not path.is_dir():
        raise InvalidInputError(f"source {path} is no regular file: a pipe or a device can be read only once")
    # A file that can't be opened is refused before any file is read.
    open_file().close()
    return SourceFile(
        name=str(path), open=search.opening(open_file, str(path)), local_path=path, size_bytes=status.st_size
    )


def _walk(folder: Path, search: _Search) -> Iterator[Path]:
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        folders[:] = [name for name in folders if not _is_left_over([name])]
        real = os.path.realpath(parent)
        if real in seen:  # links may lead round in circles
            folders.clear()
            continue
        seen.add(real)
        above = Path(parent).relative_to(folder).parts
        found += [Path(parent, name) for name in names if search.is_data([*above, name])]
    yield from sorted(file for file in found if file.is_file() or not file.exists())


def _raise(error: OSError) -> None:
    raise error


def _glob(path: Path, search: _Search) -> Iterator[Path]:
    folder, pattern = _split_glob(str(path))
    asked_for = _asked_for(pattern)
    # Path.glob takes no absolute pattern, and passes over no hidden name.
    matches = glob.glob(  # noqa: PTH207
        pattern, root_dir=folder or None, recursive=True, include_hidden=asked_for["left_over"]
    )
    for match in sorted(matches):
        found = Path(folder, match)
        if search.is_data(PurePosixPath(match).parts, **asked_for):
            yield from _walk(found, search) if found.is_dir() else [found]


def _opened_by_itself(path: Any, shown: str, search: _Search) -> SourceFile:
    """Return a file for an object of which only its method ``open`` is known."""
    open_file = partial(path.open, "rb")
    open_file().close()
    return SourceFile(name=shown, open=search.opening(open_file, shown))


# Object stores


def _stored_files(
    path: Any, conn_id: str | None, shown: str, search: _Search
) -> Mapping[str, SourceFile | TableFolder]:
    try:
        base, pattern = _base_and_pattern(path, conn_id)
        file_system = base.fs
    except MISTAKES as error:
        # Some versions of Airflow refuse an unknown scheme at once, and others only when the path is opened.
        raise store_mistake(error, path, what=f"source {shown}", conn_id=conn_id) from None
    # A worker may run for longer than a cached listing of the store stays right.
    file_system.invalidate_cache()
    root = base.path.rstrip("/")
    listed: dict[str, Any] = {}
    if pattern:
        found = _matching(file_system, root, pattern, search, listed)
    elif str(path).endswith("/") or (info := file_system.info(base.path))["type"] == "directory":
        if table := stored_table(search.tables, base, shown, conn_id or connection_of(base)):
            return {f"{base.protocol}:{root}": table}
        found = _below(file_system, root, search, listed)
    else:
        refuse_stored_tables(search.tables, base, shown, [base.path], is_named=True)
        return {f"{base.protocol}:{base.path}": _stored_file(base, info, shown, search)}
    refuse_stored_tables(search.tables, base, shown, found, listed=listed)
    files = {}
    for name in sorted(found):
        below = name[len(root) :].lstrip("/")
        shown_name = f"{shown_address(str(base)).rstrip('/')}/{below}"
        files[f"{base.protocol}:{name}"] = _stored_file(base.joinpath(below), found[name], shown_name, search)
    return files


def _base_and_pattern(path: Any, conn_id: str | None) -> tuple[Any, str]:
    """Return a path in its store and an empty text; for a glob, the folder before its first wildcard and the rest."""
    whole = store_path(path, conn_id=conn_id)
    address = str(path)
    # A name may have brackets in it.
    if not _has_wildcard(address) or ("[" in address and whole.exists()):
        return whole, ""
    folder, pattern = _split_glob(address)
    return store_path(folder, conn_id=conn_id or connection_of(path)), pattern


def _below(file_system: Any, root: str, search: _Search, listed: dict[str, Any]) -> dict[str, Any]:
    found = file_system.find(root, detail=True)
    listed.update(found)
    if not found and not file_system.exists(root):
        raise FileNotFoundError(root)
    return {name: info for name, info in found.items() if _is_data(name[len(root) :], info, search)}


def _matching(file_system: Any, root: str, pattern: str, search: _Search, listed: dict[str, Any]) -> dict[str, Any]:
    # The listing goes as deep as the pattern, and no deeper: these folders are searched anyway.
    depth = None if "**" in pattern else pattern.rstrip("/").count("/") + 1
    listed.update(file_system.find(root, maxdepth=depth, withdirs=True, detail=True))
    asked_for = _asked_for(pattern)
    found: dict[str, Any] = {}
    for name, info in file_system.glob(f"{root}/{pattern}", detail=True).items():
        if search.is_data(PurePosixPath(name[len(root) :].lstrip("/")).parts, **asked_for):
            is_folder = info["type"] == "directory"
            found.update(_below(file_system, name.rstrip("/"), search, listed) if is_folder else {name: info})
    return found


def _is_data(below: str, info: Any, search: _Search) -> bool:
    # Consoles of stores make empty objects that stand for folders.
    is_folder = info["type"] == "directory" or below.endswith("/") or not below.strip("/")
    return not is_folder and search.is_data(PurePosixPath(below.lstrip("/")).parts)


def _stored_file(path: Any, info: Mapping[str, Any], shown: str, search: _Search) -> SourceFile:
    size = info.get("size")
    return SourceFile(
        name=shown.removesuffix("?…"),  # its ending tells what is in the file
        open=search.opening(partial(_opened, path, shown), shown),
        size_bytes=size if isinstance(size, int) else None,  # not each store knows
    )


def _opened(path: Any, shown: str) -> IO[bytes]:
    return cast("IO[bytes]", StoredStream(path.open("rb"), shown))
