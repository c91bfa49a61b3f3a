"""
The times of a ledger's members, in a file of a workspace.

Members who were sent together have the same times, and many of them are neighbours in the ledger. So a piece of the
times is written as runs of equal ones where that takes fewer bytes, and as it is where it does not.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.workspace import read_all, write_all

if TYPE_CHECKING:
    from airflow_provider_audiences.members.workspace import Workspace

Seconds = NDArray[np.uint32]
"""Seconds since 1970, UTC."""

_NUMBER_BYTES = 4
_PIECE_ROWS = 1 << 17
_RUN_NUMBERS, _ROW_NUMBERS = 3, 2
"""How many numbers a run takes in the file, and a row of a piece without runs."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """
    Where some rows lie in the file.

    :param first: the first row.
    :param end: the row after the last one.
    :param offset: how many numbers lie before it in the file.
    :param runs: number of runs: their ends, counted from the first row, then their earliest times, then their latest
        times. 0 if there are none, but the earliest times of all rows, and then the latest ones.
    """

    first: int
    end: int
    offset: int
    runs: int


class ExpiryTimes:
    """
    Two times for each row, which :class:`ExpiryTimesWriter` has written.

    :param file: the file.
    :param pieces: its pieces, in order.
    """

    def __init__(self, file: IO[bytes], pieces: list[_Piece]) -> None:
        self._file = file
        self._pieces = pieces
        self._starts = [piece.first for piece in pieces]

    def rows(self, range_of_rows: slice) -> tuple[Seconds, Seconds]:
        """
        Return the earliest and the latest times of some rows. Any thread may call it, at any time.

        :param range_of_rows: range of rows, with a start and a stop.
        """
        earliest, latest = self._columns(range_of_rows, 2)
        return earliest, latest

    def earliest(self, range_of_rows: slice) -> Seconds:
        """
        Return only the earliest times of some rows. Any thread may call it, at any time.

        :param range_of_rows: range of rows, with a start and a stop.
        """
        (earliest,) = self._columns(range_of_rows, 1)
        return earliest

    def _columns(self, wanted: slice, columns: int) -> list[Seconds]:
        found: list[list[Seconds]] = [[] for _ in range(columns)]
        row, number = wanted.start, bisect_right(self._starts, wanted.start) - 1
        while row < wanted.stop:
            piece = self._pieces[number]
            end = min(piece.end, wanted.stop)
            read = self._runs if piece.runs else self._plain
            for column, times in zip(found, read(piece, row - piece.first, end - piece.first, columns), strict=True):
                column.append(times)
            row, number = end, number + 1
        return [parts[0] if len(parts) == 1 else np.concatenate([*parts, _NONE]) for parts in found]

    def _plain(self, piece: _Piece, first: int, end: int, columns: int) -> list[Seconds]:
        rows = piece.end - piece.first
        return [self._read(piece.offset + column * rows + first, end - first) for column in range(columns)]

    def _runs(self, piece: _Piece, first: int, end: int, columns: int) -> list[Seconds]:
        numbers = self._read(piece.offset, (1 + columns) * piece.runs).reshape(-1, piece.runs)
        ends, times = numbers[0], numbers[1:]
        chosen = slice(np.searchsorted(ends, first, side="right"), np.searchsorted(ends, end) + 1)
        lengths = np.diff(np.minimum(ends[chosen], end), prepend=np.uint32(first))
        return [column.repeat(lengths) for column in times[:, chosen]]

    def _read(self, first: int, count: int) -> Seconds:
        return np.frombuffer(read_all(self._file, first * _NUMBER_BYTES, count * _NUMBER_BYTES), np.uint32)


class ExpiryTimesWriter:
    """
    Writes the times of a ledger's members, in their order.

    :param workspace: workspace in which the file is made.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.new_file()
        self._pieces: list[_Piece] = []
        self._rows = self._numbers = 0

    def add(self, earliest: Seconds, latest: Seconds) -> None:
        """
        Append times.

        :param earliest: the earliest times of the next rows.
        :param latest: their latest times, as many.
        """
        for first in range(0, len(earliest), _PIECE_ROWS):
            self._add_piece(earliest[first : first + _PIECE_ROWS], latest[first : first + _PIECE_ROWS])

    def finish(self) -> ExpiryTimes:
        """Return all times that were added."""
        return ExpiryTimes(self._file, self._pieces)

    def _add_piece(self, earliest: Seconds, latest: Seconds) -> None:
        rows = len(earliest)
        differs = earliest[1:] != earliest[:-1]
        differs |= latest[1:] != latest[:-1]
        lasts = np.append(np.flatnonzero(differs), rows - 1)  # the last row of each run
        runs = len(lasts) if _RUN_NUMBERS * len(lasts) < _ROW_NUMBERS * rows else 0
        columns = [(lasts + 1).astype(np.uint32), earliest[lasts], latest[lasts]] if runs else [earliest, latest]
        self._pieces.append(_Piece(self._rows, self._rows + rows, self._numbers, runs))
        for column in columns:
            write_all(self._file, np.ascontiguousarray(column))
            self._numbers += len(column)
        self._rows += rows


_NONE = np.empty(0, np.uint32)
