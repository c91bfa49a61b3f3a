"""Event trigger for an ``AssetWatcher`` of Airflow 3: starts DAGs when a PAI audience group becomes ready."""

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
from airflow_provider_audiences.waiting.wait import EndlessWait, PollSchedule

_MAX_PAUSE_SECONDS = 600.0


class PaiGroupReadyTrigger(BaseEventTrigger):
    """
    Fires once for each group of one name that becomes ready, for as long as the trigger runs.

    It lists groups, which PAI does not bill. Groups that were ready before it started, by PAI's UpdatedTime, don't
    fire, except those of the last ``lookback_seconds``: they may have become ready while the triggerer was down. Such a
    group may fire again after a restart; the event's payload has its id.

    :param conn_id: Airflow connection of the type ``pai``; default ``pai_default``.
    :param name: exact name of the groups.
    :param poll_interval_seconds: pause between two polls, in seconds or as a timedelta; default 60, and less than 1
        counts as 1.
    :param min_amount: least number of people in a ready group; default 1.
    :param ready_statuses: Statuses that count as ready; None (default) for those of the connection's dialect.
    :param lookback_seconds: how long before its start the trigger looks for groups that became ready, in seconds or as
        a timedelta; default 300.
    :raises InvalidInputError: the name is missing, or another argument is not a number in its range.
    """

    min_interval_seconds: ClassVar[float] = 1.0
    """Shortest pause between two polls, whatever was asked for: the trigger runs for ever."""

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
        """Return the class path and the arguments as JSON, as Airflow stores them."""
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
        """
        Yield an event for each group that becomes ready. This never ends by itself: failed polls are logged and
        repeated.
        """
        from airflow_provider_audiences.platforms.pai.polls import NewGroupsPoll

        interval_seconds = max(self.min_interval_seconds, self.poll_interval_seconds)
        wait = EndlessWait(
            poll=NewGroupsPoll(self.name, self._rule, since_epoch_seconds=time.time() - self.lookback_seconds),
            schedule=PollSchedule(
                poll_interval_seconds=interval_seconds,
                max_poll_interval_seconds=max(interval_seconds, _MAX_PAUSE_SECONDS),
            ),
            log=self.log,
            about=f"the groups {self.name!r}",
        )
        async for outcome in InTriggerer(wait, conn_id=self.conn_id, hook_class=PaiGroupTrigger.hook_class).outcomes():
            for group in outcome.seen:
                yield TriggerEvent({**group, "ready_seen_at": datetime.now(UTC).isoformat(timespec="seconds")})
