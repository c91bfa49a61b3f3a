"""
What of data frames is read value by value: arrays, which are no tables, and columns of Python objects.

DuckDB knows no arrays, and guesses the type of a column of objects from some of them. No library is imported here that
makes data frames: whoever gives one has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

_CHUNK_VALUES = 20_000
_OBJECT_TYPES = frozenset({"object", "category", "Object"})


@dataclass(frozen=True, kw_only=True)
class PythonColumn:
    """
    A column whose values are taken one by one.

    :param name: of the column; empty for an array.
    :param chunks: the values.
    """

    name: str
    chunks: Iterator[Sequence[object]] = field(repr=False)


def collected(frame: Any) -> Any:
    """
    Return a data frame that is neither lazy nor a series; an array as it is.

    :param frame: of any library.
    """
    for method in ("collect", "to_frame"):  # a lazy frame, a series
        frame = getattr(frame, method)() if hasattr(frame, method) else frame
    return frame


def python_column(frame: Any) -> PythonColumn | None:
    """
    Return the column to take value by value; None for a table that DuckDB reads.

    :param frame: a data frame or an array, collected.
    """
    if hasattr(frame, "to_pylist") and not hasattr(frame, "column_names"):  # an array of Arrow
        return PythonColumn(name="", chunks=_slices_of_arrow(frame))
    library = type(frame).__module__.partition(".")[0]
    if library not in {"pandas", "polars"}:
        return None
    columns = getattr(frame, "columns", None)
    if columns is None:
        return PythonColumn(name="", chunks=_chunks(frame)) if library == "pandas" else None
    if len(columns) != 1:
        return None
    column = frame.iloc[:, 0] if library == "pandas" else frame.to_series()
    if str(column.dtype) not in _OBJECT_TYPES:
        return None
    return PythonColumn(name=str(columns[0]), chunks=_chunks(column))


def _chunks(values: Any) -> Iterator[Sequence[object]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, _CHUNK_VALUES)):
        yield chunk


def _slices_of_arrow(array: Any) -> Iterator[Sequence[object]]:
    for first in range(0, len(array), _CHUNK_VALUES):
        yield array.slice(first, _CHUNK_VALUES).to_pylist()
