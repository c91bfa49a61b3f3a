"""
Data frames that are read value by value: arrays, and columns of Python objects.

DuckDB does not read arrays, and guesses the type of a column of objects from some of its values. This module imports no
data frame library: whoever passes a data frame has imported its library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.reading.arrow_arrays import parts_of_array

_CHUNK_VALUES = 20_000
_OBJECT_TYPES = frozenset({"object", "category", "Object"})


@dataclass(frozen=True, kw_only=True)
class PythonColumn:
    """
    A column whose values are read one by one.

    :param name: name of the column; empty for an array.
    :param chunks: the values, in chunks; or columns of texts.
    """

    name: str
    chunks: Iterator[Sequence[object] | TextColumn] = field(repr=False)


def collected(frame: Any) -> Any:
    """
    Return a data frame in memory: a lazy frame is computed, a series becomes a frame; an array is returned as it is.

    :param frame: data frame, series or array of any library.
    """
    for method in ("collect", "to_frame"):  # a lazy frame, a series
        frame = getattr(frame, method)() if hasattr(frame, method) else frame
    return frame


def python_column(frame: Any) -> PythonColumn | None:
    """
    Return the column to read value by value; None if DuckDB can read the data frame.

    :param frame: data frame or array, as :func:`collected` returns it.
    """
    if hasattr(frame, "to_pylist") and not hasattr(frame, "column_names"):  # an array of Arrow
        return PythonColumn(name="", chunks=parts_of_array(frame))
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
