"""
The workspace of a staging: a temporary folder with files and a database, deleted when the work ends.

A worker that is killed can't delete its folder. So each folder has a lock, which the system releases with the process;
each new workspace deletes the unlocked folders beside it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import InvalidInputError, WorkspaceUnavailableError
from airflow_provider_audiences.members.failures import failure_of_database, failure_of_write, no_room, worker_failures
from airflow_provider_audiences.members.key_width import KEY_BYTES
from airflow_provider_audiences.members.scratch import ScratchFile, free_bytes
from airflow_provider_audiences.members.threads import THREADS

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

DEFAULT_MEMORY_LIMIT = "512MB"
_DEFAULT_MEMORY_BYTES = 512 * 10**6
MIN_WINDOW_BYTES = 8 << 20
"""Window that each Zstandard decompressor should support; enough for all levels up to 19."""

_PREFIX = "audiences-staging-"
_LOCK = "lock"
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?) *([KMG]I?B)", re.IGNORECASE)
_MIN_MEMORY_BYTES = 256 * 10**6
_OWN_MEMORY_BYTES = 112 * 10**6
"""Memory that staging needs beside the database: for reading texts, finding duplicates and making batches."""
_DATABASE_BYTES = 272 * 10**6
"""Memory that is left for the database, whatever else stays in memory."""


@dataclass(frozen=True, kw_only=True)
class StagingSettings:
    """
    Memory and disk that staging may use.

    :param memory_limit: most memory that staging holds, with a unit, such as ``512MB`` (the default) or ``2GB``; at
        least 256MB. Data beyond it goes to the disk.
    :param temp_folder: an existing folder on a disk with 32 bytes free for each text of the source (16 for a sync), and
        room for a copy of a table that is compressed or remote; None for the system's temporary folder.
    """

    memory_limit: str = DEFAULT_MEMORY_LIMIT
    temp_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.memory_limit_bytes < _MIN_MEMORY_BYTES:
            raise InvalidInputError(
                f"memory_limit must be at least {_MIN_MEMORY_BYTES // 10**6}MB, not {self.memory_limit!r}"
            )
        if self.temp_folder is not None and not self.temp_folder.is_dir():
            raise InvalidInputError(f"temp_folder {self.temp_folder} is no folder on this worker: make it")

    @property
    def memory_limit_bytes(self) -> int:
        """The memory limit in bytes."""
        match = _SIZE.fullmatch(str(self.memory_limit).strip())
        if not match:
            raise InvalidInputError(
                f"memory_limit must be a number with a unit, such as '512MB' or '2GB', not {self.memory_limit!r}"
            )
        return int(float(match[1]) * _UNITS[match[2].upper()])


class Workspace:
    """
    A temporary folder, and a database in it that is opened when it is first needed.

    :param folder: folder for files, which only this user may read.
    :param memory_limit_bytes: most memory that all work in this workspace may hold.
    :param key_bytes: bytes of a member's key, for sets that are made in this workspace.
    :param outer: the workspace that this one lies in, whose database it shares; None for none.
    """

    def __init__(
        self, folder: Path, *, memory_limit_bytes: int, key_bytes: int, outer: Workspace | None = None
    ) -> None:
        self.folder = folder
        self._outer = outer
        self.key_bytes = key_bytes
        self.memory_limit_bytes = memory_limit_bytes
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._taken_bytes = 0
        self._files: list[IO[bytes]] = []

    def new_file(self) -> IO[bytes]:
        """Return a file without a name for writing and reading; it is deleted with the workspace."""
        file = ScratchFile(self.folder)
        self._files.append(file)
        return file

    @contextmanager
    def nested(self) -> Iterator[Workspace]:
        """Yield a workspace whose files are deleted when the block ends; it shares this one's database."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        inner = Workspace(folder, memory_limit_bytes=self.memory_limit_bytes, key_bytes=self.key_bytes, outer=self)
        try:
            yield inner
        finally:
            inner.close()
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def place(self) -> Path:
        """The temporary folder that a user has set, for messages."""
        return self._outer.place if self._outer else self.folder.parent

    def open_file(self, path: Path) -> IO[bytes]:
        """
        Return a file that is open for reading until the workspace ends, without a buffer.

        :param path: path of the file.
        """
        file = path.open("rb", buffering=0)
        self._files.append(file)
        return file

    @property
    def window_bytes(self) -> int:
        """Most memory for a decompressor's window: 8 MiB, and half of the memory limit beyond its default of 512 MB."""
        return MIN_WINDOW_BYTES + max(0, self.memory_limit_bytes - _DEFAULT_MEMORY_BYTES) // 2

    def new_copy(self, name: str) -> IO[bytes]:
        """
        Return a new named file in the folder, with a buffer for writing.

        :param name: file name, which no other file in the folder has.
        """
        return io.BufferedRandom(ScratchFile(self.folder, name))

    def require(self, needed_bytes: int, what: str) -> None:
        """
        Raise an error if the disk has too little room for the work that is about to begin.

        :param needed_bytes: bytes that the work will write at least.
        :param what: the work, in words for the message.
        :raises WorkspaceUnavailableError: the disk has less.
        """
        free = free_bytes(self.folder)
        if free is not None and free < needed_bytes:
            raise no_room(self.place, needed_bytes=needed_bytes, free_bytes=free, what=what)

    def take_memory(self, size: int) -> bool:
        """
        Take memory for data that would else go to a file, until the workspace ends; return whether there is so much.

        There is none once the database is open, which then has what is left of the memory limit.

        :param size: how many bytes.
        """
        spare = self.memory_limit_bytes - _OWN_MEMORY_BYTES - _DATABASE_BYTES - self._taken_bytes
        if self._outer is not None or self._connection is not None or size > spare:
            return False
        self._taken_bytes += size
        return True

    @contextmanager
    def database_writes(self, path: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """
        Yield a database cursor for a block that writes data of this package.

        :param path: the file that the block writes, perhaps on another disk; None for one in the temporary folder.
        :raises OSError: the disk of that file is full.
        :raises WorkspaceUnavailableError: the temporary folder is full, the memory limit is too small, or the database
            failed.
        """
        import duckdb

        try:
            with self.connection.cursor() as cursor:
                yield cursor
        except duckdb.Error as error:
            failure = failure_of_write(error, path, self.place) or failure_of_database(error)
        else:
            return
        raise failure from None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection to the database; opened when it is first used."""
        if self._outer is not None:
            return self._outer.connection
        if self._connection is None:
            import duckdb  # not needed for sources of text

            self._connection = duckdb.connect(
                # Only what does not fit into memory goes to the folder.
                config={
                    "memory_limit": f"{self.memory_limit_bytes - _OWN_MEMORY_BYTES - self._taken_bytes}B",
                    "temp_directory": str(self.folder / "spilled"),
                    "threads": THREADS,
                    # UUIDs come as 16 bytes, not as texts.
                    "arrow_lossless_conversion": True,
                    # All formats read here are built in; DuckDB must not download extensions.
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        return self._connection

    def close_database(self) -> None:
        """Close the database; the next use of :attr:`connection` opens a new one."""
        if self._outer is not None:
            self._outer.close_database()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Close all files, and the database unless another workspace has it too."""
        if self._outer is None:
            self.close_database()
        for file in self._files:
            file.close()


def write_all(file: IO[bytes], data: NDArray[Any]) -> None:
    """
    Write a whole array to a file without a buffer, whose ``write`` may take a part only.

    :param file: file to write to, at its current position.
    :param data: array of numbers of any type.
    """
    rest = data.data.cast("B") if data.size else memoryview(b"")  # an empty array has no such view
    while rest:
        rest = rest[file.write(rest) :]


def read_all(file: IO[bytes], first_byte: int, size: int) -> bytes:
    """
    Read bytes at an offset of a file. Any thread may call it, at any time.

    :param file: file of a workspace to read from.
    :param first_byte: offset of the first byte.
    :param size: number of bytes to read.
    :raises OSError: the file has fewer bytes.
    """
    data = os.pread(file.fileno(), size, first_byte)
    if len(data) != size:
        raise OSError(errno.EIO, "a file of the staging folder was changed while it was in use")
    return data


@contextmanager
def open_workspace(settings: StagingSettings, *, key_bytes: int = KEY_BYTES) -> Iterator[Workspace]:
    """
    Yield a new workspace, and delete it when the block ends.

    :param settings: memory and disk that it may use.
    :param key_bytes: bytes of a member's key, for sets that are made in it; default 16.
    :raises InvalidInputError: this user can't write to the temporary folder.
    :raises WorkspaceUnavailableError: it is full, or the worker has no memory or no open files left.
    """
    parent = settings.temp_folder or _default_folder()
    with worker_failures(parent), _opened(parent, settings, key_bytes) as workspace:
        yield workspace


@contextmanager
def _opened(parent: Path, settings: StagingSettings, key_bytes: int) -> Iterator[Workspace]:
    _remove_abandoned(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise InvalidInputError(
            f"the temporary folder {parent} can't be written ({error.strerror}): let the worker's user write there, or "
            "set [audiences] temp_folder; nothing was sent"
        ) from None
    lock = ScratchFile(folder, f"{_LOCK}-in-the-making")
    try:
        # The lock file gets its name once it is locked: others must not take a new folder for an abandoned one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f"{_LOCK}-in-the-making").rename(folder / _LOCK)
        workspace = Workspace(folder, memory_limit_bytes=settings.memory_limit_bytes, key_bytes=key_bytes)
        try:
            yield workspace
        finally:
            workspace.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _default_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # Python has tried to write to each that the system knows
        raise WorkspaceUnavailableError("no temporary folder of this worker takes a file") from None


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Folders of other users, or just being made or deleted, are left alone.
        with suppress(OSError), (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
