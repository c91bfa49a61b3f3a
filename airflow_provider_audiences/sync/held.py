"""An audience that is held: one sync, or one change by hand, works on it at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.destination import Destination
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.lease import Holder, Lease, Wait, leased
from airflow_provider_audiences.sync.state.room import SyncRoom

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.state.file_store import FileStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class HeldAudience:
    """
    An audience, and what it takes to work on it; made by :func:`held_audience`.

    :param destination: where its members go.
    :param state: what is known of it.
    :param lease: that keeps others away.
    :param workspace: for what is made on the way.
    :param room: tells whether the disks have enough for that.
    :param clock: seconds since 1970.
    :param sleep: waits.
    """

    destination: Destination
    state: AudienceState
    lease: Lease
    workspace: Workspace
    room: SyncRoom
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    @property
    def unsettled_seconds(self) -> float:
        """For how long a request of an earlier plan may still take effect; 0 or less if none may."""
        manifest = self.state.manifest
        return manifest.settled_at - self.clock() if manifest else 0

    def settle(self) -> None:
        """Wait until the requests of earlier plans have taken effect, or never will."""
        seconds = self.unsettled_seconds
        if seconds > 0:
            log.info(
                "An earlier run's last request may still take effect, and undo what this one does: waiting %.0f s.",
                seconds,
            )
            self.sleep(min(seconds, self.destination.limits.late_effect_seconds))  # a clock may have been set back


@contextmanager
def held_audience(
    destination: Destination,
    folder: FileStore,
    *,
    holder: Holder,
    wait: Wait | None = None,
    staging: StagingSettings | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[HeldAudience]:
    """
    Hold an audience as long as the block lasts.

    :param destination: where its members go.
    :param folder: where its state lies.
    :param holder: who works on it.
    :param wait: called as long as another one holds it; None for no wait.
    :param staging: memory and disk to use; None for the defaults.
    :param clock: seconds since 1970.
    :param sleep: waits.
    :raises AudienceBusyError: another sync of it is under way.
    """
    with (
        leased(folder, holder, wait=wait, clock=clock) as lease,
        open_workspace(staging or StagingSettings()) as workspace,
    ):
        state = AudienceState(
            folder,
            destination.address,
            lease=lease,
            late_effect_seconds=destination.limits.late_effect_seconds,
            workspace=workspace,
            clock=clock,
        )
        yield HeldAudience(
            destination=destination,
            state=state,
            lease=lease,
            workspace=workspace,
            room=SyncRoom(folder, workspace),
            clock=clock,
            sleep=sleep,
        )
