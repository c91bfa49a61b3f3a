"""Progress of a delivery: sums of what the platform has accepted, and a line in the log every few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_audiences.sync.destination import BatchResult, Destination
from airflow_provider_audiences.sync.plan import PhaseName
from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)

OnProgress = Callable[["Progress"], None]
"""Called with the progress, in any thread."""

_INTERVAL_SECONDS = 5.0


class Progress:
    """
    Sums of what the platform has accepted, from all threads, and a line in the log every few seconds.

    It has sums only, which don't depend on the order in which requests end.

    :param additions: number of members to add; they are all sent before the first one is removed.
    :param removals: number of members to remove.
    :param destination: audience that is sent to, for messages.
    :param on_progress: called with this object at the beginning, as often as the log, and at the end.
    """

    def __init__(
        self,
        *,
        additions: int,
        removals: int,
        destination: Destination,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.members = additions + removals
        self._destination = destination
        self._on_progress = on_progress
        self.batches = self.sent = self.accepted = self.rejected = self.miscounted = self.splits = self.bytes_sent = 0
        self.added = self.removed = 0
        """How many members the platform took, to be added and to be removed: those of accepted requests, without the
        members that it rejected."""
        self.is_in_doubt = False
        """Whether a request failed that the platform may have carried out."""
        self._lock = threading.Lock()
        self._started = self._last_logged = time.monotonic()
        self.report()

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._started

    @property
    def _rate(self) -> float:
        return self.sent / max(self.elapsed_seconds, 1e-3)

    def add(self, members: int, result: BatchResult, *, phase: PhaseName) -> None:
        """
        Count an accepted batch.

        :param members: number of members in the batch.
        :param result: what the platform says of them; members that it does not count as rejected count as accepted.
        :param phase: the phase that the batch belongs to.
        """
        rejected = result.invalid or 0
        not_rejected = max(0, members - rejected)
        valid = not_rejected if result.valid is None else result.valid
        is_miscounted = None not in {result.valid, result.invalid} and valid + rejected != members
        with self._lock:
            self.batches += 1
            self.sent += members
            self.bytes_sent += result.body_bytes
            self.accepted += valid
            self.rejected += rejected
            if phase == "additions":
                self.added += not_rejected
            else:
                self.removed += not_rejected
            self.miscounted += is_miscounted
            is_first_miscounted = is_miscounted and self.miscounted == 1
            line = self._progress_line()
        if is_first_miscounted:
            log.warning(
                "A batch has %s; %s counted %d valid and %d invalid. Further ones are summed up at the end.",
                self._counted(members), self._destination.platform_name, valid, rejected,
            )  # fmt: skip
        if line:
            log.info("%s", line)
            self.report()

    def counts(self) -> dict[str, Any]:
        """Return the sums, by the names of the report's fields."""
        return {
            "batches": self.batches,
            "splits": self.splits,
            "accepted": self.accepted,
            "rejected_by_api": self.rejected,
            "miscounted_batches": self.miscounted,
            "bytes_sent": self.bytes_sent,
        }

    def report(self) -> None:
        """Call ``on_progress``, if there is one."""
        if self._on_progress:
            self._on_progress(self)

    def add_split(self) -> None:
        """Count a request body that was too large and was halved."""
        with self._lock:
            self.splits += 1

    def mark_in_doubt(self) -> None:
        """Note that the platform may have carried out a request that failed."""
        self.is_in_doubt = True

    def _counted(self, members: int) -> str:
        kind = self._destination.identifier_kind
        return counted(members, kind.name, kind.plural)

    def _progress_line(self) -> str | None:
        if self.sent >= self.members or time.monotonic() - self._last_logged < _INTERVAL_SECONDS:
            return None
        self._last_logged = time.monotonic()
        percent = 100 * self.sent // self.members
        rate = self._rate
        seconds_left = (self.members - self.sent) / rate
        return (
            f"Sent {self.sent:,} of {self._counted(self.members)} ({percent}%), "
            f"{rate:,.0f} a second, about {seconds_left:,.0f} s to go."
        )

    def log_totals(self) -> None:
        """Log the sums, and warn if the platform counted other numbers, or rejected members."""
        self.report()
        log.info(
            "Sent %s in %s in %.1f s (%s a second): %s accepted, %s rejected.",
            self._counted(self.sent), counted(self.batches, "batch", "batches"), self.elapsed_seconds,
            f"{self._rate:,.0f}", f"{self.accepted:,}", f"{self.rejected:,}",
        )  # fmt: skip
        kind = self._destination.identifier_kind
        if self.miscounted:
            log.warning(
                "%s counted other numbers than were sent in %d of %s: %s sent, and it counted %d valid and "
                "%d invalid.",
                self._destination.platform_name, self.miscounted, counted(self.batches, "batch", "batches"),
                counted(self.sent, f"{kind.name} was", f"{kind.plural} were"),
                self.accepted, self.rejected,
            )  # fmt: skip
        if self.rejected:
            log.warning(
                "%s rejected %d of %s although they are well formed: %s",
                self._destination.platform_name, self.rejected, self._counted(self.sent),
                self._destination.rejection_hint,
            )  # fmt: skip
