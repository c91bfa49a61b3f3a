"""The output of PostgreSQL's COPY, cut anywhere, is read as the rows that were written."""

import struct
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.reading.copied_rows import columns_of_texts, columns_of_uuids

ESCAPES = str.maketrans({"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"})
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

cuts = st.lists(st.integers(1, 30), min_size=1, max_size=5)
nasty = st.text(
    st.sampled_from("\\N.tnr\n\r\t\b\f\v\"',;\x01é手") | st.characters(exclude_characters="\0", codec="utf-8")
)


def blocks(written: bytes, sizes: list[int]) -> Iterator[bytes]:
    position = number = 0
    while position < len(written):
        size = sizes[number % len(sizes)]
        yield written[position : position + size]
        position, number = position + size, number + 1


def texts(columns: Iterator[TextColumn]) -> list[str]:
    return [column.text(row).decode() for column in columns for row in range(len(column))]


@given(rows=st.lists(st.none() | st.sampled_from(["\\N", "N", "", "\\", "\\."]) | nasty), sizes=cuts)
def test_texts(rows: list[str | None], sizes: list[int]) -> None:
    written = "".join("\\N\n" if row is None else row.translate(ESCAPES) + "\n" for row in rows)
    assert texts(columns_of_texts(blocks(written.encode(), sizes))) == [row or "" for row in rows]


@given(rows=st.lists(st.none() | st.uuids() | st.just(uuid.UUID(int=0))), sizes=cuts)
def test_uuids(rows: list[uuid.UUID | None], sizes: list[int]) -> None:
    written = b"".join(
        struct.pack(">hi?i", 2, 1, row is None, 16) + (uuid.UUID(int=0) if row is None else row).bytes for row in rows
    )
    columns = list(columns_of_uuids(blocks(HEADER + written + TRAILER, sizes)))
    assert texts(iter(columns)) == ["" if row is None else str(row) for row in rows]
    assert all(column.uuids for column in columns)


@pytest.mark.parametrize("read", [columns_of_texts, columns_of_uuids])
def test_nothing_is_no_rows(read: object) -> None:
    assert list(read([])) == []  # type: ignore[operator] # each of them is a function


def test_a_long_text_in_many_blocks() -> None:
    text = "x" * 100_000
    assert texts(columns_of_texts(blocks(f"a\n{text}\\\\\nb\n".encode(), [1000]))) == ["a", text + "\\", "b"]
