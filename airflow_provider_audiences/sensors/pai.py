"""Sensor that waits until PAI audience groups are ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_audiences.common.task_arguments import PollingSensorArguments
from airflow_provider_audiences.sensors.polling import PollingSensor
from airflow_provider_audiences.validation import seconds

if TYPE_CHECKING:
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger


class PaiGroupSensor(PollingSensor):
    """
    Wait until a group, or each of several groups, is ready: its Status is a ready one, and it has enough people.

    With an API key the Statuses 0 and 1 are ready, with an AccessKey only 1; in both, 2 means rejected. A group of
    Status 0 with too few people is still being checked; one of Status 1 with too few people fails.

    PAI bills a successful GetGroup, so the pause between polls grows from 60 seconds to 10 minutes. Several groups are
    polled by ListGroups, which is free, where that may save calls. The XCom ``billable_calls`` says how many calls may
    be billed, and ``estimated_cost`` what they may cost if the connection has a price. In reschedule mode before
    Airflow 3.3, both are of the last poll only.

    :param group_id: id of the group; give either this or ``group_ids`` (templated).
    :param group_ids: ids of several groups, as a list or a template that renders to one. The first group that is
        rejected fails the task (templated).
    :param min_amount: least number of people in each group; default 1 (templated).
    :param ready_statuses: Statuses that count as ready, such as ``[1]``; None (default) for those above.
    :param failed_statuses: Statuses that never become ready; None (default) for ``[2]``.
    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    :param exponential_backoff: let the pause between polls double, beginning with ``poke_interval``; default True.
    :param max_poke_interval: longest pause between two polls, in seconds or as a timedelta; default 600, None for
        ``timeout``.
    :param deferrable: wait in the triggerer, without a worker slot; default Airflow's ``[operators]
        default_deferrable``.
    :param max_poll_failures: how many polls in a row may fail for a passing reason, such as a server error; default 5.
    :return: the group with names in snake_case and without personal data; for ``group_ids``, a list with id, name,
        status and amount of each, in the order of the ids.
    :raises GroupRejectedError: a group was rejected (the message has its History), or passed with too few people.
    :raises NotFoundError: a group does not exist.
    :raises AirflowSensorTimeout: a group was not ready within ``timeout`` seconds.
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
        max_poke_interval: timedelta | float | str | None = 600,
        **kwargs: Unpack[PollingSensorArguments],
    ) -> None:
        longest = None if max_poke_interval is None else seconds("max_poke_interval", max_poke_interval)
        super().__init__(exponential_backoff=exponential_backoff, max_wait=longest, **kwargs)
        self.group_id = group_id
        self.group_ids = group_ids
        self.min_amount = min_amount
        self.ready_statuses = ready_statuses
        self.failed_statuses = failed_statuses
        self.pai_conn_id = pai_conn_id
        self.max_poke_interval = max_poke_interval

    def trigger_of(self, **polling: Any) -> PaiGroupTrigger:
        """
        Return the trigger that polls for this sensor.

        :param polling: arguments of :class:`~airflow_provider_audiences.triggers.polling.PollingTrigger`, except the
            connection.
        """
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
