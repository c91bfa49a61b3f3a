"""Tables of keys: what is written is read again, by any tool; what is not such a table is refused."""

import errno
import re
import resource
import signal
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import WorkspaceUnavailableError
from airflow_provider_audiences.members.keys import key_order, key_tables
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.keys.key_tables import KeyTableError, read_key_table, write_key_table
from airflow_provider_audiences.members.workspace import Workspace

Row = tuple[int, int, int]
"""A key as one number, and two numbers beside it."""

COLUMNS = ("earliest", "latest")
MAX = 2**32 - 1

keys_as_numbers = st.sampled_from([0, 1, 2**128 - 1, 2**127, 2**64, 2**64 - 1]) | st.integers(0, 2**128 - 1)
numbers = st.sampled_from([0, 1, MAX, 2**31]) | st.integers(0, MAX)
tables = st.dictionaries(keys_as_numbers, st.tuples(numbers, numbers), max_size=40)


Piece = tuple[Keys, list[key_tables.Numbers]]


def pieces_of(rows: list[Row], piece_rows: int = 1 << 17) -> Iterator[Piece]:
    for first in range(0, len(rows), piece_rows):
        some = rows[first : first + piece_rows]
        keys = np.array([(key >> 64, key & (2**64 - 1)) for key, _, _ in some], np.uint64)
        yield keys, [np.array([row[number] for row in some], np.uint32) for number in (1, 2)]


def write(workspace: Workspace, path: Path, table: dict[int, tuple[int, int]], piece_rows: int = 1 << 17) -> list[Row]:
    """Write a table; return its rows, in order."""
    keys = np.array([(key >> 64, key & (2**64 - 1)) for key in table], np.uint64).reshape(len(table), 2)
    keys = key_order.unique(keys).keys
    rows = [(high << 64 | low, *table[high << 64 | low]) for high, low in keys.tolist()]
    write_key_table(workspace, path, pieces_of(rows, piece_rows), key_column="member", number_columns=COLUMNS)
    return rows


def read(workspace: Workspace, path: Path, columns: tuple[str, ...] = COLUMNS) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for keys, values in read_key_table(workspace, path, columns):
        assert keys.dtype == np.uint64
        assert keys.flags.writeable, "it is a copy: the buffers of the stream have gone by then"
        assert [column.dtype for column in values.values()] == [np.uint32] * len(columns)
        assert list(values) == list(columns)
        beside = zip(*(column.tolist() for column in values.values()), strict=True) if columns else [()] * len(keys)
        found += [(high << 64 | low, *more) for (high, low), more in zip(keys.tolist(), beside, strict=True)]
    return found


@settings(deadline=None, max_examples=60)
@given(table=tables, piece_rows=st.sampled_from([1, 3, 1 << 17]))
def test_round_trip(workspace: Workspace, table: dict[int, tuple[int, int]], piece_rows: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        rows = write(workspace, path, table, piece_rows)
        assert read(workspace, path) == rows
        assert read(workspace, path, ("latest",)) == [(key, latest) for key, _, latest in rows]
        assert read(workspace, path, ()) == [(key,) for key, _, _ in rows]


@pytest.mark.parametrize("piece_rows", [1, 7])
def test_open_files_do_not_grow_with_the_rows(workspace: Workspace, tmp_path: Path, piece_rows: int) -> None:
    """Twenty more than there are must do for hundreds of pieces."""
    table = {number * 2**90 + number: (number, MAX - number) for number in range(600)}
    assert write(workspace, tmp_path / "first.parquet", table), "the database is open, and what it needs is loaded"
    before = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 20, limits[1]))
    try:
        rows = write(workspace, tmp_path / "t.parquet", table, piece_rows)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(list(Path("/proc/self/fd").iterdir())) <= len(before)
    assert read(workspace, tmp_path / "t.parquet") == rows


@pytest.mark.parametrize("rows", [0, 1, 130_000, 300_000])
def test_sizes(workspace: Workspace, rows: int, tmp_path: Path) -> None:
    """None, one, and more than DuckDB hands over at once, or writes as one group."""
    path = tmp_path / "t.parquet"
    table = {number * 2**100 + number: (number, MAX - number) for number in range(rows)}
    written = write(workspace, path, table)
    assert len(written) == rows
    assert read(workspace, path) == written


def test_a_wrong_order_would_be_noticed(workspace: Workspace, tmp_path: Path) -> None:
    """The order of rows is the file's: nobody sorts by the value of keys on the way."""
    rows = write(workspace, tmp_path / "t.parquet", {number: (number, number) for number in range(1000)})
    assert rows != sorted(rows)
    assert read(workspace, tmp_path / "t.parquet") == rows


def test_other_tools_read_uuids(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = write(workspace, path, {2**128 - 1: (0, MAX), 1: (7, 8), 0x0123456789ABCDEFFEDCBA9876543210: (9, 10)})
    with duckdb.connect() as connection:
        names = connection.execute("SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(?))", [str(path)])
        assert names.fetchall() == [("member", "UUID"), ("earliest", "UINTEGER"), ("latest", "UINTEGER")]
        found = connection.execute("FROM read_parquet(?)", [str(path)]).fetchall()
    assert found == [(uuid.UUID(int=key), earliest, latest) for key, earliest, latest in rows]


@pytest.mark.parametrize("name", ["a [b] c.parquet", "o'brien.parquet", '"q".parquet', "*?[!x]{1,2}.parquet", "ä;--"])
def test_any_path(workspace: Workspace, name: str, tmp_path: Path) -> None:
    (folder := tmp_path / "fold[e]r 'x'").mkdir()
    write(workspace, tmp_path / "a b c.parquet", {9: (9, 9)})
    rows = write(workspace, folder / name, {5: (6, 7)})
    assert read(workspace, folder / name) == rows == [(5, 6, 7)]
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.fixture(scope="module")
def table(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    write(workspace, path, {number * 2**64: (number, number) for number in range(500)})
    return path


@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut(workspace: Workspace, table: Path, part: float, tmp_path: Path) -> None:
    content = table.read_bytes()
    path = tmp_path / "t.parquet"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(KeyTableError) as caught:
        read(workspace, path)
    assert str(tmp_path) not in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_bytes_that_were_changed(workspace: Workspace, table: Path, data: Any) -> None:
    """They give an error of ours, or rows: whether these are the old ones is told by their fingerprint."""
    content = table.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1) | st.integers(len(content) - 500, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        path.write_bytes(changed)
        try:
            rows = read(workspace, path)
        except KeyTableError:
            return
    assert all(0 <= key < 2**128 and 0 <= earliest <= MAX and 0 <= latest <= MAX for key, earliest, latest in rows)


UUID_TEXT = "'00000000-0000-0000-0000-000000000001'"
OTHERS = {
    "a column is missing": f"SELECT {UUID_TEXT}::UUID AS advertising_id, 1::UINTEGER AS earliest",
    "no key": "SELECT 1::UINTEGER AS earliest, 2::UINTEGER AS latest",
    "keys as text": f"SELECT {UUID_TEXT} AS advertising_id, 1::UINTEGER AS earliest, 2::UINTEGER AS latest",
    "keys as bytes": "SELECT 'abcdefghijklmnop'::BLOB AS advertising_id, 1::UINTEGER AS earliest, "
    "2::UINTEGER AS latest",
    "signed numbers": f"SELECT {UUID_TEXT}::UUID AS advertising_id, 1::INTEGER AS earliest, 2::UINTEGER AS latest",
    "long numbers": f"SELECT {UUID_TEXT}::UUID AS advertising_id, 1::UINTEGER AS earliest, 2::UBIGINT AS latest",
    "a number is missing": f"SELECT {UUID_TEXT}::UUID AS advertising_id, 1::UINTEGER AS earliest, "
    "NULL::UINTEGER AS latest",
    "a key is missing": "SELECT NULL::UUID AS advertising_id, 1::UINTEGER AS earliest, 2::UINTEGER AS latest",
    "one key of many is missing": "SELECT CASE WHEN i = 4000 THEN NULL ELSE uuid() END AS advertising_id, "
    "1::UINTEGER AS earliest, 2::UINTEGER AS latest FROM range(5000) AS numbers(i)",
    "a list": f"SELECT [{UUID_TEXT}::UUID] AS advertising_id, 1::UINTEGER AS earliest, 2::UINTEGER AS latest",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_tables(workspace: Workspace, name: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({OTHERS[name]}) TO '{path}' (FORMAT parquet)")
    with pytest.raises(KeyTableError) as caught:
        read(workspace, path)
    assert "00000001" not in str(caught.value)


NO_TABLES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("00000000-0000-0000-0000-000000000001\n" * 100),
    "only Parquet's mark": lambda path: path.write_bytes(b"PAR1"),
    "zeros": lambda path: path.write_bytes(b"PAR1" + bytes(1000) + b"PAR1"),
    "a folder": lambda path: path.mkdir(),
    "a broken link": lambda path: path.symlink_to(path.with_name("nowhere")),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_no_table_at_all(workspace: Workspace, name: str, tmp_path: Path) -> None:
    NO_TABLES[name](tmp_path / "t.parquet")
    with pytest.raises(KeyTableError):
        read(workspace, tmp_path / "t.parquet")
    with pytest.raises(KeyTableError):
        read(workspace, tmp_path / "not there")


def test_a_column_whose_name_is_no_text(workspace: Workspace, table: Path, tmp_path: Path) -> None:
    """DuckDB says so with an error that is none of its own."""
    (tmp_path / "t.parquet").write_bytes(table.read_bytes().replace(b"latest", b"lat\xe1st"))
    with pytest.raises(KeyTableError):
        read(workspace, tmp_path / "t.parquet")


def test_damage_that_kills_the_database(workspace: Workspace, table: Path, tmp_path: Path) -> None:
    """DuckDB fails in its own code, and then refuses all other work: there must be another one for that."""
    content, rows = table.read_bytes(), read(workspace, table)
    # The size of a column, which becomes a negative one.
    size = re.compile(rb"(latest\x15\x00\x16..\x16..\x16)(.)", re.DOTALL)
    damaged, changes = size.subn(lambda found: found[1] + bytes([found[2][0] ^ 1]), content)
    assert changes == 1
    (tmp_path / "t.parquet").write_bytes(damaged)
    with suppress(KeyTableError):  # older versions of DuckDB don't look at that size
        read(workspace, tmp_path / "t.parquet")
    assert read(workspace, table) == rows
    assert write(workspace, tmp_path / "new.parquet", {1: (2, 3)}) == read(workspace, tmp_path / "new.parquet")


def test_a_failure_leaves_the_database_usable(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no")
    for _ in range(3):
        with pytest.raises(KeyTableError):
            read(workspace, tmp_path / "bad.parquet")
        rows = write(workspace, tmp_path / "good.parquet", {1: (2, 3)})
        assert read(workspace, tmp_path / "good.parquet") == rows


def test_a_file_that_cannot_be_written_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnavailableError, match="the database of staging failed"):
        write(workspace, tmp_path / "nowhere" / "t.parquet", {1: (2, 3)})


ERRORS = [RuntimeError("the fold failed"), WorkspaceUnavailableError("no room"), KeyboardInterrupt(), SystemExit(3)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("pieces", [0, 1, 300])
def test_an_error_while_pieces_are_made_is_raised_as_it_is(
    workspace: Workspace, tmp_path: Path, error: BaseException, pieces: int
) -> None:
    """DuckDB, which had asked for the next piece, goes on with other work afterwards."""
    rows = [(number, number, number) for number in range(1000 * pieces)]

    def failing() -> Iterator[Piece]:
        yield from pieces_of(rows, 1000)
        raise error

    with pytest.raises(type(error)) as caught:
        write_key_table(workspace, tmp_path / "t.parquet", failing(), key_column="member", number_columns=COLUMNS)
    assert caught.value is error
    table = {1: (2, 3)}
    assert write(workspace, tmp_path / "next.parquet", table) == read(workspace, tmp_path / "next.parquet")


def test_pieces_are_made_when_they_are_written(workspace: Workspace, tmp_path: Path) -> None:
    """Of a table of 40 row groups, a few are in memory at any time: the file has grown by those before."""
    path = tmp_path / "t.parquet"
    keys = np.arange(2 * 122_880, dtype=np.uint64).reshape(-1, 2)
    numbers = [np.zeros(len(keys), np.uint32)] * 2
    waiting: list[int] = []

    def pieces() -> Iterator[Piece]:
        for made in range(1, 41):
            yield keys, numbers
            waiting.append(made * keys.nbytes - path.stat().st_size)

    write_key_table(workspace, path, pieces(), key_column="member", number_columns=COLUMNS)
    if int(duckdb.__version__.partition(".")[0]) > 1:  # version 1 keeps row groups while its memory limit allows
        assert max(waiting) <= 4 * keys.nbytes
    assert sum(len(found) for found, _ in read_key_table(workspace, path, COLUMNS)) == 40 * len(keys)


class Interrupted(BaseException):
    """What a signal raises."""


@pytest.mark.parametrize("number", range(40))
def test_a_signal_at_any_moment_ends_it_or_comes_after_its_end(
    workspace: Workspace, tmp_path: Path, number: int
) -> None:
    """It is never lost in the midst of a call by DuckDB, with a part of the table that looks like the whole."""
    rows = [(number, number, number) for number in range(2_000)]

    def interrupt(*_: object) -> None:
        raise Interrupted

    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001 + number * 0.002)
        pieces = pieces_of(rows, 10)
        write_key_table(workspace, tmp_path / "t.parquet", pieces, key_column="member", number_columns=COLUMNS)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        assert write(workspace, tmp_path / "next.parquet", {1: (2, 3)}), "the database goes on"
    else:
        assert read(workspace, tmp_path / "t.parquet") == rows
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_a_disk_that_is_full_is_that_of_the_file(workspace: Workspace, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "t.parquet"
    path.touch()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write(workspace, path, dict.fromkeys(range(30_000), (1, 2)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert write(workspace, tmp_path / "new.parquet", {1: (2, 3)}) == read(workspace, tmp_path / "new.parquet")


def test_reading_may_end_early(workspace: Workspace, tmp_path: Path) -> None:
    """Nothing is held open after that."""
    path = tmp_path / "t.parquet"
    write(workspace, path, dict.fromkeys(range(300_000), (1, 2)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        chunks = read_key_table(workspace, path, COLUMNS)
        next(chunks)
        assert isinstance(chunks, Generator)
        chunks.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
