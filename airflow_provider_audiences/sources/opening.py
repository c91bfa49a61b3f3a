"""Turns an operator's ``source`` into an input for staging; has the rules that tell plain Python types apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from os import PathLike
from typing import Any

from airflow_provider_audiences.common.recognition import is_clearly_a_path, is_data_frame, is_path_list
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.inputs import FrameInput, MemberInput, ValuesInput
from airflow_provider_audiences.members.values import is_void
from airflow_provider_audiences.sources.joined import joined
from airflow_provider_audiences.sources.types import FileSource, Source
from airflow_provider_audiences.validation import a_type

_CHUNK_VALUES = 20_000


@contextmanager
def open_source(source: Any, *, argument: str = "source") -> Iterator[MemberInput]:
    """
    Find and open a source, and yield it as an input for staging for as long as the block lasts.

    A source is the first of these that fits:

    * an SqlSource, a FileSource, or another Source;
    * a data frame: pandas, Polars or Arrow, or anything else that exports Arrow data;
    * text or a path object: a file, a folder or a glob, local or in an object store;
    * a list of paths, where every item is a path object, or text that contains ``://`` or begins with ``/``, ``./``,
      ``../`` or ``~/``;
    * any other iterable: members, or rows of one column. It is read once, in chunks.

    If several tasks handed over the source, their parts are joined to one list first.

    :param source: value of the operator's field, masked or not.
    :param argument: name of that field, for messages; default ``source``.
    :raises InvalidInputError: the source is none of these, there is no such file, or the database refuses the
        statement.
    :raises SourceUnavailableError: the database failed, or could not be reached.
    """
    source = joined(source)
    if (
        not isinstance(source, Source)
        and not is_data_frame(source)
        and (isinstance(source, str | PathLike) or hasattr(source, "open") or is_path_list(source))
    ):
        source = FileSource(source)
    if isinstance(source, Source):
        with source.open_members() as members:
            yield members
    elif is_data_frame(source):
        yield FrameInput(frame=source, name=argument)
    elif isinstance(source, list | tuple) and any(map(is_clearly_a_path, source)):
        raise InvalidInputError(
            "source is a list of paths and of other things: a path begins with /, ./, ../ or ~/, or has :// in it"
        )
    elif isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | memoryview | Mapping):
        yield ValuesInput(chunks=_chunks(source), name=argument)
    else:
        raise InvalidInputError(
            f"source is {a_type(source)}: give a path, a list of members, a data frame, a FileSource or an SqlSource"
        )


def _chunks(values: Iterable[object]) -> Iterator[Sequence[object]]:
    """Yield the values in chunks. An iterator is never turned into one list."""
    try:
        iterator = iter(values)
    except TypeError:  # an array of numpy without dimensions
        raise InvalidInputError(f"source is a {type(values).__name__} of one value: give a list of members") from None
    first = 1
    while chunk := list(islice(iterator, _CHUNK_VALUES)):
        yield [_only_value(row, first + place) for place, row in enumerate(chunk)] if _is_row(chunk[0]) else chunk
        first += len(chunk)


def _is_row(value: object) -> bool:
    """Return whether a value is a row, as database cursors and Airflow's SQL operators return it, and not a member."""
    if isinstance(value, str | bytes | bytearray | memoryview) or hasattr(value, "as_py"):
        return False
    kind = type(value)
    return hasattr(kind, "__len__") and (hasattr(kind, "__getitem__")) and not is_void(value)


def _only_value(row: Any, number: int) -> object:
    if not _is_row(row):
        raise InvalidInputError(f"source, item {number}: a {type(row).__name__} is no row, and others are: give rows")
    if len(row) != 1:
        raise InvalidInputError(
            f"source, item {number}: a {type(row).__name__} of {len(row)} is not a member: give rows of one column, "
            "or the query itself as an SqlSource, with column= if it returns several"
        )
    return next(iter(row.values())) if isinstance(row, Mapping) else row[0]
