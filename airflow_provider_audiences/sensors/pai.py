"""Waits until a PAI audience group is ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger
    from airflow_provider_audiences.triggers.polling import Sighting


class PaiGroupSensor(PollingSensor):
    """
    Wait until a group's Status is ready and its Amount is large enough.

    By default Status 0 and 1 are ready and 2 is failed; both readiness and failure are final only with people:
    Status 0 with Amount 0 is still being checked, Status 1 with too few people fails. A successful GetGroup is
    billed: the default interval is 60 seconds, and grows to 10 minutes.

    :param group_id: the group's id (templated).
    :param min_amount: least number of people (templated).
    :param ready_statuses: statuses that are ready, instead of 0 and 1.
    :param failed_statuses: statuses that never become ready, instead of 2.
    :param pai_conn_id: id of the connection (templated).
    :param exponential_backoff: let the interval grow from look to look, from ``poke_interval`` on.
    :param max_wait: what it grows to, in seconds or as a timedelta.
    :param deferrable: wait in the triggerer.
    :param max_poll_failures: transient failures in a row that are borne.
    :return: the group in snake_case, without personal data.
    :raises GroupRejectedError: it was rejected (the message has the History), or passed with too few people.
    :raises AirflowSensorTimeout: not ready within ``timeout`` seconds.
    """

    template_fields: Sequence[str] = ("group_id", "min_amount", "pai_conn_id")
    ui_color = "#fdefe2"

    def __init__(
        self,
        *,
        group_id: str,
        min_amount: int = 1,
        ready_statuses: Sequence[int] | None = None,
        failed_statuses: Sequence[int] | None = None,
        pai_conn_id: str = "pai_default",
        exponential_backoff: bool = True,
        max_wait: timedelta | float | None = 600,
        **kwargs: Any,
    ) -> None:
        super().__init__(exponential_backoff=exponential_backoff, max_wait=max_wait, **kwargs)
        self.group_id = group_id
        self.min_amount = min_amount
        self.ready_statuses = ready_statuses
        self.failed_statuses = failed_statuses
        self.pai_conn_id = pai_conn_id

    def look(self) -> Sighting:
        """Get the group once."""
        from airflow_provider_audiences.hooks.pai import PaiHook

        hook = PaiHook(pai_conn_id=self.pai_conn_id)
        with self.trigger(deadline_epoch_seconds=0).open(hook.get_connection(self.pai_conn_id)) as look:
            return look()

    def trigger(self, *, deadline_epoch_seconds: float, first_look_epoch_seconds: float = 0.0) -> PaiGroupTrigger:
        """
        Return the trigger that goes on looking.

        :param deadline_epoch_seconds: when it is to give up.
        :param first_look_epoch_seconds: no look before that.
        """
        from airflow_provider_audiences.triggers.pai import PaiGroupTrigger

        return PaiGroupTrigger(
            conn_id=self.pai_conn_id,
            group_id=self.group_id,
            min_amount=self.min_amount,
            ready_statuses=self.ready_statuses,
            failed_statuses=self.failed_statuses,
            poll_interval_seconds=self.poke_interval,
            deadline_epoch_seconds=deadline_epoch_seconds,
            max_poll_failures=self.max_poll_failures,
            max_poll_interval_seconds=self.max_poll_interval_seconds,
            first_look_epoch_seconds=first_look_epoch_seconds,
        )
