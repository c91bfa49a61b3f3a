"""How a plan goes out: what has not landed of it, in order, and each request written down when it has landed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

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
    Writes down in an audience's state what has landed of the plan that was begun.

    :param state: of the audience.
    :param lease: of the audience; whoever has lost it sends nothing more.
    """

    def __init__(self, state: AudienceState, lease: Lease) -> None:
        self._state = state
        self._lease = lease
        self._lock = threading.Lock()
        self.request_seconds = 0.0
        """What all requests took together."""

    def check(self) -> None:
        """
        Look whether the audience is still held.

        :raises AudienceBusyError: another sync has taken over.
        """
        self._lease.check()

    def delivered(self, phase: Phase, first: int, end: int, *, seconds: float, is_repeated: bool) -> None:
        """
        Write it down; when this returns, it is on the disk.

        :param phase: that the rows belong to.
        :param first: the first row.
        :param end: the row after the last.
        :param seconds: how long ago the request was sent.
        :param is_repeated: whether it may have been sent more than once.
        """
        with self._lock:
            self.request_seconds += seconds
        self._state.landed(phase.name, first, end, seconds=seconds, is_repeated=is_repeated, is_update=phase.replaces)


class PlanDelivery:
    """
    Sends what has not landed of a plan, and writes down what lands.

    :param destination: of the audience.
    :param state: of the audience; the plan was begun.
    :param journal: where it is written down what lands.
    :param plan: the plan.
    :param settings: how it is sent.
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
        Add first and remove then, so that the audience is never smaller than both before and after.

        :param progress: of what is sent.
        :param sleep: waits.
        :raises AudienceApiError: a request failed for good.
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
        if self._state.delivered.is_update_repeated:
            sender.outwait_replacement(self._destination.limits.late_effect_seconds, sleep=sleep)
        missing = self._state.delivered.additions.missing(plan.additions.count)
        sender.send(self._phase("additions", missing))
        sender.send(self._phase("removals", self._state.delivered.removals.missing(plan.removals.count)))
        progress.say_totals()

    def _phase(self, name: PhaseName, ranges: list[tuple[int, int]], *, replaces: bool = False) -> Phase:
        keys = self._plan.additions if name == "additions" else self._plan.removals
        kind, to = self._destination.kind, self._destination
        put = to.replace if replaces else to.add
        upload = to.remove if name == "removals" else partial(put, ttl_seconds=self._plan.ttl_seconds)

        def lines(first: int, count: int) -> bytes:
            return kind.lines(keys.slice(first, count))

        return Phase(name=name, lines=lines, ranges=ranges, upload=upload, replaces=replaces)
