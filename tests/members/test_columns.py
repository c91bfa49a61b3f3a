"""Texts of every origin in one buffer."""

import uuid
from typing import Any

import nanoarrow
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import (
    TextColumn,
    column_of_arrow,
    column_of_lines,
    column_of_values,
)

ID = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"


def texts(column: TextColumn) -> list[bytes]:
    return [column.text(row) for row in range(len(column))]


@given(st.lists(st.binary(max_size=5).filter(lambda text: b"\n" not in text), min_size=1, max_size=10), st.booleans())
def test_lines(lines: list[bytes], ends: bool) -> None:
    block = b"\n".join(lines) + (b"\n" if ends else b"")
    # Without a line ending, nothing is behind the last one.
    expected = lines if ends or lines[-1] else lines[:-1]
    if block:
        assert texts(column_of_lines(block)) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", b"a"),
        (b"a", b"a"),
        (None, b""),
        ("", b""),
        ("\u4e2d", "\u4e2d".encode()),
        ("\ud800", b"\xed\xa0\x80"),
        ("a\nb", b"a\nb"),
        (uuid.UUID(ID), ID.encode()),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (float("nan"), b""),
    ],
)
def test_values(value: Any, text: bytes) -> None:
    assert texts(column_of_values([value], name="source", first_row=1)) == [text]
    assert texts(column_of_values(("x", value, None, "y"), name="source", first_row=1)) == [b"x", text, b"", b"y"]


def test_no_values() -> None:
    assert texts(column_of_values([], name="source", first_row=1)) == []
    assert texts(column_of_values([None, None], name="source", first_row=1)) == [b"", b""]


@pytest.mark.parametrize("value", [7, 1.5, ["a"], {"a": 1}, True, object()])
def test_values_that_are_no_members(value: Any) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"^hook, item 12: a {type(value).__name__} is not a member: give text"
    ):
        column_of_values(["a", None, value], name="hook", first_row=10)


@given(st.lists(st.text(max_size=4) | st.none(), max_size=30), st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_arrow(values: list[str | None], first: int, count: int, large: bool) -> None:
    values = [None if value is None else value.encode(errors="replace").decode() for value in values]
    array = pa.array(values, pa.large_string() if large else pa.string()).slice(first, count)
    found = texts(column_of_arrow(nanoarrow.c_array(array)))
    assert found == [(value or "").encode() for value in values[first : first + count]]


def test_what_lies_behind_a_null_in_arrow_is_no_text() -> None:
    """A null may have data; the format leaves it undefined."""
    offsets = np.array([0, 1, 3, 4], np.int32).tobytes()
    array = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(offsets), pa.py_buffer(b"abcd")])
    assert array.to_pylist() == ["a", None, "d"]
    assert texts(column_of_arrow(nanoarrow.c_array(array))) == [b"a", b"", b"d"]
