"""Wakes DAGs when a PAI audience group becomes ready: for an ``AssetWatcher`` of Airflow 3."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_audiences.exceptions import AudienceApiError, InvalidInputError
from airflow_provider_audiences.platforms.pai.group_news import GroupNews
from airflow_provider_audiences.triggers.lanes import Pace
from airflow_provider_audiences.triggers.pai import open_client
from airflow_provider_audiences.triggers.shared_clients import fetching, shared_client
from airflow_provider_audiences.validation import exact_text, seconds, whole_number
from airflow_provider_audiences.waiting.looks import Bill

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup

_MAX_PAUSE_SECONDS = 600.0


class PaiGroupReadyTrigger(BaseEventTrigger):
    """
    Fires once for each group of a name that becomes ready, for as long as it runs.

    It lists groups, which is free. Groups that were ready before it began, by the platform's UpdatedTime, are no news,
    but for those of the last ``lookback_seconds``: they may have become ready while the triggerer was away. So such a
    group may fire again after a restart; its id is in the payload.

    :param conn_id: id of the PAI connection.
    :param name: the groups' exact name.
    :param poll_interval_seconds: wait between two looks, also as a timedelta; at least a second.
    :param min_amount: least number of people.
    :param ready_statuses: statuses that are ready; None for those of the connection's dialect.
    :param lookback_seconds: how long before the beginning a group may have become ready, also as a timedelta.
    :raises InvalidInputError: the name is missing, or another argument is no number.
    """

    min_interval_seconds: ClassVar[float] = 1.0
    """It runs for ever: no wait between two looks is shorter, whatever was asked for."""

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
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.name = exact_text("name", name)
        self.conn_id = conn_id
        self.poll_interval_seconds = seconds("poll_interval_seconds", poll_interval_seconds)
        self.min_amount = whole_number("min_amount", min_amount, at_least=0)
        self.ready_statuses = _statuses(ready_statuses)
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
        from airflow_provider_audiences.platforms.pai.watches import ReadyWhen, list_all

        ready_when = ReadyWhen(min_amount=self.min_amount, ready_statuses=self.ready_statuses)
        news = GroupNews(since_epoch_seconds=time.time() - self.lookback_seconds)
        pace = Pace()
        interval_seconds = pause_seconds = max(self.min_interval_seconds, self.poll_interval_seconds)
        while True:
            try:
                # Anew after each failure: what is wrong with it may have been mended.
                with fetching():
                    connection = await get_async_connection(self.conn_id)
                async with shared_client(connection, open_client) as (client, shared):
                    rule = ready_when.rule(client)
                    while True:
                        groups = await shared.look(list_all(client, self.name), Bill(), pace=pace)
                        for group in news.of(groups, rule):
                            yield TriggerEvent(_payload(group))
                        pause_seconds = interval_seconds
                        await asyncio.sleep(pause_seconds)
            except (AudienceApiError, AirflowNotFoundException) as error:
                self.log.warning("No look at the groups %r: %s", self.name, error)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, max(interval_seconds, _MAX_PAUSE_SECONDS))


def _statuses(value: object) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidInputError(f"ready_statuses must be a list of numbers, such as [1], not {value!r}")
    return [whole_number("ready_statuses", status, at_least=0) for status in value]


def _payload(group: AudienceGroup) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "status": group.status,
        "amount": group.amount,
        "ready_seen_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
