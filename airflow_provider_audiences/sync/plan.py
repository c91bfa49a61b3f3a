"""
The plan: the additions and removals that make an audience equal its source.

It is the difference between the wanted members and the ledger. Both are sorted in the same order, so they are compared
part by part, on several threads, with bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.batches import request_count
from airflow_provider_audiences.members.keys.key_order import SortedKeys
from airflow_provider_audiences.members.keys.key_set import (
    KeysByPart,
    KeySet,
    KeySetWriter,
    fingerprint_of,
    side_by_side,
)
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.ledger import (
    ADDITION_IN_DOUBT,
    LATEST_UNKNOWN,
    REMOVAL_IN_DOUBT,
    Ledger,
)

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.workspace import Workspace


PhaseName = Literal["additions", "removals"]
"""The two phases of a plan: additions are sent before removals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
    """
    Counts of the members that a plan changes or leaves.

    :param added: members to send that are not known to be in the audience.
    :param refreshed: members in the audience to send again before they expire.
    :param removed: members to remove: they may be in the audience and are not wanted.
    :param unchanged: members in the audience that do not expire soon.
    :param suppressed: members of the source that are left out, as they have opted out.
    :param live: members in the audience once the plan has been carried out.
    :param maybe_live: members that may have been in the audience before.
    :param surely_live: of ``maybe_live``, those whom a finished run has added.
    :param surely_new: of ``added``, those who can't have been in the audience before.
    :param surely_live_removed: of ``removed``, those counted in ``surely_live``.
    :param unknown_removed: of ``removed``, those who are not in the ledger: they have opted out, or were removed
        directly, and may be in the audience.
    :param contradicted: members whose last request has no known outcome, and to whom the plan does the opposite.
    :param held_back: members of the source that are left out, as they were removed directly.
    """

    added: int = 0
    refreshed: int = 0
    removed: int = 0
    unchanged: int = 0
    suppressed: int = 0
    live: int = 0
    maybe_live: int = 0
    surely_live: int = 0
    surely_new: int = 0
    surely_live_removed: int = 0
    unknown_removed: int = 0
    contradicted: int = 0
    held_back: int = 0

    @property
    def wanted(self) -> int:
        """Members that the source wants in the audience, without those who have opted out."""
        return self.added + self.refreshed + self.unchanged

    def __add__(self, other: PlanCounts) -> PlanCounts:
        return PlanCounts(**{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})

    def as_json(self) -> dict[str, int]:
        """Return the counts as JSON."""
        return {_STORED.get(name, name): getattr(self, name) for name in _COUNTS}

    @classmethod
    def from_json(cls, content: Mapping[str, int]) -> Self:
        """
        Return the counts that :meth:`as_json` has returned as JSON.

        :param content: the JSON, as a dictionary.
        :raises TypeError: the JSON has other names.
        """
        names = {key: name for name, key in _STORED.items()}
        return cls(**{names.get(key, key): value for key, value in content.items()})


_COUNTS = [field.name for field in fields(PlanCounts)]
_STORED = {
    "maybe_live": "possible",
    "surely_live": "known",
    "surely_new": "new",
    "surely_live_removed": "known_removed",
}
"""Names in stored plans that are those of the first versions; these plans are read on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    Additions and removals to send.

    :param replaces: whether the first request replaces the audience's whole content.
    :param ttl_seconds: how long members stay that are sent.
    :param additions: members to add or refresh.
    :param removals: members to remove; none if the plan replaces the content.
    :param counts: how many members the plan changes, and how many it leaves.
    :param has_unknown_members: whether the audience may have members that the ledger lacks, even after the plan.
    :param removed_opt_outs_fingerprint: of the opt-outs that the plan removes even if the ledger lacks them;
        empty if none.
    :param held_back: members removed directly whom the source still has, so that they stay held back; None if the plan
        releases nobody.
    """

    replaces: bool
    ttl_seconds: int
    additions: KeySet
    removals: KeySet
    counts: PlanCounts
    has_unknown_members: bool = False
    removed_opt_outs_fingerprint: str = ""
    held_back: KeySet | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.replaces or self.additions.count or self.removals.count)

    @property
    def members(self) -> int:
        """Number of members sent, additions and removals together."""
        return self.additions.count + self.removals.count

    def requests(self, batch_size: int) -> int:
        """
        Return the number of requests that the plan needs, without repetitions and splits.

        :param batch_size: most members in a request.
        """
        return request_count(self.additions.count, batch_size, replaces=self.replaces) + request_count(
            self.removals.count, batch_size
        )


@dataclass(frozen=True, kw_only=True)
class PlanRules:
    """
    What decides about each member, besides source and ledger.

    :param now: time of planning, in seconds since 1970 (UTC).
    :param due_before: members that may expire before this time are refreshed; seconds since 1970 (UTC).
    :param ttl_seconds: how long members stay that are sent.
    :param replaces: whether to send all wanted members, and replace the content with the first request.
    :param removes: whether to remove members that the source lacks; opt-outs are removed in any case.
    :param has_unknown_members: whether the audience may have members that the ledger lacks.
    :param removes_all_opt_outs: whether to remove all opt-outs, even those that the ledger lacks.
    :param removes_all_held_back: whether to remove all members who were removed directly, even those that the ledger
        lacks: if the ledger is lost, it is not known whether their removal was accepted.
    :param releases_held_back: whether to send members of the source again who were removed directly, whatever the
        ledger says of them.
    """

    now: float
    due_before: float
    ttl_seconds: int
    replaces: bool
    removes: bool
    has_unknown_members: bool = False
    removes_all_opt_outs: bool = False
    removes_all_held_back: bool = False
    releases_held_back: bool = False


def make_plan(
    source: KeysByPart,
    opt_outs: KeySet,
    ledger: Ledger,
    *,
    rules: PlanRules,
    workspace: Workspace,
    direct_changes: DirectChanges | None = None,
) -> Plan:
    """
    Compare the members of the source with the ledger, and return the plan.

    :param source: members of the source.
    :param opt_outs: members that must not be in the audience, even if the source has them.
    :param ledger: which members were sent before, and when they expire.
    :param rules: time, TTL, and what may be removed or replaced.
    :param workspace: workspace in which the plan's sets are made.
    :param direct_changes: members removed or added directly; None for none.
    """
    if direct_changes is None:
        direct_changes = DirectChanges.none(workspace)
    comparison = _Comparison(source, opt_outs, ledger, direct_changes, rules)
    additions, removals = (KeySetWriter(workspace.new_file(), key_bytes=source.key_bytes) for _ in range(2))
    counts = PlanCounts()
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-plan") as threads:
        slices: Iterator[list[slice]] = side_by_side(
            source, opt_outs, ledger.keys, direct_changes.held_back, direct_changes.added_directly
        )
        for added, removed, counts_of_slice in in_turn(threads, comparison.plan_slices, slices):
            additions.add(added)
            removals.add(removed)
            counts += counts_of_slice
    has_unknown_members = rules.has_unknown_members and not rules.replaces
    return Plan(
        replaces=rules.replaces,
        ttl_seconds=rules.ttl_seconds,
        additions=additions.finish(),
        removals=removals.finish(),
        counts=counts,
        has_unknown_members=has_unknown_members,
        removed_opt_outs_fingerprint=fingerprint_of(opt_outs) if has_unknown_members and opt_outs.count else "",
    )


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Makes the plan slice by slice; the slices of all sets that belong together have the same range of keys."""

    source: KeysByPart
    opt_outs: KeySet
    ledger: Ledger
    direct_changes: DirectChanges
    rules: PlanRules

    def plan_slices(self, slices: list[slice]) -> tuple[Keys, Keys, PlanCounts]:
        """Return what to add, what to remove, and the counts, for one slice of each set."""
        source_slice, opt_out_slice, ledger_slice, held_back_slice, added_slice = slices
        rules = self.rules
        source = self.source.rows(source_slice)
        opt_outs = self.opt_outs.rows(opt_out_slice)
        held_back = self.direct_changes.held_back.rows(held_back_slice)
        added_directly = self.direct_changes.added_directly.rows(added_slice)
        old = self.ledger.rows(ledger_slice)
        old_keys = SortedKeys(old.keys)

        allowed = source.difference(opt_outs)
        released = held_back
        if rules.releases_held_back:
            held_back = held_back.difference(allowed)
        wanted = allowed.difference(held_back)
        old_row = old_keys.match(wanted)
        is_old = old_row >= 0
        live_until = np.zeros(len(wanted), np.uint32)
        live_until[is_old] = old.earliest_expiry.take(old_row[is_old])
        is_live = live_until > rules.now
        is_sent = (live_until < rules.due_before) | rules.replaces
        if len(released):
            is_sent |= released.match(wanted) >= 0

        old_may_be_live = old.latest_expiry > rules.now
        old_is_wanted = np.zeros(len(old.keys), np.bool_)
        old_is_wanted[old_row[is_old]] = True
        old_is_removed = old_may_be_live & self._must_leave(
            old_keys, old_is_wanted, opt_outs, held_back, added_directly
        )
        old_is_sure = (
            old_may_be_live & (old.earliest_expiry != ADDITION_IN_DOUBT) & (old.latest_expiry != LATEST_UNKNOWN)
        )
        removals = unknown = SortedKeys(old.keys[:0])
        if not rules.replaces:
            unknown = opt_outs if rules.removes_all_opt_outs else unknown
            unknown = unknown.union(held_back) if rules.removes_all_held_back else unknown
            if len(unknown):
                unknown = unknown.difference(old_keys.chosen(old_may_be_live))
            removals = old_keys.chosen(old_is_removed).union(unknown)

        may_be_live = np.zeros(len(wanted), np.bool_)
        may_be_live[is_old] = old_may_be_live[old_row[is_old]]
        contradicted = _count(old_is_removed & (old.earliest_expiry == ADDITION_IN_DOUBT))
        contradicted += _count(is_sent & is_old & (live_until == REMOVAL_IN_DOUBT))
        counts = PlanCounts(
            added=_count(is_sent & ~is_live),
            refreshed=_count(is_sent & is_live),
            removed=_count(old_is_removed) + len(unknown),
            unchanged=_count(~is_sent),
            suppressed=len(source) - len(allowed),
            held_back=len(allowed) - len(wanted),
            live=len(wanted) + _count(old_may_be_live & ~old_is_wanted & ~old_is_removed),
            maybe_live=_count(old_may_be_live),
            surely_live=_count(old_is_sure),
            surely_new=_count(is_sent & ~may_be_live),
            surely_live_removed=_count(old_is_removed & old_is_sure),
            unknown_removed=len(unknown),
            contradicted=contradicted,
        )
        return wanted.chosen(is_sent).keys, removals.keys, counts

    def _must_leave(
        self,
        old: SortedKeys,
        is_wanted: NDArray[np.bool_],
        opt_outs: SortedKeys,
        held_back: SortedKeys,
        added_directly: SortedKeys,
    ) -> NDArray[np.bool_]:
        """Return which members of the ledger must leave the audience, whether they are still in it or not."""
        rules = self.rules
        is_refused = opt_outs.match(old) >= 0
        if len(held_back):
            is_refused |= held_back.match(old) >= 0
        leaves = ~is_wanted if rules.removes or rules.replaces else is_refused
        if len(added_directly) and not rules.replaces:
            leaves = leaves & (is_refused | (added_directly.match(old) < 0))
        return leaves


def _count(rows: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(rows))
