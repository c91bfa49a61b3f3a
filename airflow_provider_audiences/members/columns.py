"""
A column of texts in one buffer: the common form of all sources.

The lines of a file, the strings of a Parquet column and the values of a cursor all become bytes with a start and a
length each. So one parser serves all sources, and works on thousands of texts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.reject_reasons import RejectReason
from airflow_provider_audiences.members.values import UUID_BYTES, EncodedValue, encoded_value

ARROW_UUID = f"w:{UUID_BYTES}"
"""How Arrow writes the type of values of 16 bytes; DuckDB has such a type for UUIDs only."""

_PIECE_ROWS = 1 << 15
_NEWLINE = ord("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn:
    """
    Texts that lie in one buffer.

    :param data: the buffer with the bytes of all texts.
    :param starts: offset in the buffer at which each text begins, in bytes.
    :param lengths: length of each text in bytes; 0 also for a null.
    :param owner: an object that keeps the buffer alive, if the buffer belongs to another library.
    :param binary: for each row, whether its value came as bytes and so need not be text; None if no value did.
    :param uuids: whether the buffer holds UUIDs as 16 bytes each instead of texts; :meth:`text` writes them as text.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    owner: Any = None
    binary: NDArray[np.bool_] | None = None
    uuids: bool = False

    def __len__(self) -> int:
        return len(self.starts)

    def pieces(self) -> Iterator[TextColumn]:
        """Yield the column in pieces of 32,768 rows, which fit into the processor's cache."""
        for first in range(0, len(self), _PIECE_ROWS):
            piece = slice(first, first + _PIECE_ROWS)
            yield replace(
                self,
                starts=self.starts[piece],
                lengths=self.lengths[piece],
                binary=None if self.binary is None else self.binary[piece],
            )

    def text(self, row: int) -> bytes:
        """
        Return one text.

        :param row: row in the column, counted from 0.
        """
        start = int(self.starts[row])
        text = self.data[start : start + int(self.lengths[row])].tobytes()
        return str(UUID(bytes=text)).encode("ascii") if self.uuids and text else text


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMembers:
    """
    What parsing a column has found: members, and rejected texts.

    :param keys: one key for each member, in any order, duplicates included.
    :param rejected: rows of the rejected texts by reason, ascending; rows count from 0 within the column.
    """

    keys: Keys
    rejected: Mapping[RejectReason, NDArray[np.int64]]


def column_of_lines(block: bytes) -> TextColumn:
    r"""
    Return the lines of a block as a column. Only ``\n`` ends a line; other line breaks of Unicode are part of it.

    :param block: whole lines; the last one may lack its line ending.
    """
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    if block and not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    starts = np.empty_like(ends)
    starts[:1] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    return TextColumn(data=data, starts=starts, lengths=ends - starts)


def column_of_values(
    values: Sequence[object] | TextColumn,
    *,
    name: str,
    first_row: int,
    takes_numbers: bool = False,
    unit: str = "item",
) -> TextColumn:
    """
    Return Python values as a column of texts.

    :param values: values of the types that :func:`~airflow_provider_audiences.members.values.encoded_value` takes; or a
        column, which is returned as it is.
    :param name: name of the source, for messages.
    :param first_row: number of the first value, counted from 1, for messages.
    :param takes_numbers: whether members may be numbers; if not, a number raises an error.
    :param unit: word for one value of the source, for messages.
    :raises InvalidInputError: a value has a type that can't be a member.
    """
    if isinstance(values, TextColumn):
        return values
    try:
        # Most sources have plain text or whole numbers only: these are encoded in one step.
        plain = [str(value) if type(value) is int else value for value in values] if takes_numbers else values
        lines = "\n".join((*plain, ""))  # type: ignore[arg-type] # that is what is tried
    except (TypeError, ValueError):  # Python writes no number of thousands of digits
        lines = ""
    if lines.isascii() and lines.count("\n") == len(values):
        return column_of_lines(lines.encode("ascii"))
    types = set(map(type, values))
    if UUID in types and types <= {UUID, type(None)}:
        return column_of_uuids([value.bytes if isinstance(value, UUID) else None for value in values])
    encoded = [
        _encoded(value, f"{name}, {unit} {row}", takes_numbers=takes_numbers)
        for row, value in enumerate(values, start=first_row)
    ]
    texts = [value.text for value in encoded]
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    starts = np.concatenate((np.zeros(1, np.int64), ends))[: len(texts)]
    binary = np.fromiter((value.is_binary for value in encoded), np.bool_, len(encoded))
    return TextColumn(
        data=np.frombuffer(b"".join(texts), np.uint8),
        starts=starts,
        lengths=ends - starts,
        binary=binary if binary.any() else None,
    )


def column_of_uuids(values: Sequence[bytes | None]) -> TextColumn:
    """
    Return UUIDs as a column.

    :param values: 16 bytes for each UUID, or None, which becomes an empty text.
    """
    lengths = np.fromiter((0 if value is None else UUID_BYTES for value in values), np.int64, len(values))
    return TextColumn(
        data=np.frombuffer(b"".join(value for value in values if value is not None), np.uint8),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        uuids=True,
    )


def column_of_arrow(array: Any) -> TextColumn:
    """
    Return a column of Arrow strings, binary values or UUIDs, without copying them.

    :param array: a nanoarrow array of the type ``string``, ``binary``, large or not, or ``arrow.uuid``; its buffers
        must live on.
    """
    view = array.view()
    rows = slice(array.offset, array.offset + array.length)
    has_uuids = array.schema.format == ARROW_UUID
    if has_uuids:
        validity, data_buffer = (view.buffer(number) for number in range(2))
        starts = np.arange(rows.start, rows.stop, dtype=np.int64) * UUID_BYTES
        lengths = np.full(len(starts), UUID_BYTES, np.int64)
    else:
        validity, offsets_buffer, data_buffer = (view.buffer(number) for number in range(3))
        offset_type = np.int64 if array.schema.format in {"U", "Z"} else np.int32
        offsets = np.frombuffer(offsets_buffer, offset_type)[rows.start : rows.stop + 1].astype(np.int64)
        starts, lengths = offsets[:-1], np.diff(offsets)
    if validity.size_bytes:
        bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
        lengths[bits[rows] == 0] = 0
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer.size_bytes else np.empty(0, np.uint8)
    binary = np.ones(len(lengths), np.bool_) if array.schema.format in {"z", "Z"} else None
    return TextColumn(data=data, starts=starts, lengths=lengths, owner=array, binary=binary, uuids=has_uuids)


def _encoded(value: object, place: str, *, takes_numbers: bool) -> EncodedValue:
    encoded = encoded_value(value, takes_numbers=takes_numbers)
    if encoded is None:
        raise InvalidInputError(f"{place}: a {type(value).__name__} is not a member: give text")
    return encoded
