"""The fold: makes the ledger after a plan was sent, or a part of it. What may have been sent is not forgotten."""

from __future__ import annotations

import math
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys.key_order import SortedKeys, order_of
from airflow_provider_audiences.members.keys.key_set import side_by_side
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.sync.expiry_times import Seconds
from airflow_provider_audiences.sync.ledger import (
    ADDITION_IN_DOUBT,
    LATEST,
    LATEST_UNKNOWN,
    REMOVAL_IN_DOUBT,
    Ledger,
    LedgerRows,
)

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.state.delivered import Delivered


def fold(
    ledger: Ledger,
    plan: Plan,
    delivered: Delivered,
    *,
    now: float,
    late_effect_seconds: int,
    late_until: int,
) -> Generator[LedgerRows]:
    """
    Yield the rows of the ledger after a plan was sent, or a part of it, in pieces that are made as they are needed.

    Delivered rows get exact times. All other rows of the plan may have been sent as well, so their members get times
    that are right whether they arrived or not.

    :param ledger: the ledger that the plan was made for.
    :param plan: the plan that was begun.
    :param delivered: which rows of the plan the platform has accepted, and when.
    :param now: no request of the plan was sent later than this; seconds since 1970 (UTC).
    :param late_effect_seconds: longest time after it was sent that a request may still take effect.
    :param late_until: until when requests of earlier plans may take effect; seconds since 1970 (UTC).
    """
    work = _Fold(ledger, plan, delivered, now, late_effect_seconds, late_until)
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-ledger") as threads:
        yield from in_turn(threads, work.fold_slices, side_by_side(ledger.keys, plan.additions, plan.removals))


@dataclass(frozen=True, slots=True)
class _Fold:
    """Folds one part of the sets after the other."""

    ledger: Ledger
    plan: Plan
    delivered: Delivered
    now: float
    late_effect_seconds: int
    late_until: int

    def fold_slices(self, slices: list[slice]) -> LedgerRows:
        """Return the new rows for one slice of each set: most are old rows, which stay as they are."""
        in_ledger, in_additions, in_removals = slices
        old = self.ledger.rows(in_ledger)
        old_keys = SortedKeys(old.keys)
        earliest, latest = old.earliest_expiry.copy(), old.latest_expiry.copy()
        stays = np.ones(len(earliest), np.bool_)
        if self.plan.replaces:
            # The replacing request is the first: if any row is delivered, all earlier members are gone.
            stays[:] = not self.delivered.additions
            earliest[:] = REMOVAL_IN_DOUBT

        removed = self.plan.removals.rows(in_removals)
        rows = old_keys.match(removed)
        is_delivered, _, _ = self.delivered.removals.lookup(in_removals.start, len(removed))
        stays[rows[is_delivered & (rows >= 0)]] = False
        earliest[rows[~is_delivered & (rows >= 0)]] = REMOVAL_IN_DOUBT
        unknown = removed.keys[~is_delivered & (rows < 0)]

        added = self.plan.additions.rows(in_additions)
        rows = old_keys.match(added)
        rows[rows >= 0] = np.where(stays[rows[rows >= 0]], rows[rows >= 0], -1)
        is_old, is_new = rows >= 0, rows < 0
        old_earliest, old_latest = np.zeros(len(added), np.int64), np.zeros(len(added), np.int64)
        old_earliest[is_old], old_latest[is_old] = earliest[rows[is_old]], latest[rows[is_old]]
        added_earliest, added_latest = self._times(in_additions.start, old_earliest, old_latest)
        earliest[rows[is_old]], latest[rows[is_old]] = added_earliest[is_old], added_latest[is_old]

        new = LedgerRows(
            keys=added.keys[is_new], earliest_expiry=added_earliest[is_new], latest_expiry=added_latest[is_new]
        )
        if len(unknown):
            new = _with_doubtful_removals(new, unknown)
        old = LedgerRows(keys=old.keys, earliest_expiry=earliest, latest_expiry=latest)
        return self._merged(old, stays, new, old_keys)

    def _merged(self, old: LedgerRows, stays: NDArray[np.bool_], new: LedgerRows, old_keys: SortedKeys) -> LedgerRows:
        """Return the old rows that stay and the new ones, without those that have expired."""
        second = math.floor(self.now)  # times are whole seconds
        stays &= old.latest_expiry > second
        lives = np.flatnonzero(new.latest_expiry > second)
        if stays.all() and not len(lives):
            return old
        if len(lives) < len(new.keys):
            new = new.chosen(lives)
        kept = np.flatnonzero(stays)
        if not len(kept):
            return new
        places = np.searchsorted(kept, old_keys.places(SortedKeys(new.keys)))
        rows = old.chosen(np.insert(kept, places, kept[0]))  # a copy of some row, where a new one is written next
        places += np.arange(len(places))
        rows.keys[places] = new.keys
        rows.earliest_expiry[places] = new.earliest_expiry
        rows.latest_expiry[places] = new.latest_expiry
        return rows

    def _times(
        self, first: int, old_earliest: NDArray[np.int64], old_latest: NDArray[np.int64]
    ) -> tuple[Seconds, Seconds]:
        """Return the new times of additions, beginning with row ``first``; a new member has old times of 0."""
        is_delivered, began, ended = self.delivered.additions.lookup(first, len(old_earliest))
        ttl, late = self.plan.ttl_seconds, self.late_effect_seconds
        # A request restarts a member's TTL, so a member that may have been sent may also expire earlier than before.
        # A member that had expired counts as new.
        begun_at = self.delivered.begun_at
        # A replacement that no request has carried out may have removed whoever was there before. Guards go on counting
        # them, which they don't do with members who may never have been added.
        doubt = np.where(
            self.plan.replaces and not self.delivered.additions and old_latest > begun_at,
            REMOVAL_IN_DOUBT,
            ADDITION_IN_DOUBT,
        )
        doubtful_earliest = np.where(
            old_earliest > max(REMOVAL_IN_DOUBT, begun_at), np.minimum(old_earliest, begun_at + ttl), doubt
        )
        doubtful_latest = np.maximum(old_latest, int(self.now) + 1 + ttl + late)
        # An earlier request that takes effect after this one may have given a longer TTL.
        delivered_latest = np.maximum(ended + ttl + late, np.where(began < self.late_until, old_latest, 0))
        return (
            _seconds(np.where(is_delivered, began + ttl, doubtful_earliest)),
            _seconds(np.where(is_delivered, delivered_latest, doubtful_latest)),
        )


def _with_doubtful_removals(rows: LedgerRows, keys: Keys) -> LedgerRows:
    """Return sorted rows with further ones in between: members whose removal is in doubt, and who were in no ledger."""
    together = LedgerRows(
        keys=np.concatenate((rows.keys, keys)),
        earliest_expiry=np.concatenate((rows.earliest_expiry, np.full(len(keys), REMOVAL_IN_DOUBT, np.uint32))),
        latest_expiry=np.concatenate((rows.latest_expiry, np.full(len(keys), LATEST_UNKNOWN, np.uint32))),
    )
    return together.chosen(order_of(together.keys))


def _seconds(moments: NDArray[Any]) -> Seconds:
    seconds: Seconds = np.where(moments == LATEST_UNKNOWN, moments, np.clip(moments, 0, LATEST)).astype(np.uint32)
    return seconds
