"""Which rows of a plan the platform has taken, and when: what is written down after each request."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, order=True)
class Landing:
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


class LandedRows:
    """
    Ranges that don't overlap, few of them: neighbours become one.

    :param landings: to begin with.
    """

    def __init__(self, landings: Iterable[Landing] = ()) -> None:
        self._landings = sorted(landings)

    def __bool__(self) -> bool:
        return bool(self._landings)

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(landing.end - landing.first for landing in self._landings)

    def add(self, first: int, end: int, *, began: float, ended: float) -> None:
        """
        Add a range.

        :param first: its first row.
        :param end: the row after its last.
        :param began: when its request was first sent, seconds since 1970.
        :param ended: when the reply came.
        """
        insort(self._landings, Landing(first, end, math.floor(began), math.ceil(ended)))
        joined: list[Landing] = []
        for landing in self._landings:
            last = joined[-1] if joined else landing
            both = Landing(last.first, landing.end, min(last.began, landing.began), max(last.ended, landing.ended))
            # What lies far apart in time stays apart: the times would say too little.
            if last.end == landing.first and both.ended - both.began <= _JOINED_SECONDS:
                joined[-1:] = [both]
            else:
                joined.append(landing)
        self._landings = joined

    def missing(self, count: int) -> list[tuple[int, int]]:
        """
        Return the ranges that have not landed, as first rows and ends.

        :param count: rows in all.
        """
        found, first = [], 0
        for landing in self._landings:
            if landing.first > first:
                found.append((first, landing.first))
            first = landing.end
        return [*found, (first, count)] if first < count else found

    def lookup(self, first: int, count: int) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """
        Return for each of some rows whether it has landed, and if so when that began and ended.

        :param first: the first row.
        :param count: how many.
        """
        if not self._landings:
            return np.zeros(count, np.bool_), np.zeros(count, np.int64), np.zeros(count, np.int64)
        firsts, ends, began, ended = np.array(
            [(landing.first, landing.end, landing.began, landing.ended) for landing in self._landings], np.int64
        ).T
        rows = np.arange(first, first + count)
        found = np.searchsorted(firsts, rows, side="right") - 1
        found[found < 0] = 0
        return (firsts[found] <= rows) & (rows < ends[found]), began[found], ended[found]

    def as_list(self) -> list[list[int]]:
        """Return it as small JSON."""
        return [[landing.first, landing.end, landing.began, landing.ended] for landing in self._landings]


_JOINED_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Landings:
    """
    What has landed of a plan.

    :param begun_at: no request of it was sent before this; seconds since 1970, rounded down.
    :param batches: how many requests have landed.
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
    additions: LandedRows = field(default_factory=LandedRows)
    removals: LandedRows = field(default_factory=LandedRows)
