"""Trigger that waits for PAI audience groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.triggers.polling import PollingTrigger

if TYPE_CHECKING:
    from airflow_provider_audiences.hooks.pai import PaiHook
    from airflow_provider_audiences.platforms.pai.polls import PaiPoll


class PaiGroupTrigger(PollingTrigger):
    """
    Polls until a group, or each of several groups, is ready, or until one has failed. PAI bills a successful GetGroup.

    The other arguments are those of :class:`~airflow_provider_audiences.triggers.polling.PollingTrigger`.

    :param group_id: id of the group; give either this or ``group_ids``.
    :param group_ids: ids of several groups.
    :param min_amount: least number of people in each group; default 1.
    :param ready_statuses: Statuses that count as ready; None (default) for those of the connection's dialect.
    :param failed_statuses: Statuses that never become ready; None (default) for those of the connection's dialect.
    """

    arguments: ClassVar[Sequence[str]] = ("group_id", "group_ids", "min_amount", "ready_statuses", "failed_statuses")

    def __init__(
        self,
        *,
        group_id: str | None = None,
        group_ids: Sequence[str] | None = None,
        min_amount: int = 1,
        ready_statuses: Sequence[int] | None = None,
        failed_statuses: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.group_ids = group_ids
        self.min_amount = min_amount
        self.ready_statuses = ready_statuses
        self.failed_statuses = failed_statuses

    @staticmethod
    def hook_class() -> type[PaiHook]:
        """Return the class of PAI's hook."""
        from airflow_provider_audiences.hooks.pai import PaiHook

        return PaiHook

    def poll(self) -> PaiPoll:
        """
        Return the poll of the group, or of all groups.

        :raises InvalidInputError: not exactly one of ``group_id`` and ``group_ids`` is given, or an argument is wrong.
        """
        from airflow_provider_audiences.exceptions import InvalidInputError
        from airflow_provider_audiences.platforms.pai.polls import GroupPoll, GroupsPoll, group_ids_of
        from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule

        if (self.group_id is None) == (self.group_ids is None):
            raise InvalidInputError(
                "give exactly one of group_id and group_ids, and see that it is not rendered to None"
            )
        rule = ReadinessRule.of(
            min_amount=self.min_amount, ready_statuses=self.ready_statuses, failed_statuses=self.failed_statuses
        )
        if self.group_ids is None:
            return GroupPoll(self.group_id, rule)
        return GroupsPoll(group_ids_of(self.group_ids), rule)
