"""
Delivery of a staged set without a plan: replace, append or remove.

A request that replaces the whole content takes one batch only. So a larger set replaces the content with its first
batch, and the other batches are added after that. This is not atomic: in between, the audience has only a part of the
set. A delivery that failed begins again with the replacement.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError
from airflow_provider_audiences.members.batches import request_count
from airflow_provider_audiences.stopping import Stopped
from airflow_provider_audiences.sync.delivery.progress import OnProgress, Progress
from airflow_provider_audiences.sync.delivery.sending import Journal, NoJournal, Phase, Sender
from airflow_provider_audiences.sync.report import DirectDeliveryReport
from airflow_provider_audiences.sync.settings import members_a_request, parallel_requests
from airflow_provider_audiences.validation import one_of, true_or_false, whole_seconds
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.destination import DeliveryLimits, Destination

log = logging.getLogger(__name__)


class DeliveryMode(StrEnum):
    """What a delivery does with the audience's members."""

    REPLACE = "replace"
    APPEND = "append"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True)
class DirectDelivery:
    """
    What to do with a staged set; :meth:`checked` makes one of a user's arguments.

    :param audience_id: id of the audience.
    :param mode: replace the content, append to it, or remove from it.
    :param batch_size: most members in a request.
    :param max_parallel_requests: most requests at the same time.
    :param ttl_seconds: how long members stay; None for the platform's default; 0 for removals.
    :param allow_empty: whether an empty set may replace the audience's content.
    """

    audience_id: str
    mode: DeliveryMode
    batch_size: int
    ttl_seconds: int | None
    allow_empty: bool
    max_parallel_requests: int

    @classmethod
    def checked(
        cls,
        *,
        audience_id: str,
        limits: DeliveryLimits,
        mode: DeliveryMode | str,
        batch_size: int | str,
        ttl_seconds: timedelta | float | str | None,
        allow_empty: bool = False,
        max_parallel_requests: int | str = 4,
    ) -> DirectDelivery:
        """
        Return the delivery of a user's arguments after checking them.

        :param audience_id: id of the audience.
        :param limits: what the platform accepts, and what it can do.
        :param mode: replace, append or remove.
        :param batch_size: whole number, at least 1.
        :param ttl_seconds: seconds, at least 1, or a timedelta; None for the platform's default, and for removals.
        :param allow_empty: whether an empty set may replace the audience's content.
        :param max_parallel_requests: whole number from 1 to the platform's limit. The first request of a replacement is
            always sent alone.
        :raises InvalidInputError: an argument is not of that form.
        """
        mode = DeliveryMode(one_of("mode", mode, DeliveryMode))
        if mode is DeliveryMode.REMOVE:
            ttl_seconds = 0
        elif ttl_seconds in (0, "0", timedelta(0)):
            raise InvalidInputError(
                f"ttl_seconds=0 would remove members, and this is {mode.value}: use the remove operator for that, "
                f"or leave ttl_seconds out for the platform's default of {counted(limits.ttl_seconds // 86_400, 'day')}"
            )
        elif ttl_seconds is not None:
            ttl_seconds = whole_seconds("ttl_seconds", ttl_seconds, at_least=1)
        return cls(
            audience_id=audience_id,
            mode=mode,
            batch_size=members_a_request(batch_size, limits=limits),
            ttl_seconds=ttl_seconds,
            allow_empty=true_or_false("allow_empty", allow_empty),
            max_parallel_requests=parallel_requests(max_parallel_requests, limits=limits),
        )

    def dry_run(self, destination: Destination, staged: StagedMembers) -> DirectDeliveryReport:
        """
        Return the report of a dry run: what :meth:`run` would send. Nothing is sent.

        :param destination: the audience at its platform.
        :param staged: the set to send.
        :return: a report with ``dry_run`` and the ``planned_…`` fields.
        :raises InvalidInputError: :meth:`run` would refuse the set.
        """
        self.check_members(staged)
        report = DirectDeliveryReport(dry_run=True, **self._planned(destination, staged))
        log.info(
            "Dry run: %s in %s (%s) would go to audience %s by %s. Nothing was sent.",
            counted(report.planned_ids, "member"), counted(report.planned_requests, "request"),
            counted(report.planned_bytes, "byte"), self.audience_id, self.mode.value,
        )  # fmt: skip
        return report

    def run(
        self,
        destination: Destination,
        staged: StagedMembers,
        *,
        on_progress: OnProgress | None = None,
        journal: Journal | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> DirectDeliveryReport:
        """
        Send a staged set, and return its report.

        :param destination: the audience at its platform.
        :param staged: the set to send.
        :param on_progress: called with the progress: at the beginning, every few seconds, and at the end.
        :param journal: records which rows are delivered; None for no records.
        :param sleep: sleeps for a number of seconds.
        :raises InvalidInputError: the set is empty and would empty the audience, or its source has only malformed
            texts; nothing was sent.
        :raises AudienceError: a request failed, and no further one was begun; ``so_far`` says how much the platform
            had accepted when the requests in flight had ended.
        """
        self.check_members(staged)
        requests_before = destination.requests_sent
        is_removal = self.mode is DeliveryMode.REMOVE
        progress = Progress(
            additions=0 if is_removal else staged.members,
            removals=staged.members if is_removal else 0,
            destination=destination,
            on_progress=on_progress,
        )
        try:
            self._send_all(destination, staged, progress, journal or NoJournal(), sleep)
        except AudienceError as error:
            error.so_far = self._accepted(progress)
            raise
        except BaseException as error:
            progress.mark_in_doubt()  # requests in flight may have been carried out
            log.warning(
                "%s ended the delivery: no further request begins. %s", type(error).__name__, self._accepted(progress)
            )
            if isinstance(error, Stopped):
                error.so_far = self._accepted(progress)
            raise
        return DirectDeliveryReport(
            dry_run=False,
            **self._planned(destination, staged),
            requests=destination.requests_sent - requests_before,
            sent=progress.sent,
            **progress.counts(),
            in_ledger=journal is not None,
            seconds=round(progress.elapsed_seconds, 3),
        )

    def _send_all(
        self,
        destination: Destination,
        staged: StagedMembers,
        progress: Progress,
        journal: Journal,
        sleep: Callable[[float], None],
    ) -> None:
        sender = Sender(progress, journal, batch_size=self.batch_size, max_parallel_requests=self.max_parallel_requests)
        phase = Phase(
            name="removals" if self.mode is DeliveryMode.REMOVE else "additions",
            destination=destination,
            rows=staged,
            ranges=[(0, staged.members)],
            ttl_seconds=self.ttl_seconds,
        )
        first = 0
        if self.mode is DeliveryMode.REPLACE:
            first = sender.send_first(replace(phase, replaces=True))
            if sender.is_repeated and first < staged.members:
                sender.wait_for_late_replacement(destination.limits.late_effect_seconds, sleep=sleep)
        sender.send(replace(phase, ranges=[(first, staged.members)]))
        progress.log_totals()

    def check_members(self, staged: StagedMembers) -> None:
        """
        Raise an error if a set must not be sent.

        :param staged: the set to send.
        :raises InvalidInputError: the set is empty and would empty the audience, or its source has only malformed
            texts.
        """
        if staged.members:
            return
        staged.refuse_without_members()
        if self.mode is DeliveryMode.REPLACE and not self.allow_empty:
            raise InvalidInputError(
                f"source has no {staged.member_name}, and would empty the audience; nothing was sent. "
                "Set allow_empty=True if that is meant"
            )
        log.warning("The source has no %s.", staged.member_name)

    def _planned(self, destination: Destination, staged: StagedMembers) -> dict[str, Any]:
        """Return the report's fields that are known before the first request."""
        replaces = self.mode is DeliveryMode.REPLACE
        return {
            "audience_id": self.audience_id,
            "planned_requests": request_count(staged.members, self.batch_size, replaces=replaces),
            "planned_ids": staged.members,
            "planned_bytes": staged.members * destination.max_member_bytes,
            **staged.text_counts(),
        }

    def _accepted(self, progress: Progress) -> str:
        """Return how much of a failed delivery the platform has accepted, as a sentence."""
        if not progress.batches and not progress.is_in_doubt:
            return "Nothing had been accepted before, and the audience is as it was."
        sent = f"({progress.sent:,} of {counted(progress.members, 'member')})"
        accepted = counted(progress.batches, f"batch {sent} was accepted", f"batches {sent} were accepted")
        text = f"Before that, {accepted}."
        if progress.is_in_doubt:
            text += " A request that failed may have been carried out as well."
        if self.mode is not DeliveryMode.REPLACE:
            return f"{text} The next run sends all of them again, which does no harm."
        state = "a part of the set" if progress.batches else "either its old content or the first batch"
        return f"{text} The audience now holds {state}; the next run begins again with the update."
