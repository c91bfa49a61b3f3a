"""Waiting for an audience that another sync holds, without using up the task's retries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

from airflow_provider_audiences.exceptions import AudienceBusyError
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.sync.state.lease import OnBusy

log = logging.getLogger(__name__)

DEFAULT_WAIT_SECONDS = 3600
"""Longest time that a task waits for a busy audience, by default."""

_LOOK_SECONDS = 5.0
_RESCHEDULE_SECONDS = 30.0


def wait_for_audience(
    context: Context, *, seconds: float, may_reschedule: bool, sleep: Callable[[float], None] = time.sleep
) -> OnBusy | None:
    """
    Return a function that waits some time for a busy audience; None if the task must not wait.

    On Airflow 3.3 or newer, the task is rescheduled: it uses up no retry, and its worker slot is free meanwhile. Older
    versions can't reschedule operators, so the task waits in its slot.

    :param context: context of the task.
    :param seconds: longest time to wait in seconds, from the first wait on; 0 to raise the error at once.
    :param may_reschedule: whether the task may be rescheduled, as it has done nothing yet that it would have to repeat.
    :param sleep: sleeps for the given number of seconds.
    """
    if not seconds:
        return None
    reschedules = may_reschedule and get_base_airflow_version_tuple() >= (3, 3, 0)
    began: list[float] = []

    def wait(error: AudienceBusyError) -> None:
        if not began:
            first = context["ti"].get_first_reschedule_date(context) if reschedules else None
            began.append(first.timestamp() if first else time.time())
        left = began[0] + seconds - time.time()
        if left <= 0:
            error.so_far = f"It was waited for, {counted(round(seconds), 'second')}"
            raise error
        log.info("Waiting for the audience, for %.0f seconds more at most: %s", left, error.message)
        if reschedules:
            _reschedule(min(_RESCHEDULE_SECONDS, left))
        sleep(min(_LOOK_SECONDS, left))

    return wait


def _reschedule(seconds: float) -> NoReturn:
    from airflow.sdk.exceptions import AirflowRescheduleException

    raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=seconds))
