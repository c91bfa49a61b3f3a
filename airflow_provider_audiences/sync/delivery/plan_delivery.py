"""Delivery of a plan: sends the rows that are not delivered yet, in order, and records each accepted request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.keys.key_set import KeySet
from airflow_provider_audiences.stopping import Stopped
from airflow_provider_audiences.sync.delivery.progress import OnProgress, Progress
from airflow_provider_audiences.sync.delivery.sending import Phase, Sender
from airflow_provider_audiences.sync.destination import Destination
from airflow_provider_audiences.sync.open_audience import OpenAudience
from airflow_provider_audiences.sync.plan import PhaseName, Plan
from airflow_provider_audiences.sync.settings import DeliverySettings
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.lease import Lease
from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)


class StateJournal:
    """
    Records in an audience's state which rows of its current plan are delivered.

    :param state: state of the audience, with a plan that was begun.
    :param lease: lease of the audience; without it nothing more is sent.
    """

    def __init__(self, state: AudienceState, lease: Lease) -> None:
        self._state = state
        self._lease = lease
        self._lock = threading.Lock()
        self.request_seconds = 0.0
        """Sum of the times that all requests took."""

    def check(self) -> None:
        """
        Raise an error if this process does not hold the audience any more.

        :raises AudienceBusyError: another sync has taken over.
        """
        self._lease.check()

    def record_delivered(self, phase: Phase, first: int, end: int, *, seconds: float, is_repeated: bool) -> None:
        """
        Record delivered rows; they are on the disk when this returns.

        :param phase: the phase that the rows belong to.
        :param first: first row of the range.
        :param end: row after the last one of the range.
        :param seconds: seconds since the request was sent.
        :param is_repeated: whether the request may have been sent more than once.
        """
        with self._lock:
            self.request_seconds += seconds
        self._state.record_delivered(
            phase.name, first, end, seconds=seconds, is_repeated=is_repeated, is_replacement=phase.replaces
        )


@dataclass(frozen=True)
class _PlannedRows:
    """The members of one phase of a plan."""

    keys: KeySet
    identifier_kind: IdentifierKind

    def batch(self, first: int, count: int) -> MemberBatch:
        return MemberBatch(self.keys.slice(first, count), self.identifier_kind)


class PlanDelivery:
    """
    Sends the undelivered rows of a plan, and records them as they are delivered.

    :param destination: the audience at its platform.
    :param state: its state, in which the plan was begun.
    :param journal: records delivered rows in that state.
    :param plan: the plan to send.
    :param settings: batch size and parallel requests.
    """

    def __init__(
        self,
        destination: Destination,
        state: AudienceState,
        journal: StateJournal,
        plan: Plan,
        settings: DeliverySettings,
    ) -> None:
        self._destination = destination
        self._state = state
        self._journal = journal
        self._plan = plan
        self._settings = settings

    def send_all(self, progress: Progress, *, sleep: Callable[[float], None]) -> None:
        """
        Send additions first and removals after them.

        So the audience is never smaller than both its old and its new self.

        :param progress: counts what is sent.
        :param sleep: sleeps for a number of seconds.
        :raises AudienceError: a request failed, and was not or no longer repeated.
        """
        sender = Sender(
            progress,
            self._journal,
            batch_size=self._settings.batch_size,
            max_parallel_requests=self._settings.max_parallel_requests,
        )
        plan, delivered = self._plan, self._state.delivered
        if plan.replaces and not delivered.additions:
            sender.send_first(self._phase("additions", [(0, plan.additions.count)], replaces=True))
        if self._state.delivered.is_replacement_repeated:
            sender.wait_for_late_replacement(self._state.late_effect_seconds, sleep=sleep)
        missing = self._state.delivered.additions.missing(plan.additions.count)
        sender.send(self._phase("additions", missing))
        sender.send(self._phase("removals", self._state.delivered.removals.missing(plan.removals.count)))
        progress.log_totals()

    def send_first(self, progress: Progress) -> int:
        """
        Send one batch with the beginning of the plan, which replaces nothing, and no other request meanwhile.

        :param progress: counts what is sent.
        :return: how many members were sent; 0 if the plan has none.
        :raises AudienceError: the request failed, and was not or no longer repeated.
        """
        plan = self._plan
        name: PhaseName = "additions" if plan.additions.count else "removals"
        rows = plan.additions.count or plan.removals.count
        if not rows:
            return 0
        sender = Sender(progress, self._journal, batch_size=self._settings.batch_size, max_parallel_requests=1)
        return sender.send_first(self._phase(name, [(0, rows)]))

    def _phase(self, name: PhaseName, ranges: list[tuple[int, int]], *, replaces: bool = False) -> Phase:
        keys = self._plan.additions if name == "additions" else self._plan.removals
        return Phase(
            name=name,
            destination=self._destination,
            rows=_PlannedRows(keys, self._destination.identifier_kind),
            ranges=ranges,
            ttl_seconds=None if self._destination.limits.default_ttl_seconds is None else self._plan.ttl_seconds,
            replaces=replaces,
        )


@dataclass(frozen=True, kw_only=True)
class SentPlan:
    """
    A plan whose rows are all delivered.

    :param progress: sums of what was sent now.
    :param skipped_batches: number of requests of earlier tries, which were not sent again.
    :param seconds_per_request: average time of the requests that were sent now; 0 if there were none.
    """

    progress: Progress
    skipped_batches: int
    seconds_per_request: float


def send_begun_plan(
    audience: OpenAudience, plan: Plan, *, settings: DeliverySettings, on_progress: OnProgress | None, afterwards: str
) -> SentPlan:
    """
    Send what is not delivered yet of the plan that was begun.

    :param audience: the audience, in whose state the plan was begun.
    :param plan: the plan.
    :param settings: batch size and parallel requests.
    :param on_progress: called with the progress: at the beginning, every few seconds, and at the end.
    :param afterwards: what happens to the rest if a request fails, for the error.
    :raises AudienceError: a request failed, and was not or no longer repeated.
    """
    destination, state = audience.destination, audience.state
    delivered = state.delivered
    skipped = delivered.batches
    progress = Progress(
        additions=plan.additions.count - delivered.additions.count,
        removals=plan.removals.count - delivered.removals.count,
        destination=destination,
        on_progress=on_progress,
    )
    journal = StateJournal(state, audience.lease)
    try:
        PlanDelivery(destination, state, journal, plan, settings).send_all(progress, sleep=audience.sleep)
    except AudienceError as error:
        error.so_far = f"{_recorded(skipped + progress.batches)}: {afterwards}."
        raise
    except BaseException as error:
        done = _recorded(skipped + progress.batches)
        log.warning("%s ended the sync: no further request begins. %s.", type(error).__name__, done)
        if isinstance(error, Stopped):
            error.so_far = done
        raise
    pace = journal.request_seconds / progress.batches if progress.batches else 0.0
    return SentPlan(progress=progress, skipped_batches=skipped, seconds_per_request=pace)


def _recorded(batches: int) -> str:
    return counted(batches, "batch was accepted and is recorded", "batches were accepted and are recorded")
