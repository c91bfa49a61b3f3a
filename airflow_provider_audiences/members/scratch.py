"""
Files in the temporary folder: for this user only, and none of them fills the disk to its last byte.

A small file may unpack to more than the disk has, and a full disk is a trouble for everybody on the worker. So the free
space is looked at while files grow.
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

_LOOK_BYTES = 4 << 20
"""So much may be written between two looks at the free space."""

_KEPT_PART = 10
_MOST_KEPT_BYTES = 512 << 20
"""A tenth of what was free when a file was made stays free, or so much."""


class ScratchFile(io.FileIO):
    """
    A file for writing and reading, without a buffer.

    :param folder: where it lies.
    :param name: its name there; None for one without a name, which goes when it is closed.
    :raises OSError: it can't be made; when it is written also if the disk would be nearly full.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        if name is None:
            descriptor, path = tempfile.mkstemp(dir=folder)
            Path(path).unlink()
        else:
            descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        super().__init__(descriptor, "rb+")
        free = free_bytes(descriptor)
        self._kept_bytes = 0 if free is None else min(free // _KEPT_PART, _MOST_KEPT_BYTES)
        self._unseen_bytes = 0

    def write(self, data: ReadableBuffer, /) -> int:
        """
        Write as much of some bytes as the system takes at once.

        :param data: the bytes.
        :return: how many were written.
        :raises OSError: the disk is full, or nearly so.
        """
        size = memoryview(data).nbytes
        self._unseen_bytes += size
        if self._unseen_bytes >= _LOOK_BYTES:
            self._unseen_bytes = 0
            free = free_bytes(self.fileno())
            if free is not None and free - size < self._kept_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def free_bytes(place: int | Path) -> int | None:
    """
    Return how much this user may write to a disk; None if its file system does not tell.

    :param place: a file or a folder on it.
    """
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize if disk.f_blocks else None


def scratch_path(folder: Path, name: str) -> Path:
    """
    Return the path of a new, empty file: whoever writes to it by its name leaves it to this user only.

    :param folder: where it lies.
    :param name: its name there.
    """
    ScratchFile(folder, name).close()
    return folder / name
