"""Waits for a PAI audience group in the triggerer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.triggers.polling import Look, PollingTrigger, Sighting

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike


class PaiGroupTrigger(PollingTrigger):
    """
    Polls GetGroup until the group is ready or failed. A successful GetGroup is billed: mind the interval.

    :param conn_id: id of the PAI connection.
    :param group_id: the group's id.
    :param min_amount: least number of people.
    :param ready_statuses: statuses that are ready; None for the defaults.
    :param failed_statuses: statuses that never become ready; None for the defaults.
    :param poll_interval_seconds: wait between the first two looks; it doubles from look to look.
    :param max_poll_interval_seconds: the wait grows to this; None to keep it as it is.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param first_look_epoch_seconds: no look before that.
    """

    def __init__(
        self,
        *,
        group_id: str,
        min_amount: int = 1,
        ready_statuses: Sequence[int] | None = None,
        failed_statuses: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
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
                "min_amount": self.min_amount,
                "ready_statuses": None if self.ready_statuses is None else list(self.ready_statuses),
                "failed_statuses": None if self.failed_statuses is None else list(self.failed_statuses),
            },
        )

    @contextmanager
    def open(self, connection: ConnectionLike) -> Iterator[Look]:
        """
        Open a client for the connection.

        :param connection: the Airflow connection.
        """
        from airflow_provider_audiences.clients.pai_readiness import ReadinessRule
        from airflow_provider_audiences.hooks.pai import PaiHook

        rule = ReadinessRule.of(
            min_amount=self.min_amount,
            ready_statuses=self.ready_statuses,
            failed_statuses=self.failed_statuses,
        )
        with PaiHook.client_of(connection, max_retries=0) as client:

            def look() -> Sighting:
                group = client.get_group(self.group_id)
                readiness = rule.assess(group)
                return Sighting(
                    state=readiness.state.value,
                    reason=f"group {group.id}: {readiness.reason}",
                    seen=group.public(),
                    unknown_status=readiness.unknown_status,
                )

            yield look
