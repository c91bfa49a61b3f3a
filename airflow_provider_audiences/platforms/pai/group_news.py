"""Which PAI groups have become ready since the last look, and since before a restart."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule

_PLATFORM_ZONE = timezone(timedelta(hours=8))
"""PAI writes times of UTC+8, without saying so."""


class GroupNews:
    """
    Tells which groups have become ready since the last look.

    :param since_epoch_seconds: groups that were ready before are no news.
    """

    def __init__(self, *, since_epoch_seconds: float) -> None:
        self._since_epoch_seconds = since_epoch_seconds
        self._waiting: set[str] = set()
        self._told: set[str] = set()

    def of(self, groups: Iterable[AudienceGroup], rule: ReadinessRule) -> list[AudienceGroup]:
        """
        Return the groups that are ready and were not before, the oldest first.

        :param groups: of this look.
        :param rule: when one is ready.
        """
        news = []
        for group in groups:
            if group.id in self._told:
                continue
            if rule.assess(group).state != "ready":
                self._waiting.add(group.id)
            else:
                self._told.add(group.id)
                if group.id in self._waiting or self._is_recent(group):
                    news.append(group)
        return sorted(news, key=lambda group: (group.updated_time, group.id))

    def _is_recent(self, group: AudienceGroup) -> bool:
        updated_at = epoch_seconds(group.updated_time) or epoch_seconds(group.created_time)
        # What does not tell its age is told of: better once too often than never.
        return updated_at is None or updated_at >= self._since_epoch_seconds


def epoch_seconds(written: str) -> float | None:
    """
    Return a time of the platform in seconds since 1970 (UTC); None if it is no time.

    :param written: ``YYYY-MM-DD HH:MM:SS`` in UTC+8.
    """
    try:
        return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_PLATFORM_ZONE).timestamp()
    except ValueError:
        return None
