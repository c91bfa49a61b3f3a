"""The output of COPY as blocks: a driver that writes row by row is held up, cancelled, or fails on the way."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_audiences.sources import copy_stream
from airflow_provider_audiences.sources.copy_stream import CopyStream

STATEMENT = "COPY (SELECT 1) TO STDOUT"


class CancelledError(Exception):
    """What the server answers to a statement that was cancelled."""


class Connection:
    """A connection and its cursor, which writes what the test gives it, as psycopg2 does: a row a call."""

    def __init__(self, rows: Callable[[], Iterator[bytes]]) -> None:
        self._rows = rows
        self.statements: list[str] = []
        self.written = 0
        self.cancelled = threading.Event()

    def copy_expert(self, statement: str, stream: io.BufferedWriter) -> None:
        self.statements.append(statement)
        for row in self._rows():
            if self.cancelled.is_set():
                raise CancelledError
            stream.write(row)
            self.written += len(row)

    def cancel(self) -> None:
        self.cancelled.set()


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Neither a thread nor a file is left."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "audiences-copy"]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def read(connection: Connection) -> list[bytes]:
    stream = CopyStream(connection, STATEMENT)
    try:
        return list(stream.blocks(stream.first_block()))
    finally:
        assert stream.close(connection)


@pytest.mark.parametrize(
    ("rows", "row"), [(0, b""), (1, b"one\n"), (5, b""), (100_000, b"0123456789abcdef\n"), (3, bytes(3 << 20))]
)
def test_all_that_was_written_comes_in_order(rows: int, row: bytes) -> None:
    connection = Connection(lambda: iter([row] * rows))
    blocks = read(connection)
    assert b"".join(blocks) == row * rows
    assert all(0 < len(block) <= 1 << 20 for block in blocks)
    assert connection.statements == [STATEMENT]
    assert not connection.cancelled.is_set(), "it has come to its end by itself"


def test_a_driver_is_held_up_while_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a large table don't pile up in memory."""
    monkeypatch.setattr(copy_stream, "_PIPE_BYTES", 1 << 16)
    full = threading.Event()

    def rows() -> Iterator[bytes]:
        for number in range(1000):
            if number == 1:
                full.set()
            yield bytes(1 << 16)

    connection = Connection(rows)
    stream = CopyStream(connection, STATEMENT)
    first = stream.first_block()
    assert full.wait(60)
    most = (1 << 20) + (1 << 20) + copy_stream._WRITE_BYTES + (1 << 16)
    assert connection.written <= len(first) + most
    assert sum(map(len, stream.blocks(first))) == 1000 << 16
    assert stream.close(connection)


@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_an_error_comes_after_the_rows_before_it(rows: int) -> None:
    def failing() -> Iterator[bytes]:
        yield from [b"0123456789abcdef\n"] * rows
        raise RuntimeError("the server went away")

    connection = Connection(failing)
    stream = CopyStream(connection, STATEMENT)
    found: list[bytes] = []
    with pytest.raises(RuntimeError, match="the server went away"):
        found.extend(stream.blocks(stream.first_block()))
    # A list takes nothing of an iterator that fails at once; what it got before stays.
    assert sum(map(len, found)) in {0, rows * 17}
    assert stream.close(connection)


def test_an_error_before_the_first_row_is_raised_by_the_first_block() -> None:
    """So that whoever asked for COPY may go on with another statement."""

    def refused() -> Iterator[bytes]:
        raise RuntimeError("syntax error")
        yield b""

    connection = Connection(refused)
    stream = CopyStream(connection, STATEMENT)
    with pytest.raises(RuntimeError, match="syntax error"):
        stream.first_block()
    assert stream.close(connection)


def test_a_copy_that_is_given_up_is_cancelled() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)

    connection = Connection(endless)
    stream = CopyStream(connection, STATEMENT)
    assert stream.first_block()
    assert stream.close(connection)
    assert connection.cancelled.is_set()


def test_a_server_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection can't be closed then, as another thread is in the midst of a call of it."""
    monkeypatch.setattr(copy_stream, "_END_SECONDS", 0.01)
    answers = threading.Event()

    def hanging() -> Iterator[bytes]:
        yield bytes(1 << 20)
        answers.wait(60)

    connection: Any = Connection(hanging)
    stream = CopyStream(connection, STATEMENT)
    assert stream.first_block()
    assert not stream.close(connection)
    answers.set()
    stream._thread.join()


def test_a_system_that_allows_no_larger_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr("fcntl.fcntl", refuse)
    assert b"".join(read(Connection(lambda: iter([b"row\n"] * 9)))) == b"row\n" * 9
