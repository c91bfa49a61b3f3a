"""Finds the files of a source: local ones, and those of object stores through Airflow's file systems."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import urlsplit

from airflow_provider_audiences.common.paths import connection_of, local_path, store_path
from airflow_provider_audiences.common.recognition import is_member_text, shown_address
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile, TableInput
from airflow_provider_audiences.sources.joined import flat
from airflow_provider_audiences.sources.table_formats import TableFolder, TableSearch
from airflow_provider_audiences.sources.tables import (
    local_table,
    refuse_local_tables,
    refuse_stored_tables,
    stored_table,
    tables_input,
)
from airflow_provider_audiences.sources.types import FileSource
from airflow_provider_audiences.validation import a_type

_WILDCARDS = frozenset("*?[")


def files_input(source: FileSource) -> FilesInput | TableInput:
    """
    Find the files of a source, or open the tables that its paths are.

    :param source: its path may be one or several files, folders and globs.
    :raises InvalidInputError: there is none, one may not be read, or no file system takes the address.
    """
    paths = flat(source.path)
    if not paths:
        raise InvalidInputError("source is an empty list of paths: give at least one")
    found: dict[str, SourceFile | TableFolder] = {}
    search = TableSearch()
    for path in paths:
        # What two globs both match is read once.
        found.update(_files_of(_checked(path), source.conn_id, search))
    if tables := tables_input(found.values(), source):
        return tables
    files = [file for file in found.values() if isinstance(file, SourceFile)]
    return FilesInput(files=files, file_format=source.file_format, column=source.column)


def _checked(path: Any) -> Any:
    if isinstance(path, str):
        path = path.strip()
        if not path:
            raise InvalidInputError("source is empty: give a path or a list of advertising IDs")
        if is_member_text(path):
            raise InvalidInputError(
                "source is text with members in it, not a path: give a list of IDs, or the path of a file (a "
                "template renders to text: give the task's .output, or set render_template_as_native_obj on the DAG)"
            )
    elif not isinstance(path, PathLike) and not hasattr(path, "open"):
        raise InvalidInputError(f"source: {a_type(path)} is not a path: give text or an ObjectStoragePath")
    return path


def _files_of(path: Any, conn_id: str | None, search: TableSearch) -> Mapping[str, SourceFile | TableFolder]:
    """Return files by what tells them apart, in the order of their names."""
    shown = shown_address(str(path))
    local = local_path(path)
    files: Mapping[str, SourceFile | TableFolder]
    with _refusing(shown):
        if local is not None:
            files = _local_files(local, search)
        elif isinstance(path, str) or hasattr(path, "fs"):
            files = _stored_files(path, conn_id, shown, search)
        else:
            files = {shown: _opened_by_itself(path, shown)}
    if not files:
        what = "no file matches it" if _has_wildcard(str(path)) else "the folder has no files to read"
        raise InvalidInputError(f"source {shown}: {what} (names that begin with _ or . are passed over)")
    return files


@contextmanager
def _refusing(shown: str) -> Iterator[None]:
    """Name what a path is that can't be read; other failures of a file system may pass by themselves."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInputError(f"source {shown} does not exist") from None
    except IsADirectoryError:
        raise InvalidInputError(f"source {shown} is a folder, not a file") from None
    except PermissionError:
        raise InvalidInputError(f"source {shown} may not be read by this worker") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InvalidInputError("source is text that is too long for a path: give a list of IDs, or a path") from None


def _open(open_file: Callable[[], IO[bytes]], shown: str) -> IO[bytes]:
    with _refusing(shown):
        return open_file()


def _has_wildcard(path: str) -> bool:
    return not _WILDCARDS.isdisjoint(path)


def _is_passed_over(names: Iterable[str]) -> bool:
    """Tell what writers leave beside their data, such as _SUCCESS and _temporary/, from the data."""
    return any(name.startswith(("_", ".")) or name.endswith("_$folder$") for name in names)


def _split_glob(path: str) -> tuple[str, str]:
    """Split a glob into the folder before its first wildcard, and the pattern below it."""
    first = min(path.index(char) for char in _WILDCARDS if char in path)
    folder, slash, _ = path[:first].rpartition("/")
    return folder + slash, path[len(folder + slash) :]


def _asks_for_passed_over(pattern: str) -> bool:
    return _is_passed_over(PurePosixPath(pattern).parts)


# Local files


def _local_files(path: Path, search: TableSearch) -> Mapping[str, SourceFile | TableFolder]:
    if path.is_dir():
        if table := local_table(search, path):
            return {str(path): table}
        found = list(_walk(path))
    elif _has_wildcard(str(path)) and not path.exists():
        found = list(_glob(path))
    else:
        found = [path]
    refuse_local_tables(search, path, found)
    return {str(file): _local_file(file) for file in found}


def _local_file(path: Path) -> SourceFile:
    open_file = cast("Callable[[], IO[bytes]]", partial(path.open, "rb"))
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise InvalidInputError(f"source {path} is no regular file: a pipe or a device can be read only once")
    # A file that can't be opened is refused before the first of them is read.
    open_file().close()
    shown = str(path)
    return SourceFile(name=shown, open=partial(_open, open_file, shown), local_path=path)


def _walk(folder: Path) -> Iterator[Path]:
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        folders[:] = [name for name in folders if not _is_passed_over([name])]
        real = os.path.realpath(parent)
        if real in seen:  # links may lead round in circles
            folders.clear()
            continue
        seen.add(real)
        found += [Path(parent, name) for name in names if not _is_passed_over([name])]
    yield from sorted(file for file in found if file.is_file() or not file.exists())


def _raise(error: OSError) -> None:
    raise error


def _glob(path: Path) -> Iterator[Path]:
    folder, pattern = _split_glob(str(path))
    wanted = _asks_for_passed_over(pattern)
    # Path.glob takes no absolute pattern, and passes over no hidden name.
    matches = glob.glob(pattern, root_dir=folder or None, recursive=True, include_hidden=wanted)  # noqa: PTH207
    for match in sorted(matches):
        if wanted or not _is_passed_over(PurePosixPath(match).parts):
            found = Path(folder, match)
            yield from _walk(found) if found.is_dir() else [found]


def _opened_by_itself(path: Any, shown: str) -> SourceFile:
    """Take an object of which no more is known than that it opens."""
    open_file = partial(path.open, "rb")
    open_file().close()
    return SourceFile(name=shown, open=partial(_open, open_file, shown))


# Object stores


def _stored_files(
    path: Any, conn_id: str | None, shown: str, search: TableSearch
) -> Mapping[str, SourceFile | TableFolder]:
    try:
        base, pattern = _base_and_pattern(path, conn_id)
        file_system = base.fs
    except (ValueError, ImportError) as error:
        # Of an unknown scheme some versions of Airflow speak at once, and others when they open.
        scheme = urlsplit(str(path)).scheme
        raise InvalidInputError(
            f"source {shown}: no file system takes it ({type(error).__name__}); install the provider package that "
            f"serves {scheme}://, with its extra for file systems (s3fs, gcsfs, …)"
        ) from None
    # A worker may live longer than a listing of the store stays true.
    file_system.invalidate_cache()
    root = base.path.rstrip("/")
    listed: dict[str, Any] = {}
    if pattern:
        found = _matching(file_system, root, pattern, listed)
    elif str(path).endswith("/") or file_system.info(base.path)["type"] == "directory":
        if table := stored_table(search, base, shown, conn_id or connection_of(base)):
            return {f"{base.protocol}:{root}": table}
        found = _below(file_system, root, listed)
    else:
        refuse_stored_tables(search, base, shown, [base.path], is_named=True)
        return {f"{base.protocol}:{base.path}": _stored_file(base, shown)}
    refuse_stored_tables(search, base, shown, found, listed=listed)
    files = {}
    for name in sorted(found):
        below = name[len(root) :].lstrip("/")
        shown_name = f"{shown_address(str(base)).rstrip('/')}/{below}"
        files[f"{base.protocol}:{name}"] = _stored_file(base.joinpath(below), shown_name)
    return files


def _base_and_pattern(path: Any, conn_id: str | None) -> tuple[Any, str]:
    """Return the path in its store; of a glob the folder before its first wildcard, and the pattern below it."""
    whole = store_path(path, conn_id=conn_id)
    address = str(path)
    # A question mark begins the query of a web address; and a name may have brackets in it.
    if (
        not _has_wildcard(address)
        or urlsplit(address).scheme in {"http", "https"}
        or ("[" in address and whole.exists())
    ):
        return whole, ""
    folder, pattern = _split_glob(address)
    return store_path(folder, conn_id=conn_id or connection_of(path)), pattern


def _below(file_system: Any, root: str, listed: dict[str, Any]) -> dict[str, Any]:
    found = file_system.find(root, detail=True)
    listed.update(found)
    if not found and not file_system.exists(root):
        raise FileNotFoundError(root)
    return {name: info for name, info in found.items() if _is_data(name[len(root) :], info)}


def _matching(file_system: Any, root: str, pattern: str, listed: dict[str, Any]) -> dict[str, Any]:
    # As deep as the pattern goes, and no deeper: what it looks through anyway.
    depth = None if "**" in pattern else pattern.rstrip("/").count("/") + 1
    listed.update(file_system.find(root, maxdepth=depth, withdirs=True, detail=True))
    wanted = _asks_for_passed_over(pattern)
    found: dict[str, Any] = {}
    for name, info in file_system.glob(f"{root}/{pattern}", detail=True).items():
        if not wanted and _is_passed_over(PurePosixPath(name[len(root) :]).parts):
            continue
        found.update(_below(file_system, name.rstrip("/"), listed) if info["type"] == "directory" else {name: info})
    return found


def _is_data(below: str, info: Any) -> bool:
    # Consoles of stores make empty objects that stand for folders.
    is_folder = info["type"] == "directory" or below.endswith("/") or not below.strip("/")
    return not is_folder and not _is_passed_over(PurePosixPath(below).parts)


def _stored_file(path: Any, shown: str) -> SourceFile:
    return SourceFile(
        name=shown.removesuffix("?…"),  # its ending tells what is in the file
        open=partial(_open, partial(path.open, "rb"), shown),
    )
