"""
Readiness: when a PAI group counts as ready, still checked, or failed.

The API's document says that Status 0 "typically means ready"; the SDK and the vendor's other pages say 0 = checking, 1
= passed, 2 = rejected. So 0 and 1 are ready with an API key, and only 1 with an AccessKey; 2 is failed with both. A
ready group also needs people: Amount is 0 while the group is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.platforms.pai.dialects import (
    STATUS_CHECKING,
    STATUS_PASSED,
    STATUS_REJECTED,
    PaiDialect,
)
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.validation import whole_number
from airflow_provider_audiences.waiting.polls import PollResult, PollState
from airflow_provider_audiences.wording import counted

_KNOWN_STATUSES = frozenset({STATUS_CHECKING, STATUS_PASSED, STATUS_REJECTED})


@dataclass(frozen=True, kw_only=True)
class ReadinessRule:
    """
    Decides when a group is ready or failed.

    :param min_amount: fewest people of a ready group; default 1; with 0, an empty group is ready too.
    :param ready_statuses: statuses of a ready group, once it has enough people; None for the dialect's.
    :param failed_statuses: statuses of a group that never becomes ready; None for the dialect's.
    """

    min_amount: int = 1
    ready_statuses: frozenset[int] | None = None
    failed_statuses: frozenset[int] | None = None

    @classmethod
    def of(
        cls, *, min_amount: object = 1, ready_statuses: object = None, failed_statuses: object = None
    ) -> ReadinessRule:
        """
        Return the rule of a user's arguments after checking them.

        :param min_amount: whole number, at least 0, also as text.
        :param ready_statuses: list of whole numbers, also as text; None for the dialect's.
        :param failed_statuses: list of whole numbers, also as text; None for the dialect's.
        :raises InvalidInputError: a value is not of that form.
        """
        return cls(
            min_amount=whole_number("min_amount", min_amount, at_least=0),
            ready_statuses=_statuses("ready_statuses", ready_statuses),
            failed_statuses=_statuses("failed_statuses", failed_statuses),
        )

    def ready_in(self, dialect: PaiDialect) -> frozenset[int]:
        """Return the statuses of a ready group in a dialect."""
        return dialect.ready_statuses if self.ready_statuses is None else self.ready_statuses

    def failed_in(self, dialect: PaiDialect) -> frozenset[int]:
        """Return the statuses of a failed group in a dialect."""
        return dialect.failed_statuses if self.failed_statuses is None else self.failed_statuses

    def assess(self, group: AudienceGroup, dialect: PaiDialect) -> PollResult:
        """
        Return whether a group is ready, still checked, or failed, and the reason in words.

        :param group: group, as GetGroup or ListGroups shows it; only GetGroup shows why a review failed.
        :param dialect: dialect in which the group was read.
        """
        shown = f"Status {group.status}, Amount {group.amount}"
        if group.status in self.failed_in(dialect):
            history = f" History: {group.history}" if group.history else ""
            return PollResult(state=PollState.FAILED, reason=f"PAI rejected it ({shown}).{history}")
        if group.status not in self.ready_in(dialect):
            unknown = group.status not in _KNOWN_STATUSES
            return PollResult(state=PollState.WAITING, reason=f"not ready ({shown})", unknown_status=unknown)
        if group.amount >= self.min_amount:
            return PollResult(state=PollState.READY, reason=f"ready ({shown})")
        if group.status == STATUS_CHECKING:
            return PollResult(state=PollState.WAITING, reason=f"still being checked ({shown})")
        return PollResult(
            state=PollState.FAILED,
            reason=f"passed with {counted(group.amount, 'person', 'people')}, and min_amount is {self.min_amount} "
            f"({shown})",
        )


def _statuses(name: str, given: object) -> frozenset[int] | None:
    if given is None:
        return None
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidInputError(f"{name} must be a list of numbers, such as [1], not {given!r}")
    return frozenset(whole_number(name, status, at_least=0) for status in given)
