r"""Texts that stand for "nothing", such as ``NULL`` and ``\N``: they count as blank in all formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import numpy as np

from airflow_provider_audiences.members.columns import TextColumn

_AROUND = ((b"", b""), (b"", b"\r"), (b'"', b'"'), (b'"', b'"\r'))
"""Bytes that may surround such a text on a line: none, quotes, the carriage return of its line end."""


def without_null_values(column: TextColumn, null_values: Sequence[str]) -> TextColumn:
    """
    Return a column in which texts that stand for "nothing" are empty.

    :param column: a column of texts or UUIDs, which stays as it is.
    :param null_values: texts to compare with, exactly: case and white space count.
    """
    lengths = column.lengths.copy()
    for value in null_values:
        for spelling in _uuids_of(value) if column.uuids else _spellings_of(value):
            null = np.frombuffer(spelling, np.uint8)
            rows = np.flatnonzero(lengths == len(null))
            if len(null) and len(rows):
                found = column.data[column.starts[rows, None] + np.arange(len(null))]
                lengths[rows[(found == null).all(axis=1)]] = 0
    return replace(column, lengths=lengths)


def _spellings_of(value: str) -> Iterator[bytes]:
    text = value.encode("utf-8", errors="surrogatepass")
    return (before + text + behind for before, behind in _AROUND)


def _uuids_of(value: str) -> Iterator[bytes]:
    """Yield the bytes of the UUID whose text a value is."""
    with suppress(ValueError):
        uuid = UUID(value)
        if str(uuid) == value:  # the text of a UUID is in lower case and has hyphens
            yield uuid.bytes
