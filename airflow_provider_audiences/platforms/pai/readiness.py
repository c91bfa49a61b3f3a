"""
When is a PAI group ready? The document says that Status 0 "typically means ready"; SDK and the vendor's other pages
say 0 = checking, 1 = passed, 2 = rejected. So with an API key 0 and 1 are ready, with an AccessKey 1 only; in both, 2
is failed, and ready also needs people: Amount is 0 while the group is checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.dialects import (
    STATUS_CHECKING,
    STATUS_PASSED,
    STATUS_REJECTED,
    PaiDialect,
)
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.validation import whole_number

_KNOWN_STATUSES = frozenset({STATUS_CHECKING, STATUS_PASSED, STATUS_REJECTED})


class ReadinessState(StrEnum):
    """What a look at a group says."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """
    What a look at a group says.

    :param state: ready, waiting or failed.
    :param reason: the same in words.
    :param unknown_status: the status is one that neither the document nor the caller knows.
    """

    state: ReadinessState
    reason: str
    unknown_status: bool = False


@dataclass(frozen=True, kw_only=True)
class ReadinessRule:
    """
    When a group counts as ready or failed.

    :param min_amount: least number of people.
    :param ready_statuses: statuses that are ready once there are enough people.
    :param failed_statuses: statuses that never become ready.
    """

    min_amount: int
    ready_statuses: frozenset[int]
    failed_statuses: frozenset[int]

    @classmethod
    def of(
        cls,
        dialect: PaiDialect,
        *,
        min_amount: int = 1,
        ready_statuses: Iterable[int] | None = None,
        failed_statuses: Iterable[int] | None = None,
    ) -> ReadinessRule:
        """
        Return a rule, with the dialect's defaults for what is None; ``PaiClient.readiness_rule`` knows the dialect.

        :param dialect: the connection's.
        :param min_amount: least number of people; 0 takes an empty group as well.
        :param ready_statuses: statuses that are ready.
        :param failed_statuses: statuses that are failed.
        :raises InvalidInputError: a value is not a whole number.
        """
        return cls(
            min_amount=whole_number("min_amount", min_amount, at_least=0),
            ready_statuses=_statuses("ready_statuses", ready_statuses, dialect.ready_statuses),
            failed_statuses=_statuses("failed_statuses", failed_statuses, dialect.failed_statuses),
        )

    def assess(self, group: AudienceGroup) -> Readiness:
        """
        Say whether a group is ready.

        :param group: from GetGroup.
        """
        seen = f"Status {group.status}, Amount {group.amount}"
        if group.status in self.failed_statuses:
            history = f" History: {group.history}" if group.history else ""
            return Readiness(state=ReadinessState.FAILED, reason=f"PAI rejected it ({seen}).{history}")
        if group.status in self.ready_statuses:
            return self._assess_amount(group, seen)
        unknown = group.status not in _KNOWN_STATUSES
        return Readiness(state=ReadinessState.WAITING, reason=f"not ready ({seen})", unknown_status=unknown)

    def _assess_amount(self, group: AudienceGroup, seen: str) -> Readiness:
        if group.amount >= self.min_amount:
            return Readiness(state=ReadinessState.READY, reason=f"ready ({seen})")
        if group.status == STATUS_CHECKING:
            return Readiness(state=ReadinessState.WAITING, reason=f"still being checked ({seen})")
        return Readiness(
            state=ReadinessState.FAILED,
            reason=f"passed with {group.amount} people, and min_amount is {self.min_amount} ({seen})",
        )


def _statuses(name: str, given: Iterable[int] | None, default: frozenset[int]) -> frozenset[int]:
    if given is None:
        return default
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidInputError(f"{name} must be a list of numbers, such as [1], not {given!r}")
    return frozenset(whole_number(name, status, at_least=0) for status in given)
