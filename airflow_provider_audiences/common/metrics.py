"""Metrics of tasks that write, sent by Airflow's own ``Stats`` to whatever Airflow is set up for."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_audiences.common.counts import Counts

log = logging.getLogger(__name__)

_COUNTERS = ("sent", "removed", "refused", "requests")
_GAUGES = ("live", "drift")
_MAX_TAG_CHARACTERS = 80
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, kw_only=True)
class TryMetrics:
    """
    What a try of a task has done, and to what.

    :param counts: its numbers.
    :param seconds: how long it took.
    :param platform: ``applovin`` or ``pai``.
    :param kind: ``audience``, ``suppression_list`` or ``group``.
    :param operation: what the task does, as in an asset's event.
    :param outcome: ``ok``, ``stopped`` by a guard, or ``failed``.
    :param audience: id or name of what is written to; None if it is not known.
    """

    counts: Counts
    seconds: float
    platform: str
    kind: str
    operation: str
    outcome: str
    audience: str | None

    @property
    def _tags(self) -> dict[str, str]:
        return {"platform": self.platform, "kind": self.kind, "operation": self.operation}

    def emit(self) -> None:
        """Send the metrics. A failure to do so is logged, and does not fail the task."""
        from airflow.providers.common.compat.sdk import Stats

        stats: Any = Stats
        try:
            tags = {**self._tags, "outcome": self.outcome}
            for name, value in self._known(_COUNTERS):
                stats.incr(f"audiences.{name}", value, tags=tags)
            stats.timing("audiences.seconds", timedelta(seconds=self.seconds), tags=tags)
            if self.audience is not None:
                # Counters of several audiences add up. A gauge without the audience would be that of the last one.
                tags = {**self._tags, "audience": tag_value(self.audience)}
                for name, value in self._known(_GAUGES):
                    stats.gauge(f"audiences.{name}", value, tags=tags)
        except Exception as error:  # noqa: BLE001 - whatever a client of metrics raises
            log.warning("Airflow did not take the task's metrics: %s", type(error).__name__)

    def _known(self, names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        for name in names:
            value = getattr(self.counts, name)
            if value is not None:
                yield name, value


def tag_value(name: str) -> str:
    """
    Return a name as the value of a tag: other characters than letters, digits and ``_.-`` become ``_`` and their code.

    :param name: id or name of an audience. Of one that is longer than 80 characters, the beginning and a digest are
        returned.
    """
    value = _NOT_IN_TAGS.sub("_", quote(name, safe="", errors="replace"))
    if len(value) <= _MAX_TAG_CHARACTERS:
        return value
    digest = hashlib.sha256(name.encode("utf-8", errors="replace")).hexdigest()[:8]
    return f"{value[: _MAX_TAG_CHARACTERS - 9]}_{digest}"
