"""When the members of an audience begin to expire, by the ledger, for whoever shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_audiences.sync.ledger import LATEST, REMOVAL_IN_DOUBT, Seconds

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.ledger import Ledger

MAX_DAYS = 400
_DAY_SECONDS = 24 * 3600
_ROWS = 1 << 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """
    When members begin to expire. Members whose last request has no known outcome are not counted.

    :param first: the first time, in seconds since 1970 (UTC); None if nobody expires.
    :param last: the last time.
    :param days: days (UTC) since 1970 with the number of members that begin to expire then, in order; the first
        :data:`MAX_DAYS` of them.
    """

    first: int | None
    last: int | None
    days: tuple[tuple[int, int], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON, with each day as ``YYYY-MM-DD``."""
        days = [[(_EPOCH + timedelta(days=day)).date().isoformat(), count] for day, count in self.days]
        return {"first": self.first, "last": self.last, "days": days}


def expiry_of(ledger: Ledger) -> Expiry:
    """
    Count the members of a ledger by the day on which they begin to expire, in one pass over their times.

    :param ledger: a ledger of an audience with a TTL.
    """
    counts: Counter[int] = Counter()
    first, last = LATEST, 0
    for start in range(0, ledger.keys.count, _ROWS):
        times = ledger.earliest_expiry(slice(start, min(start + _ROWS, ledger.keys.count)))
        least, most = int(times.min()), int(times.max())
        if least <= REMOVAL_IN_DOUBT or most >= LATEST:
            times = times[(times > REMOVAL_IN_DOUBT) & (times < LATEST)]
            if not times.size:
                continue
            least, most = int(times.min()), int(times.max())
        first, last = min(first, least), max(last, most)
        counts.update(_by_day(times, first_day=least // _DAY_SECONDS))
    days = tuple(sorted(counts.items())[:MAX_DAYS])
    return Expiry(first=first if counts else None, last=last if counts else None, days=days)


def _by_day(times: Seconds, *, first_day: int) -> dict[int, int]:
    counts = np.bincount((times - np.uint32(first_day * _DAY_SECONDS)) // np.uint32(_DAY_SECONDS))
    return {first_day + int(day): int(counts[day]) for day in np.flatnonzero(counts)}
