"""
Files in the temporary folder: readable by this user only, and never filling the disk completely.

A small compressed file may unpack to more than the disk has, and a full disk harms all tasks of the worker. So free
space is checked while files grow.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHECK_EVERY_BYTES = 4 << 20
"""Free space is checked once for this many bytes written."""

_KEPT_PART = 10
_MAX_KEPT_BYTES = 512 << 20
"""At most this much stays free: otherwise a tenth of the space that was free when the file was made."""


class ScratchFile(io.FileIO):
    """
    A new file for reading and writing, without a buffer.

    :param folder: folder in which the file is made.
    :param name: name of the file, which must be new; None for a file without a name, which is deleted when it is
        closed.
    :raises OSError: the file can't be made; on writing, the disk is full or nearly so.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        if name is None:
            descriptor, path = tempfile.mkstemp(dir=folder)
            Path(path).unlink()
        else:
            descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        super().__init__(descriptor, "rb+")
        free = free_bytes(descriptor)
        self._kept_bytes = 0 if free is None else min(free // _KEPT_PART, _MAX_KEPT_BYTES)
        self._unchecked_bytes = 0

    def write(self, data: ReadableBuffer, /) -> int:
        """
        Write some bytes, or the part of them that the system takes at once.

        :param data: the bytes to write.
        :return: how many were written.
        :raises OSError: the disk is full, or nearly so.
        """
        size = memoryview(data).nbytes
        self._unchecked_bytes += size
        if self._unchecked_bytes >= _CHECK_EVERY_BYTES:
            self._unchecked_bytes = 0
            free = free_bytes(self.fileno())
            if free is not None and free - size < self._kept_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def free_bytes(place: int | Path) -> int | None:
    """
    Return how many bytes this user may still write to a disk; None if its file system does not say.

    :param place: a folder on the disk, or the descriptor of an open file there.
    """
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize if disk.f_blocks else None


def scratch_path(folder: Path, name: str) -> Path:
    """
    Make an empty file that only this user may read, and return its path: for libraries that open files by path.

    :param folder: folder in which the file is made.
    :param name: name of the file, which must be new.
    """
    ScratchFile(folder, name).close()
    return folder / name
