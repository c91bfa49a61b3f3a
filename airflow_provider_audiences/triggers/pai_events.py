"""Wakes DAGs when a PAI audience group becomes ready: for an ``AssetWatcher`` of Airflow 3."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_audiences.triggers.pai import PaiGroupTrigger
from airflow_provider_audiences.triggers.shared_clients import InTriggerer
from airflow_provider_audiences.validation import exact_text, seconds
from airflow_provider_audiences.waiting.wait import EndlessWait, Schedule

_MAX_PAUSE_SECONDS = 600.0


class PaiGroupReadyTrigger(BaseEventTrigger):
    """
    Fires once for each group of a name that becomes ready, for as long as it runs.

    It lists groups, which is free. Groups that were ready before it began, by the platform's UpdatedTime, are no news,
    but for those of the last ``lookback_seconds``: they may have become ready while the triggerer was away. So such a
    group may fire again after a restart; its id is in the payload.

    :param conn_id: id of the PAI connection.
    :param name: the groups' exact name.
    :param poll_interval_seconds: pause between two polls, also as a timedelta; at least a second.
    :param min_amount: least number of people.
    :param ready_statuses: statuses that are ready; None for those of the connection's dialect.
    :param lookback_seconds: how long before the beginning a group may have become ready, also as a timedelta.
    :raises InvalidInputError: the name is missing, or another argument is no number.
    """

    min_interval_seconds: ClassVar[float] = 1.0
    """It runs for ever: no pause between two polls is shorter, whatever was asked for."""

    def __init__(
        self,
        *,
        name: str,
        conn_id: str = "pai_default",
        poll_interval_seconds: timedelta | float = 60.0,
        min_amount: int = 1,
        ready_statuses: Sequence[int] | None = None,
        lookback_seconds: timedelta | float = 300.0,
        **kwargs: Any,
    ) -> None:
        from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule

        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.name = exact_text("name", name)
        self.conn_id = conn_id
        self.poll_interval_seconds = seconds("poll_interval_seconds", poll_interval_seconds)
        self._rule = ReadinessRule.of(min_amount=min_amount, ready_statuses=ready_statuses)
        self.min_amount = self._rule.min_amount
        self.ready_statuses = None if self._rule.ready_statuses is None else sorted(self._rule.ready_statuses)
        self.lookback_seconds = seconds("lookback_seconds", lookback_seconds)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as JSON."""
        return (
            "airflow_provider_audiences.triggers.pai_events.PaiGroupReadyTrigger",
            {
                "name": self.name,
                "conn_id": self.conn_id,
                "poll_interval_seconds": self.poll_interval_seconds,
                "min_amount": self.min_amount,
                "ready_statuses": self.ready_statuses,
                "lookback_seconds": self.lookback_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each group that becomes ready; it never ends by itself, whatever fails."""
        from airflow_provider_audiences.platforms.pai.polls import NewGroupsPoll

        interval_seconds = max(self.min_interval_seconds, self.poll_interval_seconds)
        wait = EndlessWait(
            poll=NewGroupsPoll(self.name, self._rule, since_epoch_seconds=time.time() - self.lookback_seconds),
            schedule=Schedule(
                poll_interval_seconds=interval_seconds,
                max_poll_interval_seconds=max(interval_seconds, _MAX_PAUSE_SECONDS),
            ),
            log=self.log,
            about=f"the groups {self.name!r}",
        )
        async for outcome in InTriggerer(wait, conn_id=self.conn_id, hook_class=PaiGroupTrigger.hook_class).outcomes():
            for group in outcome.seen:
                yield TriggerEvent({**group, "ready_seen_at": datetime.now(UTC).isoformat(timespec="seconds")})
