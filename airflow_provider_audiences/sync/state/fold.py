"""The fold: makes the ledger after a plan was sent, or a part of it. What may have been sent is not forgotten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_set import side_by_side
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.sync.ledger import (
    ADDITION_IN_DOUBT,
    LATEST,
    LATEST_UNKNOWN,
    REMOVAL_IN_DOUBT,
    Ledger,
    LedgerRows,
    LedgerWriter,
    Seconds,
)

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.workspace import Workspace
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.state.delivered import Delivered


def fold(
    ledger: Ledger, plan: Plan, delivered: Delivered, *, now: float, late_effect_seconds: int, workspace: Workspace
) -> Ledger:
    """
    Return the ledger after a plan was sent, or a part of it.

    Delivered rows get exact times. All other rows of the plan may have been sent as well, so their members get times
    that are right whether they arrived or not.

    :param ledger: the ledger that the plan was made for.
    :param plan: the plan that was begun.
    :param delivered: which rows of the plan the platform has accepted, and when.
    :param now: no request of the plan was sent later than this; seconds since 1970 (UTC).
    :param late_effect_seconds: longest time after it was sent that a request may still take effect.
    :param workspace: workspace in which the new ledger is made.
    """
    fold = _Fold(ledger, plan, delivered, now, late_effect_seconds)
    writer = LedgerWriter(workspace)
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-ledger") as threads:
        for rows in in_turn(threads, fold.fold_slices, side_by_side(ledger.keys, plan.additions, plan.removals)):
            writer.add(rows)
    return writer.finish()


@dataclass(frozen=True, slots=True)
class _Fold:
    """Folds one part of the sets after the other."""

    ledger: Ledger
    plan: Plan
    delivered: Delivered
    now: float
    late_effect_seconds: int

    def fold_slices(self, slices: list[slice]) -> LedgerRows:
        in_ledger, in_additions, in_removals = slices
        keys, earliest, latest, unknown = self._old_rows(in_ledger, in_removals)
        added = self.plan.additions.slice(in_additions.start, in_additions.stop - in_additions.start)
        rows = key_order.match(added, keys)
        is_old, is_new = rows >= 0, rows < 0
        old_rows = rows[is_old]
        old_earliest, old_latest = np.zeros(len(added), np.int64), np.zeros(len(added), np.int64)
        old_earliest[is_old], old_latest[is_old] = earliest[old_rows], latest[old_rows]
        added_earliest, added_latest = self._times(in_additions.start, old_earliest, old_latest)
        earliest[old_rows], latest[old_rows] = added_earliest[is_old], added_latest[is_old]
        if is_new.any():
            places = key_order.places(added[is_new], keys)
            keys = np.insert(keys, places, added[is_new], axis=0)
            earliest = np.insert(earliest, places, added_earliest[is_new])
            latest = np.insert(latest, places, added_latest[is_new])
        if len(unknown):
            places = key_order.places(unknown, keys)
            keys = np.insert(keys, places, unknown, axis=0)
            earliest = np.insert(earliest, places, REMOVAL_IN_DOUBT)
            latest = np.insert(latest, places, LATEST_UNKNOWN)
        may_live = latest > self.now
        if not may_live.all():
            keys, earliest, latest = keys[may_live], earliest[may_live], latest[may_live]
        return LedgerRows(keys=keys, earliest_expiry=_seconds(earliest), latest_expiry=_seconds(latest))

    def _times(
        self, first: int, old_earliest: NDArray[np.int64], old_latest: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the new times of additions, beginning with row ``first``; a new member has old times of 0."""
        is_delivered, began, ended = self.delivered.additions.lookup(first, len(old_earliest))
        ttl, late = self.plan.ttl_seconds, self.late_effect_seconds
        # A request restarts a member's TTL, so a member that may have been sent may also expire earlier than before.
        # A member that had expired counts as new.
        doubtful_earliest = np.where(
            old_earliest > max(REMOVAL_IN_DOUBT, self.delivered.begun_at),
            np.minimum(old_earliest, self.delivered.begun_at + ttl),
            ADDITION_IN_DOUBT,
        )
        doubtful_latest = np.maximum(old_latest, int(self.now) + 1 + ttl + late)
        return (
            np.where(is_delivered, began + ttl, doubtful_earliest),
            np.where(is_delivered, ended + ttl + late, doubtful_latest),
        )

    def _old_rows(
        self, in_ledger: slice, in_removals: slice
    ) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64], Keys]:
        """Return the ledger's members not surely removed, with their times; and removed members that it lacked."""
        old = self.ledger.rows(in_ledger)
        earliest, latest = old.earliest_expiry.astype(np.int64), old.latest_expiry.astype(np.int64)
        stays = np.ones(len(old.keys), np.bool_)
        if self.plan.replaces:
            # The replacing request is the first: if any row is delivered, all earlier members are gone.
            stays[:] = not self.delivered.additions
            earliest[:] = REMOVAL_IN_DOUBT
        removed = self.plan.removals.slice(in_removals.start, in_removals.stop - in_removals.start)
        rows = key_order.match(removed, old.keys)
        is_delivered, _, _ = self.delivered.removals.lookup(in_removals.start, len(removed))
        stays[rows[is_delivered & (rows >= 0)]] = False
        earliest[rows[~is_delivered & (rows >= 0)]] = REMOVAL_IN_DOUBT
        return old.keys[stays], earliest[stays], latest[stays], removed[~is_delivered & (rows < 0)]


def _seconds(moments: NDArray[Any]) -> Seconds:
    seconds: Seconds = np.where(moments == LATEST_UNKNOWN, moments, np.clip(moments, 0, LATEST)).astype(np.uint32)
    return seconds
