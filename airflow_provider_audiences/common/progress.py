"""Reporting a task's progress to Airflow's task state store (Airflow 3.3 or newer), which Airflow's API shows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.sync.delivery.progress import OnProgress, Progress

log = logging.getLogger(__name__)

KEY = "progress"


def progress_of(context: Context) -> OnProgress | None:
    """
    Return a function that reports numbers of members to Airflow: those sent so far, and all; None before Airflow 3.3.

    :param context: context of the task.
    """
    store: Any = cast("dict[str, Any]", context).get("task_state_store")
    if store is None:
        return None

    def tell(progress: Progress) -> None:
        try:
            store.set(KEY, {"members_sent": progress.sent, "members_total": progress.members})
        except Exception as error:  # noqa: BLE001 - a failed report must not stop the sending
            log.debug("Airflow did not take the progress: %s", type(error).__name__)

    return tell
