"""Delivery of a plan: sends the rows that are not delivered yet, in order, and records each accepted request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.keys.key_set import KeySet
from airflow_provider_audiences.sync.delivery.progress import Progress
from airflow_provider_audiences.sync.delivery.sending import Phase, Sender
from airflow_provider_audiences.sync.destination import Destination
from airflow_provider_audiences.sync.plan import PhaseName, Plan
from airflow_provider_audiences.sync.settings import SendSettings
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.lease import Lease

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
        settings: SendSettings,
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
            sender.wait_for_late_replacement(self._destination.limits.late_effect_seconds, sleep=sleep)
        missing = self._state.delivered.additions.missing(plan.additions.count)
        sender.send(self._phase("additions", missing))
        sender.send(self._phase("removals", self._state.delivered.removals.missing(plan.removals.count)))
        progress.log_totals()

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
