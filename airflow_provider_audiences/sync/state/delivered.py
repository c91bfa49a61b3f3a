"""Which rows of a plan the platform has taken, and when: what is written down after each request."""

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
    A range of rows.

    :param first: its first row.
    :param end: the row after its last.
    :param began: when its first request was sent, seconds since 1970, rounded down.
    :param ended: when its last reply came, rounded up.
    """

    first: int
    end: int
    began: int
    ended: int


class DeliveredRanges:
    """
    Ranges that don't overlap, few of them: neighbours become one.

    :param ranges: to begin with.
    """

    def __init__(self, ranges: Iterable[DeliveredRange] = ()) -> None:
        self._ranges = sorted(ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(taken.end - taken.first for taken in self._ranges)

    def add(self, first: int, end: int, *, began: float, ended: float) -> None:
        """
        Add a range.

        :param first: its first row.
        :param end: the row after its last.
        :param began: when its request was first sent, seconds since 1970.
        :param ended: when the reply came.
        """
        insort(self._ranges, DeliveredRange(first, end, math.floor(began), math.ceil(ended)))
        joined: list[DeliveredRange] = []
        for taken in self._ranges:
            last = joined[-1] if joined else taken
            both = DeliveredRange(last.first, taken.end, min(last.began, taken.began), max(last.ended, taken.ended))
            # What lies far apart in time stays apart: the times would say too little.
            if last.end == taken.first and both.ended - both.began <= _JOINED_SECONDS:
                joined[-1:] = [both]
            else:
                joined.append(taken)
        self._ranges = joined

    def missing(self, count: int) -> list[tuple[int, int]]:
        """
        Return the ranges that are not delivered, as first rows and ends.

        :param count: rows in all.
        """
        found, first = [], 0
        for taken in self._ranges:
            if taken.first > first:
                found.append((first, taken.first))
            first = taken.end
        return [*found, (first, count)] if first < count else found

    def lookup(self, first: int, count: int) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """
        Return for each of some rows whether it is delivered, and if so when that began and ended.

        :param first: the first row.
        :param count: how many.
        """
        if not self._ranges:
            return np.zeros(count, np.bool_), np.zeros(count, np.int64), np.zeros(count, np.int64)
        firsts, ends, began, ended = np.array(
            [(taken.first, taken.end, taken.began, taken.ended) for taken in self._ranges], np.int64
        ).T
        rows = np.arange(first, first + count)
        found = np.searchsorted(firsts, rows, side="right") - 1
        found[found < 0] = 0
        return (firsts[found] <= rows) & (rows < ends[found]), began[found], ended[found]

    def as_list(self) -> list[list[int]]:
        """Return it as small JSON."""
        return [[taken.first, taken.end, taken.began, taken.ended] for taken in self._ranges]


_JOINED_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """
    What is delivered of a plan.

    :param begun_at: no request of it was sent before this; seconds since 1970, rounded down.
    :param batches: how many requests were accepted.
    :param is_repeated: whether one of them was sent more than once, so that the platform may carry it out again
        some time later.
    :param is_update_repeated: whether that is so of the request that replaced the content.
    :param additions: rows of the plan's additions.
    :param removals: rows of the plan's removals.
    """

    begun_at: int
    batches: int = 0
    is_repeated: bool = False
    is_update_repeated: bool = False
    additions: DeliveredRanges = field(default_factory=DeliveredRanges)
    removals: DeliveredRanges = field(default_factory=DeliveredRanges)
