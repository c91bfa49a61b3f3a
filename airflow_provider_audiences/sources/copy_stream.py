"""The output of COPY as blocks of bytes that are asked for, although psycopg2 only hands on row by row by itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

_BLOCK_BYTES = 1 << 20
_WRITE_BYTES = 1 << 18
_PIPE_BYTES = 1 << 20
_END_SECONDS = 10


class CopyStream:
    """
    A COPY that runs in a thread of its own and writes into a pipe, which holds it up while nobody reads.

    :param cursor: cursor of psycopg2 that nobody else uses.
    :param statement: a COPY to STDOUT.
    """

    def __init__(self, cursor: Any, statement: str) -> None:
        self._error: Exception | None = None
        reading, writing = os.pipe()
        with suppress(OSError, AttributeError):  # not on every system, and not beyond a user's limit
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._stream = open(reading, "rb", buffering=_BLOCK_BYTES)  # noqa: PTH123, SIM115 - a number of a file
        self._thread = Thread(target=self._run, args=(cursor, statement, writing), name="audiences-copy", daemon=True)
        self._thread.start()

    def first_block(self) -> bytes:
        """
        Return the first block; empty if there are no rows.

        :raises Exception: the driver's error, if there was one before the first row.
        """
        return next(self._blocks(), b"")

    def blocks(self, first: bytes) -> Iterator[bytes]:
        """
        Yield all blocks.

        :param first: what :meth:`first_block` has returned.
        :raises Exception: the driver's error, after what came before it.
        """
        if first:
            yield first
            yield from self._blocks()

    def close(self, connection: Any) -> bool:
        """
        End the copy if it has not come to its end.

        :param connection: its connection, to cancel the statement.
        :return: whether it has ended, so that the connection can be closed; if not, the network or the server hangs.
        """
        if self._thread.is_alive():
            with suppress(Exception):
                connection.cancel()
        self._stream.close()
        self._thread.join(_END_SECONDS)
        return not self._thread.is_alive()

    def _blocks(self) -> Iterator[bytes]:
        while block := self._stream.read(_BLOCK_BYTES):
            yield block
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self, cursor: Any, statement: str, writing: int) -> None:
        try:
            with open(writing, "wb", buffering=_WRITE_BYTES) as stream:
                cursor.copy_expert(statement, stream)
        except Exception as error:  # noqa: BLE001 - raised where the blocks are read
            self._error = error
