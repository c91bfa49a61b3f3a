"""
The plan: the additions and removals that make an audience equal its source.

It is the difference between the wanted members and the ledger. Both are sorted in the same order, so they are compared
part by part, on several threads, with bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, fingerprint_of, side_by_side
from airflow_provider_audiences.members.keys.key_sets import nobody
from airflow_provider_audiences.members.threads import THREADS, in_turn
from airflow_provider_audiences.sync.ledger import ADDITION_IN_DOUBT, NOBODY_KNOWS, REMOVAL_IN_DOUBT, Ledger
from airflow_provider_audiences.sync.marks import Marks

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.workspace import Workspace


PhaseName = Literal["additions", "removals"]
"""The two phases of a plan: additions are sent before removals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """
    Counts of the members that a plan changes or leaves.

    :param added: members to send that are not known to be in the audience.
    :param refreshed: members in the audience to send again before they expire.
    :param removed: members to remove: they may be in the audience and are not wanted.
    :param unchanged: members in the audience that do not expire soon.
    :param suppressed: members of the source that are left out, as they have opted out.
    :param live: members in the audience once the plan has been carried out.
    :param possible: members that may have been in the audience before.
    :param known: of ``possible``, those whom a finished run has added.
    :param new: of ``added``, those who can't have been in the audience before.
    :param known_removed: of ``removed``, those counted in ``known``.
    :param unknown_removed: of ``removed``, those who are not in the ledger: they have opted out, and may be in the
        audience.
    :param contradicted: members whose last request has no known outcome, and to whom the plan does the opposite.
    :param held_back: members of the source that are left out, as they were removed by hand.
    """

    added: int = 0
    refreshed: int = 0
    removed: int = 0
    unchanged: int = 0
    suppressed: int = 0
    live: int = 0
    possible: int = 0
    known: int = 0
    new: int = 0
    known_removed: int = 0
    unknown_removed: int = 0
    contradicted: int = 0
    held_back: int = 0

    @property
    def wanted(self) -> int:
        """Members that the source wants in the audience, without those who have opted out."""
        return self.added + self.refreshed + self.unchanged

    def __add__(self, other: Changes) -> Changes:
        return Changes(**{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})


_COUNTS = [field.name for field in fields(Changes)]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    Additions and removals to send.

    :param replaces: whether the first request replaces the audience's whole content.
    :param ttl_seconds: how long members stay that are sent.
    :param additions: members to add or refresh.
    :param removals: members to remove; none if the plan replaces the content.
    :param changes: counts of what the plan changes.
    :param has_strangers: whether the audience may have members that the ledger lacks, even after the plan.
    :param removed_opt_outs: fingerprint of the opt-outs that the plan removes even if the ledger lacks them;
        empty if none.
    """

    replaces: bool
    ttl_seconds: int
    additions: KeySet
    removals: KeySet
    changes: Changes
    has_strangers: bool = False
    removed_opt_outs: str = ""

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
        empties = self.replaces and not self.additions.count
        return empties + sum(-(-keys.count // batch_size) for keys in (self.additions, self.removals))


@dataclass(frozen=True, kw_only=True)
class PlanRules:
    """
    What decides about each member, besides source and ledger.

    :param now: time of planning, in seconds since 1970 (UTC).
    :param due_before: members that may expire before this time are refreshed; seconds since 1970 (UTC).
    :param ttl_seconds: how long members stay that are sent.
    :param replaces: whether to send all wanted members, and replace the content with the first request.
    :param removes: whether to remove members that the source lacks; opt-outs are removed in any case.
    :param has_strangers: whether the audience may have members that the ledger lacks.
    :param removes_unknown: whether to remove all opt-outs, even those that the ledger lacks.
    """

    now: float
    due_before: float
    ttl_seconds: int
    replaces: bool
    removes: bool
    has_strangers: bool = False
    removes_unknown: bool = False


def make_plan(
    wanted: KeySet,
    suppressed: KeySet,
    ledger: Ledger,
    *,
    rules: PlanRules,
    workspace: Workspace,
    marks: Marks | None = None,
) -> Plan:
    """
    Compare the wanted members with the ledger, and return the plan.

    :param wanted: members of the source.
    :param suppressed: members that must not be in the audience, even if the source has them.
    :param ledger: which members were sent before, and when they expire.
    :param rules: time, TTL, and what may be removed or replaced.
    :param workspace: workspace in which the plan's sets are made.
    :param marks: members removed or added by hand; None for none.
    """
    if marks is None:
        marks = Marks(held_back=nobody(workspace), by_hand=nobody(workspace))
    comparison = _Comparison(wanted, suppressed, ledger, marks, rules)
    additions, removals = KeySetWriter(workspace.new_file()), KeySetWriter(workspace.new_file())
    changes = Changes()
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="audiences-plan") as threads:
        parts: Iterator[list[slice]] = side_by_side(wanted, suppressed, ledger.keys, marks.held_back, marks.by_hand)
        for added, removed, counted in in_turn(threads, comparison.part, parts):
            additions.add(added)
            removals.add(removed)
            changes += counted
    has_strangers = rules.has_strangers and not rules.replaces
    return Plan(
        replaces=rules.replaces,
        ttl_seconds=rules.ttl_seconds,
        additions=additions.finish(),
        removals=removals.finish(),
        changes=changes,
        has_strangers=has_strangers,
        removed_opt_outs=fingerprint_of(suppressed) if has_strangers and suppressed.count else "",
    )


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Makes the plan for one part of the sets after the other."""

    wanted: KeySet
    suppressed: KeySet
    ledger: Ledger
    marks: Marks
    rules: PlanRules

    def part(self, slices: list[slice]) -> tuple[Keys, Keys, Changes]:
        in_wanted, in_suppressed, in_ledger, in_held_back, in_by_hand = slices
        rules = self.rules
        in_source = _rows(self.wanted, in_wanted)
        unwanted = _rows(self.suppressed, in_suppressed)
        held_back = _rows(self.marks.held_back, in_held_back)
        asked = in_source[key_order.match(in_source, unwanted) < 0]
        wanted = asked[key_order.match(asked, held_back) < 0] if len(held_back) else asked
        old = self.ledger.rows(in_ledger)
        rows = key_order.match(wanted, old.keys)
        is_old = rows >= 0
        lives_until = np.where(is_old, old.earliest[rows], 0) if len(old.keys) else np.zeros(len(wanted), np.uint32)
        is_due = (lives_until < rules.due_before) | rules.replaces
        lives = lives_until > rules.now
        may_live = old.latest > rules.now
        is_wanted = np.zeros(len(old.keys), np.bool_)
        is_wanted[rows[is_old]] = True
        is_unwanted = key_order.match(old.keys, unwanted) >= 0
        if len(held_back):
            is_unwanted |= key_order.match(old.keys, held_back) >= 0
        goes = may_live & (~is_wanted if rules.removes or rules.replaces else is_unwanted)
        by_hand = _rows(self.marks.by_hand, in_by_hand)
        if len(by_hand) and not rules.replaces:
            goes &= is_unwanted | (key_order.match(old.keys, by_hand) < 0)
        is_known = may_live & (old.earliest != ADDITION_IN_DOUBT) & (old.latest != NOBODY_KNOWS)
        could_live = np.zeros(len(wanted), np.bool_)
        could_live[is_old] = may_live[rows[is_old]]
        in_doubt = _count(goes & (old.earliest == ADDITION_IN_DOUBT))
        in_doubt += _count(is_due & is_old & (lives_until == REMOVAL_IN_DOUBT))
        removals = old.keys[goes & (not rules.replaces)]
        forgotten = 0
        if rules.removes_unknown and not rules.replaces:
            unknown = unwanted[key_order.match(unwanted, old.keys[may_live]) < 0]
            removals = np.insert(removals, key_order.places(unknown, removals), unknown, axis=0)
            forgotten = len(unknown)
        return (
            wanted[is_due],
            removals,
            Changes(
                added=_count(is_due & ~lives),
                refreshed=_count(is_due & lives),
                removed=_count(goes) + forgotten,
                unchanged=_count(~is_due),
                suppressed=len(in_source) - len(asked),
                held_back=len(asked) - len(wanted),
                live=len(wanted) + _count(may_live & ~is_wanted & ~goes),
                possible=_count(may_live),
                known=_count(is_known),
                new=_count(is_due & ~could_live),
                known_removed=_count(goes & is_known),
                unknown_removed=forgotten,
                contradicted=in_doubt,
            ),
        )


def _rows(keys: KeySet, part: slice) -> Keys:
    return keys.slice(part.start, part.stop - part.start)


def _count(rows: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(rows))
