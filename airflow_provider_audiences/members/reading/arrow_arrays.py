"""Arrow arrays as parts of a column: texts, binary values and UUIDs as they lie in memory, all else as values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import nanoarrow

from airflow_provider_audiences.members.columns import ARROW_UUID, TextColumn, column_of_arrow

_CHUNK_VALUES = 20_000
_TEXT_OR_BINARY = frozenset({"u", "U", "z", "Z"})
_UUID_EXTENSION = b"arrow.uuid"


def parts_of_array(array: Any) -> Iterator[Sequence[object] | TextColumn]:
    """
    Yield an array in parts.

    :param array: an array of pyarrow, chunked or not.
    """
    for chunk in array.chunks if hasattr(array, "chunks") else [array]:
        lying = nanoarrow.c_array(chunk)
        if _is_column(lying.schema):
            yield from column_of_arrow(lying).pieces()
            continue
        for first in range(0, len(chunk), _CHUNK_VALUES):
            yield chunk.slice(first, _CHUNK_VALUES).to_pylist()


def _is_column(schema: Any) -> bool:
    if schema.format == ARROW_UUID:  # 16 bytes of another meaning may be text
        return schema.metadata is not None and _UUID_EXTENSION in dict(schema.metadata).values()
    return schema.format in _TEXT_OR_BINARY
