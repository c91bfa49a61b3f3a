"""Delivered ranges: which rows of a plan the platform has accepted, and when; recorded after each request."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, order=True)
class DeliveredRange:
    """
    A range of delivered rows.

    :param first: first row of the range.
    :param end: row after the last one of the range.
    :param began: when its first request was sent; seconds since 1970 (UTC), rounded down.
    :param ended: when its last reply came; seconds since 1970 (UTC), rounded up.
    """

    first: int
    end: int
    began: int
    ended: int


class DeliveredRanges:
    """
    A list of delivered ranges that don't overlap; neighbours are joined, so that the list stays short.

    :param ranges: ranges to begin with.
    """

    def __init__(self, ranges: Iterable[DeliveredRange] = ()) -> None:
        self._ranges = sorted(ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    @property
    def count(self) -> int:
        """Number of delivered rows."""
        return sum(taken.end - taken.first for taken in self._ranges)

    def add(self, first: int, end: int, *, began: float, ended: float) -> None:
        """
        Add a delivered range.

        :param first: first row of the range.
        :param end: row after the last one of the range.
        :param began: when its request was first sent, in seconds since 1970 (UTC).
        :param ended: when its reply came, in seconds since 1970 (UTC).
        """
        insort(self._ranges, DeliveredRange(first, end, math.floor(began), math.ceil(ended)))
        joined: list[DeliveredRange] = []
        for taken in self._ranges:
            last = joined[-1] if joined else taken
            union = DeliveredRange(last.first, taken.end, min(last.began, taken.began), max(last.ended, taken.ended))
            # Ranges far apart in time are not joined: their common times would be too vague.
            if last.end == taken.first and union.ended - union.began <= _JOINED_SECONDS:
                joined[-1:] = [union]
            else:
                joined.append(taken)
        self._ranges = joined

    def missing(self, count: int) -> list[tuple[int, int]]:
        """
        Return the ranges of rows that are not delivered, as pairs of first row and end.

        :param count: number of all rows.
        """
        found, first = [], 0
        for taken in self._ranges:
            if taken.first > first:
                found.append((first, taken.first))
            first = taken.end
        return [*found, (first, count)] if first < count else found

    def lookup(self, first: int, count: int) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """
        Return three arrays for some rows: whether each is delivered, and when its range began and ended.

        :param first: first of the rows.
        :param count: number of rows.
        """
        if not self._ranges:
            return np.zeros(count, np.bool_), np.zeros(count, np.int64), np.zeros(count, np.int64)
        firsts, ends, began, ended = np.array(
            [(taken.first, taken.end, taken.began, taken.ended) for taken in self._ranges], np.int64
        ).T
        rows = np.arange(first, first + count)
        nearest = np.searchsorted(firsts, rows, side="right") - 1
        nearest[nearest < 0] = 0
        return (firsts[nearest] <= rows) & (rows < ends[nearest]), began[nearest], ended[nearest]

    def as_list(self) -> list[list[int]]:
        """Return the ranges as JSON."""
        return [[taken.first, taken.end, taken.began, taken.ended] for taken in self._ranges]


_JOINED_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """
    What is delivered of a plan.

    :param begun_at: no request of the plan was sent before this time; seconds since 1970 (UTC), rounded down.
    :param batches: number of accepted requests.
    :param is_repeated: whether a request was sent more than once, so that the platform may carry it out again later.
    :param is_replacement_repeated: whether the request that replaces the content was sent more than once.
    :param additions: delivered rows of the plan's additions.
    :param removals: delivered rows of the plan's removals.
    """

    begun_at: int
    batches: int = 0
    is_repeated: bool = False
    is_replacement_repeated: bool = False
    additions: DeliveredRanges = field(default_factory=DeliveredRanges)
    removals: DeliveredRanges = field(default_factory=DeliveredRanges)
