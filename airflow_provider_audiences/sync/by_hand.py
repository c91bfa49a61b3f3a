"""
Updates, appends and removals by hand of an audience that is synced as well: its ledger notes them.

They go out as a plan of the state does, so whatever happens to them, the next sync knows who may be there. Who is
removed is held back from then on, and who is added stays, also if nothing of it is known to have landed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.keys.key_sets import nobody
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.delivery.upload import Delivery, DeliveryMode, Notes, UploadReport
from airflow_provider_audiences.sync.ledger import LATEST_EFFECT_SECONDS
from airflow_provider_audiences.sync.plan import Changes, Plan
from airflow_provider_audiences.sync.settings import DEFAULT_TTL_SECONDS
from airflow_provider_audiences.sync.state.audience_state import AudienceState, Leg
from airflow_provider_audiences.sync.state.head import AudienceAddress
from airflow_provider_audiences.sync.state.lease import Holder, Lease, Wait, leased

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
    from airflow_provider_audiences.sync.delivery.sending import OnProgress
    from airflow_provider_audiences.sync.marks import Marks
    from airflow_provider_audiences.sync.state.folder import StateFolder

log = logging.getLogger(__name__)


@contextmanager
def open_by_hand(
    client: AppLovinClient,
    folder: StateFolder,
    *,
    audience_id: str,
    holder: Holder,
    wait: Wait | None = None,
    staging: StagingSettings | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[ByHand]:
    """
    Hold an audience that is synced, and yield what changes it by hand.

    :param client: of the account.
    :param folder: where the audience's state lies.
    :param audience_id: the audience.
    :param holder: who changes it.
    :param wait: called as long as a sync holds the audience; None for no wait.
    :param staging: memory and disk to use; None for the defaults.
    :param clock: seconds since 1970.
    :param sleep: waits.
    :raises AudienceBusyError: a sync of this audience is under way.
    """
    address = AudienceAddress(platform="applovin", host=client.host, audience_id=audience_id)
    holding = leased(folder, holder, wait=wait, clock=clock)
    with holding as lease, open_workspace(staging or StagingSettings()) as workspace:
        state = AudienceState(folder, address, lease=lease, workspace=workspace, clock=clock)
        yield ByHand(client, state, lease=lease, workspace=workspace, clock=clock, sleep=sleep)


class ByHand:
    """
    Changes an audience that it holds; made by :func:`open_by_hand`.

    :param client: of the account.
    :param state: of the audience.
    :param lease: of the audience.
    :param workspace: for what is made on the way.
    :param clock: seconds since 1970.
    :param sleep: waits.
    """

    def __init__(
        self,
        client: AppLovinClient,
        state: AudienceState,
        *,
        lease: Lease,
        workspace: Workspace,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._client = client
        self._state = state
        self._lease = lease
        self._workspace = workspace
        self._clock = clock
        self._sleep = sleep

    def run(self, delivery: Delivery, staged: StagedMembers, *, on_progress: OnProgress | None = None) -> UploadReport:
        """
        Send a staged set, and note it in the ledger.

        :param delivery: what to do with the set.
        :param staged: the set.
        :param on_progress: told how many IDs have landed.
        :raises InvalidInputError: the set must not be sent; nothing was.
        :raises AudienceApiError: a request failed, and no further one was begun.
        """
        delivery.check_members(staged)
        try:
            self._state.load()
            ledger = self._state.recovered(self._state.ledger())
            marks = self._state.marks()
        except LedgerLostError as error:
            # Who is to be removed must not stay because of that.
            log.warning("This is sent, and no ledger notes it: %s", error)
            return delivery.run(self._client, staged, on_progress=on_progress)
        if self._state.head is None:
            return delivery.run(self._client, staged, on_progress=on_progress)
        plan = self._plan(delivery, staged)
        seconds = self._state.head.settled_at - self._clock()
        if seconds > 0 and self._state.head.late.may_undo(plan):
            log.info("A request of an earlier run may still take effect, and undo this: waiting %.0f s.", seconds)
            self._sleep(min(seconds, LATEST_EFFECT_SECONDS))  # a clock may have been set back
        stored = self._state.store_plan(plan, details={"by_hand": delivery.mode.value})
        self._state.begin(stored, marks=self._marked(marks, delivery, staged))
        notes = _Notes(self._state, self._lease, is_removal=delivery.mode is DeliveryMode.REMOVE)
        report = delivery.run(self._client, staged, on_progress=on_progress, notes=notes)
        pace = notes.seconds / report.batches if report.batches else 0.0
        self._state.finish(ledger, stored, seconds_per_request=pace)
        return report

    def _plan(self, delivery: Delivery, staged: StagedMembers) -> Plan:
        head = self._state.head
        is_removal = delivery.mode is DeliveryMode.REMOVE
        replaces = delivery.mode is DeliveryMode.REPLACE
        none = nobody(self._workspace)
        return Plan(
            replaces=replaces,
            ttl_seconds=delivery.ttl_seconds or DEFAULT_TTL_SECONDS,
            additions=none if is_removal else staged.keys,
            removals=staged.keys if is_removal else none,
            # Any of them may be a member whose time begins again.
            changes=Changes(refreshed=0 if is_removal else staged.members),
            has_strangers=bool(head and head.has_strangers and not replaces),
            purged=head.purged if head and not replaces else "",
        )

    def _marked(self, marks: Marks, delivery: Delivery, staged: StagedMembers) -> Marks:
        if delivery.mode is DeliveryMode.REMOVE:
            return marks.with_removed(staged.keys, self._workspace)
        return marks.with_added(staged.keys, self._workspace, replaces=delivery.mode is DeliveryMode.REPLACE)


class _Notes(Notes):
    """Writes down what lands."""

    def __init__(self, state: AudienceState, lease: Lease, *, is_removal: bool) -> None:
        self._state = state
        self._lease = lease
        self._leg: Leg = "removals" if is_removal else "additions"
        self._lock = threading.Lock()
        self.seconds = 0.0

    def check(self) -> None:
        self._lease.check()

    def landed(self, first: int, end: int, seconds: float, is_repeated: bool, *, is_update: bool = False) -> None:
        with self._lock:
            self.seconds += seconds
        self._state.landed(self._leg, first, end, seconds=seconds, is_repeated=is_repeated, is_update=is_update)
