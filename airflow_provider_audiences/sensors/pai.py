"""Waits until PAI audience groups are ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger


class PaiGroupSensor(PollingSensor):
    """
    Wait until a group's Status is ready and its Amount is large enough; or until all of several groups are ready.

    By default Status 0 and 1 are ready with an API key, and 1 with an AccessKey; 2 is failed in both. Readiness and
    failure are final only with people: Status 0 with Amount 0 is still being checked, Status 1 with too few people
    fails. A successful GetGroup is billed: the default interval is 60 seconds, and grows to 10 minutes. Several groups
    are polled by ListGroups, which is free, where that may save as many calls. How many may be billed is in the log and
    in the XCom ``billable_calls``, and what they may cost in ``estimated_cost``, if the connection has a price; in
    reschedule mode before Airflow 3.3, those of the last poll.

    :param group_id: the group's id; either this or ``group_ids`` (templated).
    :param group_ids: ids of several groups, as a list or a template of one; the first that is rejected fails all
        (templated).
    :param min_amount: least number of people in each group (templated).
    :param ready_statuses: statuses that are ready, instead of the connection's.
    :param failed_statuses: statuses that never become ready, instead of 2.
    :param pai_conn_id: id of the connection (templated).
    :param exponential_backoff: let the interval grow from poll to poll, from ``poke_interval`` on.
    :param max_poke_interval: what it grows to, in seconds or as a timedelta; None for ``timeout``.
    :param deferrable: wait in the triggerer.
    :param max_poll_failures: transient failures in a row that are borne.
    :return: the group in snake_case, without personal data; of several groups, id, name, status and amount of each, in
        the order of the ids.
    :raises GroupRejectedError: one was rejected (the message has the History), or passed with too few people.
    :raises NotFoundError: one does not exist.
    :raises AirflowSensorTimeout: not ready within ``timeout`` seconds.
    """

    template_fields: Sequence[str] = ("group_id", "group_ids", "min_amount", "pai_conn_id")
    ui_color = "#fdefe2"

    def __init__(
        self,
        *,
        group_id: str | None = None,
        group_ids: Sequence[str] | str | None = None,
        min_amount: int = 1,
        ready_statuses: Sequence[int] | None = None,
        failed_statuses: Sequence[int] | None = None,
        pai_conn_id: str = "pai_default",
        exponential_backoff: bool = True,
        max_poke_interval: timedelta | float | None = 600,
        **kwargs: Any,
    ) -> None:
        super().__init__(exponential_backoff=exponential_backoff, max_wait=max_poke_interval, **kwargs)
        self.group_id = group_id
        self.group_ids = group_ids
        self.min_amount = min_amount
        self.ready_statuses = ready_statuses
        self.failed_statuses = failed_statuses
        self.pai_conn_id = pai_conn_id
        self.max_poke_interval = max_poke_interval

    def trigger_of(self, **polling: Any) -> PaiGroupTrigger:
        """Return the trigger that waits."""
        from airflow_provider_audiences.platforms.pai.polls import group_ids_of
        from airflow_provider_audiences.triggers.pai import PaiGroupTrigger

        return PaiGroupTrigger(
            conn_id=self.pai_conn_id,
            group_id=self.group_id,
            group_ids=None if self.group_ids is None else group_ids_of(self.group_ids),
            min_amount=self.min_amount,
            ready_statuses=self.ready_statuses,
            failed_statuses=self.failed_statuses,
            **polling,
        )
