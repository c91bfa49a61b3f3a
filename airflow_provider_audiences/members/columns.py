"""
A column of texts in one buffer: what every source becomes, whatever it was.

Lines of a file, strings of a Parquet column and values of a cursor all are bytes with a start and a length each,
so that one reader serves them all, and looks at thousands at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.refusal import Refusal

_PIECE_ROWS = 1 << 15
_NEWLINE = ord("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn:
    """
    Texts that lie in one buffer.

    :param data: the buffer.
    :param starts: where each text begins.
    :param lengths: bytes of each text; 0 also for a null.
    :param owner: keeps the buffer alive while it belongs to another library.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    owner: Any = None

    def __len__(self) -> int:
        return len(self.starts)

    def pieces(self) -> Iterator[TextColumn]:
        """Yield it in pieces that fit into the processor's cache while they are worked on."""
        for first in range(0, len(self), _PIECE_ROWS):
            piece = slice(first, first + _PIECE_ROWS)
            yield TextColumn(data=self.data, starts=self.starts[piece], lengths=self.lengths[piece], owner=self.owner)

    def text(self, row: int) -> bytes:
        """
        Return one text.

        :param row: counted from 0.
        """
        start = int(self.starts[row])
        return self.data[start : start + int(self.lengths[row])].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMembers:
    """
    The members among the texts of a column.

    :param keys: a key for each, in any order.
    :param refused: rows of the texts that are none, by reason, in order.
    """

    keys: Keys
    refused: Mapping[Refusal, NDArray[np.int64]]


def column_of_lines(block: bytes) -> TextColumn:
    r"""
    Return the lines of a block. Only ``\n`` ends a line: what else Unicode calls a line break is part of it.

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


def column_of_values(values: Sequence[object], *, name: str, first_row: int) -> TextColumn:
    """
    Return Python values as texts.

    :param values: text, bytes, UUIDs or None, which counts as blank.
    :param name: of the source, for messages.
    :param first_row: number of the first value, counted from 1, for messages.
    :raises InvalidInputError: a value is of another type.
    """
    try:
        # Nearly always it is plain text, and all of it is encoded in one go.
        lines = "\n".join((*values, ""))  # type: ignore[arg-type] # that is what is tried
    except TypeError:
        lines = ""
    if lines.isascii() and lines.count("\n") == len(values):
        return column_of_lines(lines.encode("ascii"))
    texts = [_encoded(value, name, row) for row, value in enumerate(values, start=first_row)]
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    starts = np.concatenate((np.zeros(1, np.int64), ends))[: len(texts)]
    return TextColumn(data=np.frombuffer(b"".join(texts), np.uint8), starts=starts, lengths=ends - starts)


def column_of_arrow(array: Any) -> TextColumn:
    """
    Return a column of Arrow strings, without copying them.

    :param array: a nanoarrow array of the type ``string`` or ``large_string``; its buffers must live on.
    """
    view = array.view()
    validity, offsets_buffer, data_buffer = (view.buffer(number) for number in range(3))
    offset_type = np.int64 if array.schema.format == "U" else np.int32
    rows = slice(array.offset, array.offset + array.length)
    offsets = np.frombuffer(offsets_buffer, offset_type)[rows.start : rows.stop + 1].astype(np.int64)
    lengths = np.diff(offsets)
    if validity.size_bytes:
        bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
        lengths[bits[rows] == 0] = 0
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer.size_bytes else np.empty(0, np.uint8)
    return TextColumn(data=data, starts=offsets[:-1], lengths=lengths, owner=array)


def _encoded(value: object, name: str, row: int) -> bytes:
    # Text comes first: it is what nearly all values are.
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass")
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, UUID):
        return str(value).encode("ascii")
    raise InvalidInputError(f"{name}, item {row}: a {type(value).__name__} is not a member: give text")
