r"""Texts that stand for "nothing", such as ``NULL`` and ``\N``: they count as blank in all formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from airflow_provider_audiences.members.columns import TextColumn

_AROUND = ((b"", b""), (b"", b"\r"), (b'"', b'"'), (b'"', b'"\r'))
"""Bytes that may surround such a text on a line: none, quotes, the carriage return of its line end."""


def without_null_values(column: TextColumn, null_values: Sequence[str]) -> TextColumn:
    """
    Return a column in which texts that stand for "nothing" are empty.

    :param column: a column of texts, which stays as it is.
    :param null_values: texts to compare with, exactly: case and white space count.
    """
    lengths = column.lengths.copy()
    for value in null_values:
        for before, behind in _AROUND:
            null = np.frombuffer(before + value.encode("utf-8", errors="surrogatepass") + behind, np.uint8)
            rows = np.flatnonzero(lengths == len(null))
            if len(null) and len(rows):
                found = column.data[column.starts[rows, None] + np.arange(len(null))]
                lengths[rows[(found == null).all(axis=1)]] = 0
    return replace(column, lengths=lengths)
