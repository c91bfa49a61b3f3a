"""
Delivery of a staged set to an AppLovin audience, batch by batch.

``update`` replaces the whole list, so a set of more than one batch is an update with the first and appends
with the rest. That is not atomic: in between, the audience holds a part of the set. A delivery that failed
begins again with the update.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_audiences.clients.applovin import AppLovinClient, UploadCounts
from airflow_provider_audiences.clients.validation import one_of, required_text, whole_number
from airflow_provider_audiences.exceptions import AudienceApiError, InvalidInputError
from airflow_provider_audiences.members.advertising_id import LINE_LENGTH
from airflow_provider_audiences.members.staging import StagedMembers

log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_SECONDS = 5.0


class DeliveryMode(StrEnum):
    """What a delivery does to the audience."""

    REPLACE = "replace"
    APPEND = "append"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True)
class UploadReport:
    """
    What was sent and how the platform counted it.

    :param audience_id: the audience.
    :param requests: HTTP requests, repetitions included.
    :param batches: request bodies.
    :param sent: advertising IDs sent, each counted once.
    :param accepted: those that the platform called valid.
    :param rejected_by_api: those that the platform called invalid.
    :param malformed: lines of the source that are no advertising ID.
    :param zeroed: all-zero IDs in the source.
    :param duplicates: lines of the source that repeat an earlier one.
    :param blank: empty lines of the source.
    :param bytes_sent: bytes of the bodies, each counted once.
    :param seconds: from the first request to the last reply.
    """

    audience_id: str
    requests: int
    batches: int
    sent: int
    accepted: int
    rejected_by_api: int
    malformed: int
    zeroed: int
    duplicates: int
    blank: int
    bytes_sent: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as small JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """
    What to do with a staged set; use :meth:`checked` to make one.

    :param audience_id: the audience.
    :param mode: replace, append or remove.
    :param batch_size: IDs a request.
    :param ttl_seconds: how long members stay; None for the API's default; 0 for remove.
    :param allow_empty: let an empty set replace the audience's content.
    """

    audience_id: str
    mode: DeliveryMode
    batch_size: int
    ttl_seconds: int | None
    allow_empty: bool

    @classmethod
    def checked(
        cls,
        *,
        audience_id: str,
        mode: DeliveryMode | str,
        batch_size: int,
        ttl_seconds: int | str | None,
        allow_empty: bool = False,
    ) -> Delivery:
        """
        Return a delivery whose arguments have been checked.

        :param audience_id: the audience.
        :param mode: replace, append or remove.
        :param batch_size: IDs a request; at least 1.
        :param ttl_seconds: how long members stay; at least 1; None for the API's default, and for remove.
        :param allow_empty: let an empty set replace the audience's content.
        :raises InvalidInputError: an argument is wrong.
        """
        mode = DeliveryMode(one_of("mode", mode, DeliveryMode))
        if mode is DeliveryMode.REMOVE:
            ttl_seconds = 0
        elif ttl_seconds in (0, "0"):
            raise InvalidInputError(
                f"ttl_seconds=0 would remove members, and this is {mode.value}: use the remove operator for that, "
                "or leave ttl_seconds out for the API's default of 365 days"
            )
        elif ttl_seconds is not None:
            ttl_seconds = whole_number("ttl_seconds", ttl_seconds, at_least=1)
        return cls(
            audience_id=required_text("audience_id", audience_id),
            mode=mode,
            batch_size=whole_number("batch_size", batch_size, at_least=1),
            ttl_seconds=ttl_seconds,
            allow_empty=allow_empty,
        )

    def run(self, client: AppLovinClient, staged: StagedMembers) -> UploadReport:
        """
        Send a staged set.

        :param client: of the account.
        :param staged: the set.
        :raises InvalidInputError: the set is empty and would empty the audience, or its source had only
            malformed lines; nothing was sent.
        :raises AudienceApiError: a batch failed; ``landed`` says how much the platform had taken before.
        """
        self._check_members(staged)
        progress = _Progress(staged)
        requests_before = client.requests_sent
        for send, body in self._bodies(client, staged):
            try:
                counts = send(audience_id=self.audience_id, advertising_ids=body, ttl_seconds=self.ttl_seconds)
            except AudienceApiError as error:
                error.landed = progress.landed(self.mode, maybe_applied=error.maybe_applied)
                raise
            progress.add(body, counts)
        return UploadReport(
            audience_id=self.audience_id,
            requests=client.requests_sent - requests_before,
            batches=progress.batches,
            sent=progress.sent,
            accepted=progress.accepted,
            rejected_by_api=progress.rejected,
            malformed=staged.malformed,
            zeroed=staged.zeroed,
            duplicates=staged.duplicates,
            blank=staged.blank,
            bytes_sent=progress.sent * LINE_LENGTH,
            seconds=round(progress.elapsed_seconds, 3),
        )

    def _check_members(self, staged: StagedMembers) -> None:
        if staged.members:
            return
        if staged.malformed:
            raise InvalidInputError(
                f"none of the source's lines is an advertising ID ({staged.malformed} are malformed): is it the "
                "right file, and plain text with one ID a line? Nothing was sent"
            )
        if self.mode is DeliveryMode.REPLACE and not self.allow_empty:
            raise InvalidInputError(
                "source has no advertising ID, and update would empty the audience; nothing was sent. "
                "Set allow_empty=True if that is meant"
            )
        log.warning("The source has no advertising ID.")

    def _bodies(
        self, client: AppLovinClient, staged: StagedMembers
    ) -> Iterator[tuple[Callable[..., UploadCounts], bytes]]:
        """Yield each request body with the call that it goes out by."""
        send = client.update_audience if self.mode is DeliveryMode.REPLACE else client.append_users
        if self.mode is DeliveryMode.REPLACE and not staged.members:
            yield send, b""
        for body in staged.batches(self.batch_size):
            yield send, body
            send = client.append_users


class _Progress:
    """Counts what has landed, and says so every few seconds."""

    def __init__(self, staged: StagedMembers) -> None:
        self._members = staged.members
        self._started = self._said = time.monotonic()
        self.batches = self.sent = self.accepted = self.rejected = 0

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._started

    def add(self, body: bytes, counts: UploadCounts) -> None:
        ids = len(body) // LINE_LENGTH
        self.batches += 1
        self.sent += ids
        self.accepted += counts.valid
        self.rejected += counts.invalid
        if counts.valid + counts.invalid != ids:
            log.warning(
                "Batch %d has %d IDs; AppLovin counted %d valid and %d invalid.",
                self.batches, ids, counts.valid, counts.invalid,
            )  # fmt: skip
        if time.monotonic() - self._said >= _PROGRESS_INTERVAL_SECONDS:
            self._said = time.monotonic()
            rate = self.sent / self.elapsed_seconds
            log.info(
                "Sent %d of %d IDs, %.0f a second, %.0f s to go.",
                self.sent, self._members, rate, (self._members - self.sent) / rate,
            )  # fmt: skip

    def landed(self, mode: DeliveryMode, *, maybe_applied: bool) -> str:
        """Say what the platform had taken when a batch failed."""
        if not self.batches and not maybe_applied:
            return "Nothing had been accepted before, and the audience is as it was."
        before = f"Before that, {self.batches} batches ({self.sent} of {self._members} IDs) were accepted."
        if mode is DeliveryMode.REPLACE:
            state = "a part of the set" if self.batches else "either its old content or the first batch"
            return f"{before} The audience now holds {state}; the next run begins again with the update."
        return f"{before} The next run sends all of them again, which does no harm."
