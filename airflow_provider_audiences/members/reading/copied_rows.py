r"""
Rows as PostgreSQL's COPY writes them: one column of text in its text format, and UUIDs in its binary format.

The text format has one row a line. A NULL is ``\N``; a backslash, a line end and the like within a text are escaped by
a backslash, so only rows with one need a closer look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from airflow_provider_audiences.members.columns import TextColumn, column_of_lines
from airflow_provider_audiences.members.values import UUID_BYTES

_BACKSLASH, _NULL_LETTER = ord("\\"), ord("N")
_NULL_LENGTH = 2
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

_HEADER_BYTES = 19
"""A signature, flags, and an extension of no bytes, before the first row."""

UUID_COLUMNS = "member IS NULL, coalesce(member, '00000000-0000-0000-0000-000000000000')"
"""What to copy of a column ``member`` of UUIDs: two columns, so that each row has the same number of bytes."""

_UUID_ROW = np.dtype(
    {
        "names": ["is_null", "uuid"],
        "formats": ["u1", f"V{UUID_BYTES}"],
        "offsets": [2 + 4, 2 + 4 + 1 + 4],  # the number of columns, and the length of each
        "itemsize": 2 + 4 + 1 + 4 + UUID_BYTES,
    }
)


def columns_of_texts(blocks: Iterable[bytes]) -> Iterator[TextColumn]:
    """
    Yield the rows of one column in the text format.

    :param blocks: the output of COPY, in pieces of any size.
    """
    parts: list[bytes] = []
    for block in blocks:
        end = block.rfind(b"\n") + 1
        parts.append(block[:end])
        if end:
            yield _column_of_texts(b"".join(parts))
            parts.clear()
        parts.append(block[end:])
    if rest := b"".join(parts):
        yield _column_of_texts(rest)


def _column_of_texts(block: bytes) -> TextColumn:
    column = column_of_lines(block)
    if b"\\" not in block:
        return column
    escapes = np.flatnonzero(column.data == _BACKSLASH)
    data, starts, lengths = column.data.copy(), column.starts, column.lengths.copy()
    rows = np.unique(np.searchsorted(starts, escapes, side="right") - 1)
    short = rows[lengths[rows] == _NULL_LENGTH]
    nulls = short[(data[starts[short]] == _BACKSLASH) & (data[starts[short] + 1] == _NULL_LETTER)]
    lengths[nulls] = 0
    for row in np.setdiff1d(rows, nulls, assume_unique=True).tolist():
        text = _ESCAPED.sub(_unescaped, column.text(row))
        lengths[row] = len(text)
        data[starts[row] : starts[row] + len(text)] = np.frombuffer(text, np.uint8)
    return TextColumn(data=data, starts=starts, lengths=lengths)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return _ESCAPES.get(found[1], found[1])


def columns_of_uuids(blocks: Iterable[bytes]) -> Iterator[TextColumn]:
    """
    Yield the rows of :data:`UUID_COLUMNS` in the binary format.

    :param blocks: the output of COPY, in pieces of any size.
    """
    rest = b""
    is_header_read = False
    for block in blocks:
        rest += block
        if not is_header_read:
            if len(rest) < _HEADER_BYTES:
                continue
            rest, is_header_read = rest[_HEADER_BYTES:], True
        count = len(rest) // _UUID_ROW.itemsize
        if count:
            yield _column_of_uuids(rest, count)
            rest = rest[count * _UUID_ROW.itemsize :]  # at the end, the two bytes of the trailer


def _column_of_uuids(block: bytes, count: int) -> TextColumn:
    rows = np.frombuffer(block, _UUID_ROW, count)
    offset = _UUID_ROW.fields["uuid"][1]  # type: ignore[index] # it has fields
    return TextColumn(
        data=np.frombuffer(block, np.uint8),
        starts=np.arange(count, dtype=np.int64) * _UUID_ROW.itemsize + offset,
        lengths=np.where(rows["is_null"], 0, UUID_BYTES).astype(np.int64),
        uuids=True,
    )
