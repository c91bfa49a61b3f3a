"""Failures of the worker's disk, memory and database during staging, as errors that say where and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_audiences.exceptions import StateUnavailableError, WorkspaceUnavailableError

_FULL = {
    errno.ENOSPC: "it is full, or nearly so",
    errno.EDQUOT: "its quota is used up",
    errno.EFBIG: "a file there may not grow so large (ulimit -f)",
}
_FULL_IN_WORDS = {os.strerror(number).lower(): number for number in _FULL}
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}
_MANY_FILES_IN_WORDS = [os.strerror(number).lower() for number in sorted(_TOO_MANY_FILES)]
_UNREADABLE_IN_WORDS = [
    os.strerror(number)
    for number in (errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.ENOMEM, errno.EHOSTDOWN)
]
"""What systems say of a disk or a network that fails, or that refuses: the file may be whole."""
_NO_MEMORY = "out of memory"
_NOT_SPILLED = "failed to offload"
"""DuckDB's words for: the data did not fit into memory, and could not be written to the disk either."""


@contextmanager
def worker_failures(folder: Path) -> Iterator[None]:
    """
    Turn failures of the block for lack of disk space, memory or open files into errors that name the temporary folder.

    :param folder: the temporary folder that the block writes to.
    :raises WorkspaceUnavailableError: the folder is full, or the worker has no memory or no open files left.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        failure = _failure_of_worker(error, folder)
        if failure is None:
            raise
    else:
        return
    raise failure from None


def failure_of_disk(error: Exception, folder: Path) -> WorkspaceUnavailableError | None:
    """
    Return the error for a write of DuckDB that failed because the disk is full; None if it failed for another reason.

    :param error: an error of DuckDB, or of the library that takes its results.
    :param folder: the temporary folder, for the message.
    """
    number = _number_of_full_disk(error)
    return _full(folder, _FULL[number]) if number else None


def failure_of_write(error: Exception, path: Path | None, folder: Path) -> OSError | WorkspaceUnavailableError | None:
    """
    Return the error for a file that DuckDB could not write as a disk is full; None if it failed for another reason.

    :param error: an error of DuckDB.
    :param path: the file; None if it is in the temporary folder.
    :param folder: the temporary folder, to which DuckDB moves what does not fit into memory.
    :return: an error of the system if the disk of the file is full, for whoever knows what that disk is for.
    """
    number = _number_of_full_disk(error)
    if number and path and str(path) in str(error):
        return OSError(number, os.strerror(number))
    return failure_of_disk(error, folder)


def _number_of_full_disk(error: Exception) -> int | None:
    text = str(error).lower()
    number = next((number for words, number in _FULL_IN_WORDS.items() if words in text), None)
    return errno.ENOSPC if number is None and _NOT_SPILLED in text else number


def failure_of_reading(error: Exception) -> Exception | None:
    """
    Return the error for a file that could not be read although it may be whole; None if its content may be the cause.

    :param error: an error of DuckDB, or of the library that takes its results.
    :return: :class:`WorkspaceUnavailableError` if this worker may open no further files,
        :class:`StateUnavailableError` if the disk or the network failed.
    """
    text = str(error).lower()
    if any(words in text for words in _MANY_FILES_IN_WORDS):
        return _too_many_files()
    said = next((words for words in _UNREADABLE_IN_WORDS if words.lower() in text), None)
    if said is None:
        return None
    return StateUnavailableError(f"a file of members could not be read ({said})")


def failure_of_database(error: Exception) -> WorkspaceUnavailableError:
    """
    Return the error for a failure of DuckDB on data that this package wrote, so that the data is not the cause.

    :param error: the error of DuckDB.
    """
    if any(words in str(error).lower() for words in _MANY_FILES_IN_WORDS):
        return _too_many_files()
    if is_out_of_memory(error):
        return WorkspaceUnavailableError(
            "the database of staging does not do with its memory", advice="Raise [audiences] memory_limit."
        )
    return WorkspaceUnavailableError(
        f"the database of staging failed ({type(error).__name__})",
        advice="Check the temporary folder ([audiences] temp_folder), then try again.",
    )


def is_out_of_memory(error: Exception) -> bool:
    """
    Return whether an error says that DuckDB, or the library that takes its results, needs more memory than it may use.

    :param error: an error of either.
    """
    return isinstance(error, MemoryError) or _NO_MEMORY in str(error).lower()


def words_of(error: Exception) -> str:
    """
    Return the part of a store's error that may be shown: its type, and its code or the system's words for its number.

    :param error: an error of a file system or an object store; its own text may hold secrets.
    """
    name = type(error).__name__
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    response = getattr(error, "response", None)  # of botocore
    said = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    said = said or getattr(error, "error_code", None) or getattr(error, "code", None)
    return f"{name}: {said}" if isinstance(said, str | int) and _CODE.fullmatch(str(said)) else name


def no_room(folder: Path, *, needed_bytes: int, free_bytes: int, what: str) -> WorkspaceUnavailableError:
    """
    Return the error for a folder that has too little room for the work that is about to begin.

    :param folder: the folder, for the message.
    :param needed_bytes: bytes that the work will write at least.
    :param free_bytes: bytes that are free on the folder's disk.
    :param what: the work, in words for the message.
    """
    return WorkspaceUnavailableError(
        f"{folder} has {_megabytes(free_bytes)} free, and {what} takes about {_megabytes(needed_bytes)} there; nothing "
        "was sent"
    )


def _failure_of_worker(error: OSError | MemoryError, folder: Path) -> WorkspaceUnavailableError | None:
    if isinstance(error, MemoryError):
        return WorkspaceUnavailableError(
            "this worker has no memory left",
            advice="Run fewer tasks at once on it, or give it more memory; a later try may succeed.",
        )
    if error.errno in _TOO_MANY_FILES:
        return _too_many_files()
    said = _FULL.get(error.errno or 0)
    return _full(folder, said) if said else None


def _too_many_files() -> WorkspaceUnavailableError:
    return WorkspaceUnavailableError(
        "this worker may open no further files",
        advice="Raise the limit of open files (ulimit -n); a later try may succeed.",
    )


def _full(folder: Path, said: str) -> WorkspaceUnavailableError:
    return WorkspaceUnavailableError(f"the temporary folder {folder} takes no more: {said}")


def _megabytes(size: int) -> str:
    return f"{size / 10**6:,.0f} MB"
