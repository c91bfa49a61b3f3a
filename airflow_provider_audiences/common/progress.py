"""How far a task is, where Airflow keeps such a thing: its task state store (Airflow 3.3), shown by its API."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

KEY = "progress"


def progress_of(context: Context) -> Callable[[int, int], None] | None:
    """
    Return what tells Airflow how many members have landed; None below Airflow 3.3.

    :param context: the task's context.
    """
    store: Any = cast("dict[str, Any]", context).get("task_state_store")
    if store is None:
        return None

    def tell(done: int, total: int) -> None:
        try:
            store.set(KEY, {"members_sent": done, "members_total": total})
        except Exception as error:  # noqa: BLE001 - the members are what counts
            log.debug("Airflow did not take the progress: %s", type(error).__name__)

    return tell
