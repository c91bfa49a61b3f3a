"""Dates of runs: an older run that comes late must not undo the changes of a newer one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class RunDate:
    """
    The dates of a DAG run, in seconds since 1970 (UTC).

    :param logical: logical date of the run.
    :param end: end of its data interval; None if the run has none.
    """

    logical: float
    end: float | None = None

    def is_older_than(self, other: RunDate) -> bool:
        """
        Return whether this run is older than another: its logical date, and also the end of its data interval if both
        have one.

        The logical date alone does not tell the order: a manual run in the middle of a day has a later logical date
        than that day's scheduled run, which starts after it. The ends of their data intervals do tell it.

        :param other: dates of the other run.
        """
        is_older = self.logical < other.logical
        if self.end is None or other.end is None:
            return is_older
        return is_older and self.end < other.end

    @property
    def text(self) -> str:
        """The logical date as text, for messages."""
        return datetime.fromtimestamp(self.logical, UTC).isoformat(sep=" ", timespec="seconds")

    def as_list(self) -> list[float | None]:
        """Return the dates as JSON."""
        return [self.logical, self.end]

    @classmethod
    def from_list(cls, content: Sequence[Any] | None) -> Self | None:
        """
        Return the dates that :meth:`as_list` has returned as JSON.

        :param content: the JSON; None if the dates are not known.
        """
        return None if content is None else cls(logical=content[0], end=content[1])
