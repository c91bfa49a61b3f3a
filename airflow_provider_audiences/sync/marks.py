"""
Whom somebody has removed or added by hand: by the operators that do only that, and not by a sync.

A sync respects both: who was removed stays out as long as its source still has them, and who was added stays in. So a
request to be forgotten is not undone by the next run, and a campaign's extra members are not lost to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_audiences.members.keys.key_sets import nobody, union, within, without

if TYPE_CHECKING:
    from airflow_provider_audiences.members.keys.key_set import KeySet
    from airflow_provider_audiences.members.workspace import Workspace


class Sent(Protocol):
    """What a sync sends."""

    @property
    def replaces(self) -> bool:
        """Whether the first request replaces the content."""

    @property
    def additions(self) -> KeySet:
        """Who is sent."""

    @property
    def removals(self) -> KeySet:
        """Who is removed."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """
    Members that were removed or added by hand.

    :param held_back: removed: not to be added again as long as the source has them.
    :param by_hand: added: not to be removed because the source lacks them.
    """

    held_back: KeySet
    by_hand: KeySet

    def __bool__(self) -> bool:
        return bool(self.held_back.count or self.by_hand.count)

    def with_removed(self, keys: KeySet, workspace: Workspace) -> Marks:
        """
        Return the marks when somebody removes members.

        :param keys: who they are.
        :param workspace: for the new sets.
        """
        return Marks(
            held_back=union(self.held_back, keys, workspace),
            by_hand=without(self.by_hand, keys, workspace),
        )

    def with_added(self, keys: KeySet, workspace: Workspace, *, replaces: bool) -> Marks:
        """
        Return the marks when somebody adds members.

        :param keys: who they are.
        :param workspace: for the new sets.
        :param replaces: whether nobody else is left.
        """
        return Marks(
            held_back=without(self.held_back, keys, workspace),
            by_hand=keys if replaces else union(self.by_hand, keys, workspace),
        )

    def after(self, sent: Sent, *, ledger: KeySet, source: KeySet | None, workspace: Workspace) -> Marks:
        """
        Return the marks after a sync.

        Who was held back is free again when the source has them no more, or when the plan adds them all the same.

        :param sent: what the sync has sent: its plan.
        :param ledger: members that may have lived before.
        :param source: all whom the audience is to have; None if the source is only a part of them, or not known.
        :param workspace: for the new sets.
        """
        held_back = without(self.held_back, sent.additions, workspace)
        if source is not None:
            held_back = within(held_back, source, workspace)
        by_hand = nobody(workspace) if sent.replaces else without(self.by_hand, sent.removals, workspace)
        return Marks(held_back=held_back, by_hand=within(by_hand, ledger, workspace))
