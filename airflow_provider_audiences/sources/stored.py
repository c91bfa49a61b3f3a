"""
A stream of a file in an object store, whose errors are those of this package.

A store's library raises errors of its own at any read, with texts that may hold secrets.
"""

from __future__ import annotations

from typing import IO, Any, Self

from airflow_provider_audiences.exceptions import AudienceError, SourceUnavailableError
from airflow_provider_audiences.members.failures import words_of


def store_failure(error: Exception, shown: str) -> SourceUnavailableError:
    """
    Return the error for a store that failed.

    :param error: what the store's library raised; its text may hold secrets.
    :param shown: the source's address without secrets, for messages.
    """
    return SourceUnavailableError(
        f"source {shown}: its store failed ({words_of(error)}); nothing was sent",
        advice="Check the store and the source's connection, then try again.",
    )


class StoredStream:
    """
    A file in a store, opened for reading.

    :param stream: file object of the store's library.
    :param shown: address of the file without secrets, for messages.
    """

    def __init__(self, stream: IO[bytes], shown: str) -> None:
        self._stream = stream
        self._shown = shown

    def read(self, size: int = -1, /) -> bytes:
        """
        Read bytes, at most ``size``; return none at the end of the file.

        :param size: most bytes to return; negative (default) for all that are left.
        :raises SourceUnavailableError: the store failed.
        """
        try:
            return self._stream.read(size)
        except AudienceError:
            raise
        except Exception as error:  # noqa: BLE001 - the stores' errors have no common root
            failure = store_failure(error, self._shown)
        # Raised outside the handler, so that our error does not keep the store's as its context.
        raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
