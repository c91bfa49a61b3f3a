"""
Coming expiry: the first and the last time at which members of an audience expire, and how many do on each day.

It is counted in the ledger. Reports, the asset's state and the page Audiences show it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_audiences.sync.expiry_times import Seconds
from airflow_provider_audiences.sync.ledger import LATEST

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import DeliveryLimits
    from airflow_provider_audiences.sync.ledger import Ledger

MAX_DAYS = 400
_DAY_SECONDS = 24 * 3600
_ROWS = 1 << 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """
    When the members begin to expire that are in the audience for sure.

    :param first: the first time, in seconds since 1970 (UTC); None if nobody expires.
    :param last: the last time, in the same seconds.
    :param days: days (UTC) since 1970 with the number of members that begin to expire then, in order; the first
        :data:`MAX_DAYS` of them.
    """

    first: int | None = None
    last: int | None = None
    days: tuple[tuple[int, int], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON, with each day as ``YYYY-MM-DD``."""
        days = [[(_EPOCH + timedelta(days=day)).date().isoformat(), count] for day, count in self.days]
        return {"first": self.first, "last": self.last, "days": days}

    def report_fields(self) -> dict[str, Any]:
        """Return the fields of a report: the first and the last time as text in UTC."""
        return {"first_expiry": _as_text(self.first), "last_expiry": _as_text(self.last)}


def expiry_in(ledger: Ledger | Expiry | None, *, limits: DeliveryLimits, now: float) -> Expiry | None:
    """
    Return when the members of an audience begin to expire; None if they have no TTL, or if there is no ledger.

    :param ledger: the audience's ledger, or what was counted when it was written; None if there is none.
    :param limits: limits of the audience's platform, which say whether members have a TTL.
    :param now: seconds since 1970 (UTC).
    """
    if ledger is None or limits.default_ttl_seconds is None:
        return None
    return ledger if isinstance(ledger, Expiry) else expiry_of(ledger, now=now)


def expiry_of(ledger: Ledger, *, now: float) -> Expiry:
    """
    Count the members of a ledger by the day on which they begin to expire, in one pass over their times.

    :param ledger: the ledger.
    :param now: seconds since 1970 (UTC).
    """
    counter = ExpiryCounter(now=now)
    for start in range(0, ledger.keys.count, _ROWS):
        counter.add(ledger.earliest_expiry(slice(start, min(start + _ROWS, ledger.keys.count))))
    return counter.total()


class ExpiryCounter:
    """
    Counts members by the day on which they begin to expire.

    Members who may have expired, and those whose last request has no known outcome, are not counted.

    :param now: seconds since 1970 (UTC).
    """

    def __init__(self, *, now: float) -> None:
        self._now = now
        self._counts: Counter[int] = Counter()
        self._first, self._last = LATEST, 0

    def add(self, times: Seconds) -> None:
        """
        Count members.

        :param times: until when each of them is in the audience for sure; at least one.
        """
        least, most = int(times.min()), int(times.max())
        if least <= self._now or most >= LATEST:
            times = times[(times > self._now) & (times < LATEST)]
            if not times.size:
                return
            least, most = int(times.min()), int(times.max())
        self._first, self._last = min(self._first, least), max(self._last, most)
        self._counts.update(_by_day(times, first_day=least // _DAY_SECONDS, last_day=most // _DAY_SECONDS))

    def total(self) -> Expiry:
        """Return when all members begin to expire that were counted."""
        counts = self._counts
        days = tuple(sorted(counts.items())[:MAX_DAYS])
        return Expiry(first=self._first if counts else None, last=self._last if counts else None, days=days)


def _as_text(seconds: int | None) -> str | None:
    return None if seconds is None else (_EPOCH + timedelta(seconds=seconds)).isoformat()


def _by_day(times: Seconds, *, first_day: int, last_day: int) -> dict[int, int]:
    if first_day == last_day:
        return {first_day: len(times)}
    counts = np.bincount((times - np.uint32(first_day * _DAY_SECONDS)) // np.uint32(_DAY_SECONDS))
    return {first_day + int(day): int(counts[day]) for day in np.flatnonzero(counts)}
