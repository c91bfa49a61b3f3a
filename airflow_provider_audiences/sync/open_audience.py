"""An audience that this process holds: only one sync or direct change works on an audience at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.destination import Destination
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.disk_space import DiskSpace
from airflow_provider_audiences.sync.state.late import LateRequests
from airflow_provider_audiences.sync.state.layout import layout_of, require_layout, require_manifest
from airflow_provider_audiences.sync.state.lease import Holder, Lease, OnBusy, leased
from airflow_provider_audiences.sync.state.manifest import Layout

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.state.file_store import FileStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OpenAudience:
    """
    An audience that this process holds, and everything needed to work on it; made by :func:`open_audience`.

    :param destination: the audience at its platform.
    :param state: its stored state: ledger, plans, manifest.
    :param lease: the lease that keeps other processes out.
    :param workspace: temporary folder and database.
    :param is_new: whether this process has just created the audience, so that nobody can be in it.
    :param disk_space: checks whether the disks have room for a new ledger.
    :param clock: returns seconds since 1970 (UTC).
    :param sleep: sleeps for a number of seconds.
    :param layout: layout of the audience's state, which may be in partitions, of which this is one.
    :param whole: of a partition, the file store of the whole audience; None if it is held as a whole.
    """

    destination: Destination
    state: AudienceState
    lease: Lease
    workspace: Workspace
    disk_space: DiskSpace
    is_new: bool
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    layout: Layout
    whole: FileStore | None

    @property
    def late_seconds(self) -> float:
        """How many seconds a request of an earlier plan may still take effect; 0 or less if none may."""
        return self.state.late_until - self.clock()

    def load_state(self) -> None:
        """
        Read the last manifest of the state, and take over from earlier processes.

        :raises ConflictError: the state was moved to other partitions meanwhile, or is being moved; nothing was sent.
        :raises LedgerLostError: the manifest is damaged, missing although there is a ledger or the partition was begun,
            or another audience's.
        :raises AudienceBusyError: a later sync has taken over.
        """
        try:
            self.state.load()
        finally:
            # Who moves the state says so before taking it over. So it is looked at after this process has taken over.
            if self.whole is not None:
                require_layout(layout_of(self.whole), self.layout.partitions, place=self.whole.name)
        require_manifest(self.state.manifest, self.layout, place=self.state.name)
        if self.whole is None and self.state.manifest is not None:
            require_layout(self.state.manifest.layout, 1, place=self.state.name)

    def wait_for_late_requests(self, plan: Plan, *, contradicted: int | None) -> None:
        """
        Wait until no request of an earlier plan can take effect any more, if one might undo a plan.

        :param plan: the plan that is about to be sent.
        :param contradicted: number of members whose last request has no known outcome, and to whom the plan does the
            opposite, by the ledger; None if the plan was not made by the ledger, so that any late request counts.
        """
        manifest = self.state.manifest
        late = manifest.late if manifest else LateRequests()  # of a ledger that is ignored, nothing is known
        is_shown = contradicted is not None and manifest is not None and manifest.is_doubt_in_ledger
        seconds = self.late_seconds
        may_undo = contradicted or late.may_shorten(plan) or (not is_shown and late.may_undo(plan))
        if plan and seconds > 0 and may_undo:
            log.info(
                "An earlier run's last request may still take effect, and undo what this one does: waiting %.0f s.",
                seconds,
            )
            self.sleep(min(seconds, self.destination.limits.orphan_effect_seconds))  # a clock may have been set back


@contextmanager
def open_audience(
    destination: Destination,
    files: FileStore,
    *,
    holder: Holder,
    is_new: bool = False,
    on_busy: OnBusy | None = None,
    staging: StagingSettings | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    whole: FileStore | None = None,
    partitions: int = 1,
) -> Iterator[OpenAudience]:
    """
    Hold an audience, or one of its partitions, until the block ends.

    :param destination: the audience at its platform.
    :param files: the file store of its state, or of its partition's.
    :param holder: identifies the task that holds it.
    :param is_new: whether this process has just created the audience.
    :param on_busy: called again and again while another process holds the audience; None to raise the error at once.
    :param staging: memory and disk to use; None for the defaults.
    :param clock: returns seconds since 1970 (UTC).
    :param sleep: sleeps for a number of seconds.
    :param whole: of a partition, the file store of the whole audience, which has its layout; None (default) if
        ``files`` is that.
    :param partitions: how many partitions the audience must have; default 1.
    :raises AudienceBusyError: another process holds the audience.
    :raises ConflictError: the audience has another number of partitions.
    """
    with (
        leased(files, holder, on_busy=on_busy, clock=clock) as lease,
        open_workspace(staging or StagingSettings(), key_bytes=destination.identifier_kind.key_bytes) as workspace,
    ):
        layout = _layout(whole or files, partitions)
        state = AudienceState(
            files,
            destination.address,
            lease=lease,
            limits=destination.limits,
            key_column=destination.identifier_kind.column,
            workspace=workspace,
            clock=clock,
        )
        yield OpenAudience(
            destination=destination,
            state=state,
            lease=lease,
            workspace=workspace,
            disk_space=DiskSpace(files, workspace),
            is_new=is_new,
            clock=clock,
            sleep=sleep,
            layout=layout,
            whole=whole if partitions > 1 else None,
        )


def _layout(whole: FileStore, partitions: int) -> Layout:
    """Return the layout of an audience's state, after checking that it is in so many partitions."""
    try:
        layout = layout_of(whole)
    except LedgerLostError:
        if partitions > 1:
            raise
        return Layout()  # the task decides whether it does without the ledger
    require_layout(layout, partitions, place=whole.name)
    return layout
