"""
File stores: a folder on a disk, or a prefix in an object store, that holds the state of one audience.

Both offer the few operations that a state needs: whole files, each written completely or not at all; and, if the place
supports it, creating a file that only one of several writers can create.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_audiences.exceptions import InvalidInputError, StateUnavailableError
from airflow_provider_audiences.members.failures import words_of
from airflow_provider_audiences.members.scratch import scratch_path

_UNFINISHED = ".part"
_OPTION = re.compile(r"unexpected keyword argument '(\w{1,60})'")
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class FileStore(Protocol):
    """
    Files by name, in one place.

    Each method raises StateUnavailableError if the place fails, and FileNotFoundError for a file that does not exist.
    """

    name: str
    """Address of the place that may be shown, without secrets."""

    def names(self) -> list[str]:
        """
        Return the names of all files at this moment.

        A killed process may leave unfinished files, whose names begin with that of the file they were to become.
        """

    def read(self, name: str) -> bytes:
        """Return a file's content."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file; others see the old content or the new content, never a part."""

    def create(self, name: str, content: bytes) -> None:
        """
        Create a file; of several writers of the same name, at most one succeeds.

        An existing name raises FileExistsError, even if this call's own first try has created it. A place that can't
        promise this raises NotImplementedError.
        """

    def fetch(self, name: str, path: Path) -> None:
        """Make a file's content available at a path of this machine, which does not exist yet."""

    def store(self, name: str, write: Callable[[Path], object], *, scratch: Path) -> None:
        """
        Make a large file; others see all of it or nothing, and it is on the disk when this returns.

        :param name: name of the file.
        :param write: writes the content to a path, at which there is an empty file. What it raises is raised here.
        :param scratch: a path of this machine that does not exist; the content is made there if it has to be copied.
        """

    def delete(self, name: str) -> None:
        """Delete a file; a file that does not exist is no error."""


class LocalFileStore:
    """
    A folder on a disk of this machine, or on one that it has mounted.

    :param path: the folder; it is made with the first file, readable by this user only.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def names(self) -> list[str]:
        """Return the names of all files at this moment."""
        with self._failures(), suppress(FileNotFoundError):
            return [entry.name for entry in os.scandir(self._path)]
        return []

    def folders(self) -> list[str]:
        """Return the names of the folders in this folder."""
        with self._failures(), suppress(FileNotFoundError):
            return [entry.name for entry in os.scandir(self._path) if entry.is_dir()]
        return []

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        with self._failures(FileNotFoundError):
            return (self._path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file; others see the old content or the new content, never a part."""
        with self._failures(), self._unfinished(name) as unfinished:
            unfinished.write_bytes(content)
            self._finish(unfinished, name)

    def create(self, name: str, content: bytes) -> None:
        """Create a file; of several writers of the same name, at most one succeeds."""
        with self._failures(FileExistsError), self._unfinished(name) as unfinished:
            unfinished.write_bytes(content)
            _on_disk(unfinished)
            try:
                (self._path / name).hardlink_to(unfinished)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise NotImplementedError from None
                # A network file system may say this about a link that it has just made, if its first reply was lost.
                if not isinstance(error, FileExistsError) or not (self._path / name).samefile(unfinished):
                    raise
            self._sync()

    def fetch(self, name: str, path: Path) -> None:
        """Make a file's content available at a path of this machine, which does not exist yet."""
        with self._failures(FileNotFoundError):
            path.symlink_to((self._path / name).resolve(strict=True))

    def store(self, name: str, write: Callable[[Path], object], *, scratch: Path) -> None:  # noqa: ARG002 - no copy
        """Make a large file in the folder itself; others see all of it or nothing."""
        with self._failures(), self._unfinished(name) as unfinished:
            write(unfinished)
            self._finish(unfinished, name)

    def delete(self, name: str) -> None:
        """Delete a file; a file that does not exist is no error."""
        with self._failures():
            (self._path / name).unlink(missing_ok=True)

    @contextmanager
    def _unfinished(self, name: str) -> Iterator[Path]:
        """Yield a path to write the content to; the file there is deleted when the block ends."""
        for folder in reversed([self._path, *self._path.parents]):
            if not folder.exists():
                folder.mkdir(exist_ok=True, mode=0o700)
        unfinished = self._path / f"{name}-{secrets.token_hex(8)}{_UNFINISHED}"
        try:
            unfinished.touch(mode=0o600)
            yield unfinished
        finally:
            unfinished.unlink(missing_ok=True)

    def _finish(self, unfinished: Path, name: str) -> None:
        """Give the content its name once it is on the disk."""
        _on_disk(unfinished)
        unfinished.replace(self._path / name)
        self._sync()

    def _sync(self) -> None:
        """Write the folder's entries to the disk, if its file system can do that."""
        with suppress(OSError):
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextmanager
    def _failures(self, *expected: type[Exception]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, expected):
                raise
            advice = "Make room there; the next try goes on from what was written down." if _is_full(error) else None
            raise StateUnavailableError(f"{self.name}: {words_of(error)}", advice=advice) from None


def _is_full(error: OSError) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _on_disk(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


class ObjectFileStore:
    """
    A prefix in an object store.

    :param file_system: file system of fsspec.
    :param path: the prefix, in the form that the file system takes.
    :param name: address of the prefix that may be shown, without secrets.
    """

    def __init__(self, file_system: Any, path: str, *, name: str) -> None:
        self.name = name
        self._file_system = file_system
        self._path = path.rstrip("/")

    def names(self) -> list[str]:
        """Return the names of all files at this moment."""
        with self._failures(), suppress(FileNotFoundError):
            self._file_system.invalidate_cache()
            objects = self._file_system.ls(f"{self._path}/", detail=False)
            # Consoles make an object with the folder's own name for each folder.
            paths = [path.strip("/") for path in objects]
            return [path.rpartition("/")[2] for path in paths if path != self._path.strip("/")]
        return []

    def folders(self) -> list[str]:
        """Return the names of the folders below this prefix."""
        with self._failures(), suppress(FileNotFoundError):
            self._file_system.invalidate_cache()
            entries = self._file_system.ls(f"{self._path}/", detail=True)
            paths = [entry["name"].strip("/") for entry in entries if entry["type"] == "directory"]
            return [path.rpartition("/")[2] for path in paths if path != self._path.strip("/")]
        return []

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        with self._failures(FileNotFoundError):
            content: bytes = self._file_system.cat_file(f"{self._path}/{name}")
            return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file; others see the old content or the new content, never a part."""
        with self._failures():
            self._file_system.pipe_file(f"{self._path}/{name}", content)

    def create(self, name: str, content: bytes) -> None:
        """Create a file; of several writers of the same name, at most one succeeds."""
        if not _creates_exclusively(self._file_system):
            raise NotImplementedError
        with self._failures(FileExistsError, NotImplementedError):
            try:
                self._file_system.pipe_file(f"{self._path}/{name}", content, mode="create")
            except (FileExistsError, NotImplementedError):
                raise
            except Exception:
                # Stores raise various errors for an existing file; and after a lost reply, the file may exist.
                if self._file_system.exists(f"{self._path}/{name}"):
                    raise FileExistsError(name) from None
                raise

    def fetch(self, name: str, path: Path) -> None:
        """Make a file's content available at a path of this machine, which does not exist yet."""
        with self._failures(FileNotFoundError):
            self._file_system.invalidate_cache()
            self._file_system.get_file(f"{self._path}/{name}", str(path))

    def store(self, name: str, write: Callable[[Path], object], *, scratch: Path) -> None:
        """Make a large file on this machine, and copy it to the prefix; others see all of it or nothing."""
        try:
            write(scratch_path(scratch.parent, scratch.name))
            with self._failures():
                self._file_system.put_file(str(scratch), f"{self._path}/{name}")
        finally:
            scratch.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Delete a file; a file that does not exist is no error."""
        with self._failures(), suppress(FileNotFoundError):
            self._file_system.rm_file(f"{self._path}/{name}")

    @contextmanager
    def _failures(self, *expected: type[Exception]) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # stores have errors of their own, with texts that may hold secrets
            if isinstance(error, expected):
                raise
            if isinstance(error, TypeError):  # the connection has options that the library does not know
                option = _OPTION.search(str(error))
                reason = f"it takes no option {option[1]}" if option else "TypeError"
                raise InvalidInputError(
                    f"{self.name}: its file system can't work with what its connection says ({reason})",
                    advice="Mend the extra of the store's connection.",
                ) from None
            raise StateUnavailableError(f"{self.name}: {words_of(error)}") from None


def _creates_exclusively(file_system: Any) -> bool:
    """Whether an fsspec file system leaves exclusive creation to its store; most check first and write after that."""
    for name in ("_pipe_file", "pipe_file"):
        method = getattr(type(file_system), name, None)
        if method and not method.__module__.startswith(("fsspec.spec", "fsspec.asyn")):
            return "mode" in inspect.signature(method).parameters
    return False
