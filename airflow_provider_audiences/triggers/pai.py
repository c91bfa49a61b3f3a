"""Waits for PAI audience groups in the triggerer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.triggers.polling import PollingTrigger

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.waiting.looks import Watch


def open_client(connection: ConnectionLike) -> PaiClient:
    """
    Open a client that sends each request once: waiting is the repetition.

    :param connection: the Airflow connection.
    """
    from airflow_provider_audiences.hooks.pai import PaiHook

    return PaiHook.client_of(connection, max_retries=0)


class PaiGroupTrigger(PollingTrigger):
    """
    Polls until a group, or each of several, is ready, or one failed. A successful GetGroup is billed.

    :param conn_id: id of the PAI connection.
    :param group_id: the group's id; either this or ``group_ids``.
    :param group_ids: ids of several groups.
    :param min_amount: least number of people.
    :param ready_statuses: statuses that are ready; None for those of the connection's dialect.
    :param failed_statuses: statuses that never become ready; None for those of the dialect.
    :param poll_interval_seconds: wait between the first two looks; it doubles from look to look.
    :param max_poll_interval_seconds: the wait grows to this; None to keep it as it is.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param first_look_epoch_seconds: no look before that; 0: at once.
    :param jitter: make each wait up to a fifth longer, so that triggers that began together don't look together.
    :param passed_on: small JSON that the event carries back to the operator.
    """

    billed_calls: ClassVar[Sequence[str]] = ("get",)
    open_client = staticmethod(open_client)

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

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as JSON."""
        return (
            "airflow_provider_audiences.triggers.pai.PaiGroupTrigger",
            {
                **self.polling_arguments(),
                "group_id": self.group_id,
                "group_ids": None if self.group_ids is None else list(self.group_ids),
                "min_amount": self.min_amount,
                "ready_statuses": None if self.ready_statuses is None else list(self.ready_statuses),
                "failed_statuses": None if self.failed_statuses is None else list(self.failed_statuses),
            },
        )

    def watch(self) -> Watch:
        """
        Return what looks at the group, or at the groups.

        :raises InvalidInputError: not exactly one of ``group_id`` and ``group_ids`` is given, or it is wrong.
        """
        from airflow_provider_audiences.exceptions import InvalidInputError
        from airflow_provider_audiences.platforms.pai.watches import GroupsWatch, GroupWatch, ReadyWhen, group_ids_of

        if (self.group_id is None) == (self.group_ids is None):
            raise InvalidInputError(
                "give exactly one of group_id and group_ids, and see that it is not rendered to None"
            )
        ready_when = ReadyWhen(
            min_amount=self.min_amount, ready_statuses=self.ready_statuses, failed_statuses=self.failed_statuses
        )
        if self.group_ids is None:
            return GroupWatch(self.group_id, ready_when)
        return GroupsWatch(group_ids_of(self.group_ids), ready_when)
