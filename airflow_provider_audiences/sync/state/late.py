"""
Late requests: requests of earlier plans that may still take effect.

A platform may carry out a request some time after its reply was lost. If such a request might undo a new plan, the sync
waits until it can't come any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import DeliveryLimits
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.state.delivered import Delivered


@dataclass(frozen=True, kw_only=True)
class LateRequests:
    """
    What requests of earlier plans may still do. The default is for requests that nobody knows: they may add and remove.

    :param has_removals: whether one of them may remove members, as one that replaces the content may, too.
    :param ttl_seconds: shortest TTL that one of them gives; None if none of them adds members.
    """

    has_removals: bool = True
    ttl_seconds: int | None = 0

    @classmethod
    def of(cls, plan: Plan, delivered: Delivered) -> LateRequests:
        """
        Return what requests of a plan may still do after it was finished or given up.

        :param plan: the plan that was begun.
        :param delivered: which rows of the plan the platform has accepted.
        """
        misses_additions = delivered.additions.count < plan.additions.count
        # The replacing request is the first. It may take effect again if it was repeated, or if rows are missing.
        is_replacement = plan.replaces and (delivered.is_repeated or misses_additions or not delivered.additions)
        adds = is_replacement or misses_additions or (delivered.is_repeated and plan.additions.count > 0)
        misses_removals = delivered.removals.count < plan.removals.count
        removes = is_replacement or misses_removals or (delivered.is_repeated and plan.removals.count > 0)
        return cls(has_removals=removes, ttl_seconds=plan.ttl_seconds if adds else None)

    def __or__(self, other: LateRequests) -> LateRequests:
        ttls = [late.ttl_seconds for late in (self, other) if late.ttl_seconds is not None]
        return LateRequests(
            has_removals=self.has_removals or other.has_removals, ttl_seconds=min(ttls) if ttls else None
        )

    def may_undo(self, plan: Plan) -> bool:
        """
        Return whether a late request may undo a part of a plan, if both are about the same members: by the opposite
        change, or by a shorter TTL.

        :param plan: the plan that is about to be sent.
        """
        adds = self.ttl_seconds is not None
        if plan.replaces:
            return adds or self.has_removals
        if plan.removals.count and adds:
            return True
        return self.may_shorten(plan) or (plan.additions.count > 0 and self.has_removals)

    def may_shorten(self, plan: Plan) -> bool:
        """
        Return whether a late request may give members of a plan a shorter time than the plan does.

        :param plan: the plan that is about to be sent.
        """
        return self.ttl_seconds is not None and self.ttl_seconds < plan.ttl_seconds and plan.additions.count > 0


class LateEffect:
    """
    Tells how long requests of a plan may still take effect, if none is sent any more.

    The process that has begun the plan may be another one, and nobody knows whether it has ended: it may be in the
    middle of a request.

    :param limits: what the platform accepts.
    :param clock: returns seconds since 1970 (UTC).
    """

    def __init__(self, limits: DeliveryLimits, *, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._orphan_until = 0

    def take_over(self) -> None:
        """Note that the plan was begun by another process, from which this one takes over now."""
        self._orphan_until = math.ceil(self._clock()) + self._limits.orphan_effect_seconds

    @property
    def seconds(self) -> int:
        """Longest time from now, in seconds."""
        return max(self._limits.late_effect_seconds, self._orphan_until - math.floor(self._clock()))
