"""Events of assets: each successful write emits one, with the operator's report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_provider_audiences.common.targets import TargetKind

VERSION = 1
"""Version of an event's ``extra``, under the key ``audiences``; so others' events can be told apart."""


@dataclass(frozen=True, kw_only=True)
class WriteTarget:
    """
    What a task writes to.

    :param target_kind: audience, suppression list or group.
    :param target: id or name, as the task was given it; empty if it was given none.
    :param operation: what the task does: ``sync``, ``apply``, ``changes``, ``update``, ``append``, ``remove``,
        ``create``, ``delete`` or ``replace``.
    :param conn_id: connection of the task.
    """

    target_kind: TargetKind
    target: str
    operation: str
    conn_id: str

    def event(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the ``extra`` of the event; no member and no secret is in it, as none is in a report.

        :param report: the operator's report.
        """
        return {
            "audiences": VERSION,
            "platform": self.target_kind.platform.name,
            "kind": self.target_kind.name,
            "name": self.target,
            "operation": self.operation,
            "at": int(time.time()),
            "conn_id": self.conn_id,
            "report": dict(report),
        }


def emit(context: Context, outlets: Iterable[Any], asset: Asset, extra: Mapping[str, Any]) -> None:
    """
    Give the event of an asset its ``extra``. Airflow emits the event when the task has succeeded.

    :param context: context of the task.
    :param outlets: outlets of the task. If the asset is none of them, but they have aliases, these stand for it; if
        they have neither, there is no event.
    :param asset: asset of what the task has written.
    :param extra: the event's ``extra``.
    """
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    events = cast("dict[str, Any]", context).get("outlet_events")
    outlets = list(outlets)
    if events is None:  # only contexts made for tests have none
        return
    if any(isinstance(outlet, Asset) and outlet == asset for outlet in outlets):
        events[asset].extra = dict(extra)
        return
    for alias in (outlet for outlet in outlets if isinstance(outlet, AssetAlias)):
        events[alias].add(asset, extra=_for_alias(extra))


def _for_alias(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``extra`` of an alias's event; before Airflow 3.1, values there must be hashable."""
    from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

    if get_base_airflow_version_tuple() >= (3, 1, 0):
        return dict(extra)
    return {name: json.dumps(value) if isinstance(value, Mapping) else value for name, value in extra.items()}
