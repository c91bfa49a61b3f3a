"""From an operator's ``source`` to what staging takes; the rules that tell plain Python types apart are here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from os import PathLike
from typing import Any

from airflow_provider_audiences.common.hidden import is_clearly_a_path, is_data_frame, is_path_list, revealed
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.inputs import FrameInput, MemberInput, ValuesInput
from airflow_provider_audiences.sources.files import files_input
from airflow_provider_audiences.sources.types import FileSource, SqlSource
from airflow_provider_audiences.validation import a_type

_CHUNK_VALUES = 20_000


@contextmanager
def open_source(source: Any) -> Iterator[MemberInput]:
    """
    Find and open a source, for as long as the block lasts.

    What it may be, in this order:

    * text, or a path object: a file, a folder or a glob, local or in an object store;
    * a FileSource or an SqlSource;
    * a data frame: pandas, Polars or Arrow, or whatever else hands Arrow data over;
    * a list of paths: every item is a path object, or text that has ``://`` in it or begins with ``/``, ``./``,
      ``../`` or ``~/``;
    * any other iterable: members. It is read once, in chunks.

    :param source: the field of the operator, hidden or not.
    :raises InvalidInputError: it is none of these, there is no such file, or the database refuses the statement.
    :raises SourceUnavailableError: the database failed, or was not reached.
    """
    source = revealed(source)
    if isinstance(source, SqlSource):
        from airflow_provider_audiences.sources.sql import open_query

        with open_query(source) as values:
            yield values
        return
    if isinstance(source, FileSource):
        yield files_input(source)
    elif is_data_frame(source):
        yield FrameInput(frame=source)
    elif isinstance(source, str | PathLike) or hasattr(source, "open") or is_path_list(source):
        yield files_input(FileSource(source))
    elif isinstance(source, list | tuple) and any(map(is_clearly_a_path, source)):
        raise InvalidInputError(
            "source is a list of paths and of other things: a path begins with /, ./, ../ or ~/, or has :// in it"
        )
    elif isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | memoryview | Mapping):
        yield ValuesInput(chunks=_chunks(source))
    else:
        raise InvalidInputError(
            f"source is {a_type(source)}: give a path, a list of members, a data frame, a FileSource or an SqlSource"
        )


def _chunks(values: Iterable[object]) -> Iterator[Sequence[object]]:
    """Yield the values in chunks; an iterator is never made to one list."""
    iterator = iter(values)
    while chunk := list(islice(iterator, _CHUNK_VALUES)):
        yield chunk
