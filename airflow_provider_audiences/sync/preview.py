"""Previews: what a sync would do now, without holding the audience and without any change of its stored state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceBusyError, LedgerLostError
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.open_audience import OpenAudience, open_audience
from airflow_provider_audiences.sync.planning import Planner
from airflow_provider_audiences.sync.state.lease import Holder, is_claim
from airflow_provider_audiences.sync.state.overlay_store import OverlayFileStore

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.report import SyncReport
    from airflow_provider_audiences.sync.settings import DeliverySettings, SyncSettings
    from airflow_provider_audiences.sync.state.file_store import FileStore

_ATTEMPTS = 8
_HOLDER = Holder(key="preview", try_number=1)


class Preview:
    """
    Plans as a sync does, on a copy of the audience's state that holds what changes and is deleted afterwards.

    A sync may run meanwhile: its lease is not looked at, and the plan is made for the state that the sync has recorded
    last. If the audience may have members in no ledger, its platform is asked for their number, by one request that
    changes nothing; otherwise no request is sent.

    :param destination: the audience at its platform.
    :param files: the file store of its state; never written to.
    :param staging: memory and disk to use; None for the defaults.
    :param clock: returns seconds since 1970 (UTC).
    """

    def __init__(
        self,
        destination: Destination,
        files: FileStore,
        *,
        staging: StagingSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._files = files
        self._staging = staging or StagingSettings()
        self._clock = clock

    def plan(
        self,
        staged: StagedMembers,
        opt_outs: StagedMembers | None,
        settings: SyncSettings,
        *,
        delivery_settings: DeliverySettings,
    ) -> SyncReport:
        """
        Return the report of the plan that a sync would make now.

        :param staged: members of the source, staged.
        :param opt_outs: members that must not be in the audience, staged; None for none.
        :param settings: how the audience is to equal its source.
        :param delivery_settings: how plans are sent, for the number of requests.
        :raises GuardError: the audience has members that no ledger knows, and ``initial`` is ``fail``.
        :raises LedgerLostError: the ledger is lost, and ``on_lost_ledger`` is ``fail``.
        :raises AudienceBusyError: syncs have changed the state again and again.
        """
        for attempt in range(_ATTEMPTS):
            before = set(self._files.names())
            try:
                with self._opened() as audience:
                    return (
                        Planner(audience, delivery_settings=delivery_settings).plan(staged, opt_outs, settings).report
                    )
            except (AudienceBusyError, LedgerLostError):
                # A sync may just have deleted what was to be read; then there are other files now.
                if attempt == _ATTEMPTS - 1 or set(self._files.names()) == before:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _opened(self) -> Iterator[OpenAudience]:
        with open_workspace(self._staging) as scratch:
            copy = OverlayFileStore(self._files, scratch.folder / "state", hides=is_claim)
            with open_audience(
                self._destination, copy, holder=_HOLDER, staging=self._staging, clock=self._clock
            ) as audience:
                yield audience
