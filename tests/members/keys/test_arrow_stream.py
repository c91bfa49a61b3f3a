"""Tables that are made while DuckDB pulls them: piece by piece, to the end, or to an error that is not lost."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import nanoarrow
import numpy as np
import pytest

from airflow_provider_audiences.members.keys.arrow_stream import PulledTable

SCHEMA = nanoarrow.c_schema(nanoarrow.struct({"n": nanoarrow.uint32()}))
NUMBER = nanoarrow.c_schema(nanoarrow.uint32())


def array(first: int, rows: int) -> Any:
    numbers = np.arange(first, first + rows, dtype=np.uint32)
    column = nanoarrow.c_array_from_buffers(NUMBER, rows, [None, numbers])
    return nanoarrow.c_array_from_buffers(SCHEMA, rows, [None], children=[column])


def arrays(pieces: int, rows: int) -> Iterator[Any]:
    return (array(piece * rows, rows) for piece in range(pieces))


def read(table: PulledTable, query: str = "FROM t") -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("t", table)
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(("pieces", "rows"), [(0, 0), (1, 1), (3, 7), (500, 10), (40, 10_000)])
def test_all_rows_come_in_order(pieces: int, rows: int) -> None:
    table = PulledTable(SCHEMA, arrays(pieces, rows))
    assert read(table) == [(number,) for number in range(pieces * rows)]
    assert table.has_ended
    assert table.failure is None


def test_the_schema_is_told_before_anything_is_made() -> None:
    made: list[int] = []

    def noted() -> Iterator[Any]:
        for piece in arrays(2, 3):
            made.append(piece.length)
            yield piece

    table = PulledTable(SCHEMA, noted())
    with duckdb.connect() as connection:
        connection.register("t", table)
        assert not made
        assert not table.has_ended
        assert connection.execute("SELECT sum(n) FROM t").fetchone() == (15,)
    assert made == [3, 3]
    assert nanoarrow.c_schema(table).child(0).format == "I"


def test_pieces_are_made_when_the_database_asks_for_them() -> None:
    """Not all at first: what is not wanted any more is never made."""
    made: list[int] = []

    def noted() -> Iterator[Any]:
        for piece in range(1000):
            made.append(piece)
            yield array(piece * 5000, 5000)

    table = PulledTable(SCHEMA, noted())
    assert read(table, "FROM t LIMIT 5000") == [(number,) for number in range(5000)]
    assert len(made) < 500
    assert not table.has_ended


@pytest.mark.parametrize("error", [RuntimeError("a reason"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("pieces", [0, 1, 50])
def test_an_error_ends_the_query_and_is_kept(error: BaseException, pieces: int) -> None:
    def failing() -> Iterator[Any]:
        yield from arrays(pieces, 1000)
        raise error

    table = PulledTable(SCHEMA, failing())
    with pytest.raises(duckdb.Error, match="the next piece of the table could not be made") as raised:
        read(table)
    assert table.failure is error
    assert not table.has_ended
    assert "a reason" not in str(raised.value), "it may say what nobody must see"


def test_a_table_that_is_given_up_ends_its_query() -> None:
    begun = threading.Event()

    def endless() -> Iterator[Any]:
        while True:
            yield array(0, 1000)
            begun.set()

    table = PulledTable(SCHEMA, endless())

    def end() -> None:
        begun.wait(60)
        table.end()

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(duckdb.Error):
        read(table, "SELECT count(*) FROM t")
    ending.join()
    assert table.failure is None
    assert not table.has_ended


@pytest.mark.parametrize(
    "leave", [lambda table: read(table, "FROM t LIMIT 1"), lambda table: table], ids=["early", "unread"]
)
def test_another_table_is_read_after_one_that_was_not_read_to_its_end(leave: Callable[[PulledTable], object]) -> None:
    leave(PulledTable(SCHEMA, arrays(100, 5000)))
    assert read(PulledTable(SCHEMA, arrays(2, 2))) == [(0,), (1,), (2,), (3,)]
