"""Files of stores while they are read: what a store raises meanwhile becomes an error of ours."""

from __future__ import annotations

from typing import IO, Any, Self

from airflow_provider_audiences.exceptions import AudienceApiError, SourceUnavailableError
from airflow_provider_audiences.members.failures import words_of


def store_failure(error: Exception, shown: str) -> SourceUnavailableError:
    """
    Return the error for a store that failed.

    :param error: what it raised; its text may hold secrets.
    :param shown: what may be shown of the source's address.
    """
    return SourceUnavailableError(
        f"source {shown}: its store failed ({words_of(error)}); nothing was sent",
        advice="Check the store and the source's connection, then try again.",
    )


class StoredStream:
    """
    A file of a store, opened for reading.

    :param stream: as the store's library opened it.
    :param shown: what may be shown of its address.
    """

    def __init__(self, stream: IO[bytes], shown: str) -> None:
        self._stream = stream
        self._shown = shown

    def read(self, size: int = -1, /) -> bytes:
        """
        Return at most so many bytes; none at the end.

        :param size: how many; a negative number for all.
        :raises SourceUnavailableError: the store failed.
        """
        try:
            return self._stream.read(size)
        except AudienceApiError:
            raise
        except Exception as error:  # noqa: BLE001 - the stores' errors have no common root
            failure = store_failure(error, self._shown)
        # Not in the handler: there the store's error would stay with ours.
        raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
