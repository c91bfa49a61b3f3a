"""Which of two runs is the older one: a run that comes late must not undo what a newer one has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class RunDate:
    """
    What a run is about, in seconds since 1970.

    :param logical: the logical date.
    :param end: where its data interval ends; None if the run has none.
    """

    logical: float
    end: float | None = None

    def is_older_than(self, other: RunDate) -> bool:
        """
        Return whether both of its dates are older.

        A run that somebody triggers in the middle of a day has a younger logical date than the scheduled run of that
        day, which begins after it: their data intervals tell their order.

        :param other: of another run.
        """
        is_older = self.logical < other.logical
        if self.end is None or other.end is None:
            return is_older
        return is_older and self.end < other.end

    @property
    def text(self) -> str:
        """The logical date, for messages."""
        return datetime.fromtimestamp(self.logical, UTC).isoformat(sep=" ", timespec="seconds")

    def as_list(self) -> list[float | None]:
        """Return it as small JSON."""
        return [self.logical, self.end]

    @classmethod
    def from_list(cls, content: Sequence[Any] | None) -> Self | None:
        """
        Return what :meth:`as_list` returned.

        :param content: JSON; None if no date is known.
        """
        return None if content is None else cls(logical=content[0], end=content[1])
