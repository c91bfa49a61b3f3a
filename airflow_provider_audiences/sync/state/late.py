"""What requests of earlier plans may still do when they take effect late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.state.delivered import Delivered


@dataclass(frozen=True, kw_only=True)
class LateRequests:
    """
    Requests that may still take effect. By default nothing is known of them: they may do anything.

    :param has_removals: whether one of them may remove a member, as an update does as well.
    :param ttl_seconds: the shortest time that one of them lets a member live; None if none of them adds any.
    """

    has_removals: bool = True
    ttl_seconds: int | None = 0

    @classmethod
    def of(cls, plan: Plan, delivered: Delivered) -> LateRequests:
        """
        Return what requests of a plan may still do, when it is given up or at its end.

        :param plan: the plan.
        :param delivered: which of its ranges the platform has taken.
        """
        misses_additions = delivered.additions.count < plan.additions.count
        # An update comes first, and all that was missing then was to be sent after it.
        is_update = plan.replaces and (delivered.is_repeated or misses_additions or not delivered.additions)
        adds = is_update or misses_additions or (delivered.is_repeated and plan.additions.count > 0)
        misses_removals = delivered.removals.count < plan.removals.count
        removes = is_update or misses_removals or (delivered.is_repeated and plan.removals.count > 0)
        return cls(has_removals=removes, ttl_seconds=plan.ttl_seconds if adds else None)

    def __or__(self, other: LateRequests) -> LateRequests:
        ttls = [late.ttl_seconds for late in (self, other) if late.ttl_seconds is not None]
        return LateRequests(
            has_removals=self.has_removals or other.has_removals, ttl_seconds=min(ttls) if ttls else None
        )

    def may_undo(self, plan: Plan) -> bool:
        """
        Tell whether one of them may undo what a plan does: whatever its members, it does the opposite, or shortens the
        time that they stay.

        :param plan: that is about to be sent.
        """
        adds = self.ttl_seconds is not None
        if plan.replaces:
            return adds or self.has_removals
        if plan.removals.count and adds:
            return True
        shortens = self.ttl_seconds is not None and self.ttl_seconds < plan.ttl_seconds
        return plan.additions.count > 0 and (self.has_removals or shortens)
