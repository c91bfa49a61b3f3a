"""
What Airflow 3.3 keeps of an asset in its state store: the last outcome, the history, coming expiry, and limits.

A stopped guard and a failure emit no event, so only this store tells of them. Older versions have no such store.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_audiences.assets.history import MAX_BYTES, Point, extended
from airflow_provider_audiences.exceptions import AudienceError, GuardError
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_provider_audiences.common.counts import Counts
    from airflow_provider_audiences.sync.delivery.progress import Progress
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.expiry import Expiry

log = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 300
"""Most characters of an outcome's message; the task's log has the whole text."""

_OUTCOME, _ERROR = "audiences_outcome", "audiences_error"


@dataclass(kw_only=True)
class Result:
    """
    What a task finds out while it works, to be told at its end.

    :param report: the operator's report; None until the work is done.
    :param live: members that are there now, where the report does not say; None if it is not known.
    :param limits: the guards' limits by name; None if the task has no guards.
    :param expiry: when members begin to expire; None if it is not known.
    :param destination: what members are sent to, which counts requests; None if it is not known yet, or a group is
        made.
    :param progress: progress of the sending; None if nothing is sent.
    """

    report: Mapping[str, Any] | None = None
    live: int | None = None
    limits: Mapping[str, Any] | None = None
    expiry: Expiry | None = None
    destination: Destination | None = None
    progress: Progress | None = None


@dataclass(frozen=True, kw_only=True)
class TaskOutcome:
    """
    How a task has ended.

    :param state: ``ok``, ``stopped`` by a guard, or ``failed``.
    :param operation: what the task does, as in an event.
    :param message: one line without members and secrets.
    :param guard: name of the guard that stopped the task; None if none did.
    :param report: the operator's report; None if there is none.
    :param at: time of the outcome, in seconds since 1970 (UTC).
    """

    state: Literal["ok", "stopped", "failed"]
    operation: str
    message: str
    guard: str | None = None
    report: Mapping[str, Any] | None = None
    at: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of_error(cls, error: BaseException, *, operation: str) -> TaskOutcome:
        """
        Return the outcome of a task that an error has ended.

        :param error: the error. Only errors of this package are quoted: others may have members in their text.
        :param operation: what the task does.
        """
        ours = error if isinstance(error, AudienceError) else error.__cause__
        said = str(ours) if isinstance(ours, AudienceError) else f"{type(error).__name__}: see the task's log"
        guard = ours.guard if isinstance(ours, GuardError) else None
        state: Literal["stopped", "failed"] = "stopped" if isinstance(ours, GuardError) else "failed"
        return cls(state=state, operation=operation, message=_one_line(said), guard=guard)

    @classmethod
    def of_report(cls, report: Mapping[str, Any], *, operation: str) -> TaskOutcome:
        """
        Return the outcome of a task that has succeeded.

        :param report: the operator's report.
        :param operation: what the task does.
        """
        counts = [
            counted(report[name], "person", "people") if name == "amount" else f"{report[name]:,} {name}"
            for name in ("added", "removed", "refreshed", "sent", "live", "amount")
            if isinstance(report.get(name), int)
        ]
        is_idle = report.get("unchanged") is True or (report.get("planned_requests") == 0 and "added" in report)
        said = [*(["nothing to send"] if is_idle else []), *counts] or [f"{operation} done"]
        return cls(state="ok", operation=operation, message=", ".join(said), report=report)

    def as_json(self, context: Context) -> dict[str, Any]:
        """
        Return the outcome as it is stored, with the task that it is of.

        :param context: context of the task.
        """
        from airflow_provider_audiences.common.schedule import seconds_to_next_run

        ti = context["ti"]
        seconds = seconds_to_next_run(context)
        is_small = self.report is not None and len(json.dumps(self.report)) < MAX_BYTES // 2
        return {
            "at": self.at,
            "operation": self.operation,
            "state": self.state,
            "message": self.message,
            "guard": self.guard,
            "report": dict(self.report) if self.report is not None and is_small else None,
            "dag_id": ti.dag_id,
            "task_id": ti.task_id,
            "run_id": ti.run_id,
            "map_index": getattr(ti, "map_index", -1),
            "next_run": None if seconds is None else self.at + int(seconds),
        }


@dataclass(frozen=True, kw_only=True)
class TryResult:
    """
    How a try of a task has ended.

    :param outcome: in words, with the report.
    :param counts: in numbers.
    """

    outcome: TaskOutcome
    counts: Counts


def put_outcome(context: Context, outcome: TaskOutcome, result: Result) -> None:
    """
    Put the outcome of a task that has succeeded into its context, which its callbacks get, too.

    :param context: context of the task.
    :param outcome: how the task has ended.
    :param result: what it has found out.
    """
    cast("dict[str, Any]", context)[_OUTCOME] = (outcome, result)


def outcome_in(context: Context) -> tuple[TaskOutcome, Result] | None:
    """
    Return what :func:`put_outcome` has put into a context; None if nothing was.

    :param context: context of the task.
    """
    found: tuple[TaskOutcome, Result] | None = cast("dict[str, Any]", context).get(_OUTCOME)
    return found


def put_error(context: Context, error: BaseException) -> None:
    """
    Put the error with which a task has failed into its context, which its callbacks get, too.

    Airflow itself does so with ``exception``; in the process of ``dag.test()`` only from 3.3 on.

    :param context: context of the task.
    :param error: what has ended the task.
    """
    cast("dict[str, Any]", context)[_ERROR] = error


def error_in(context: Context) -> Any:
    """
    Return the error with which a task has failed, as Airflow or :func:`put_error` has put it into a context.

    :param context: context of the task.
    :return: the error; a text or None if it is not known.
    """
    values = cast("dict[str, Any]", context)
    given = values.get("exception")
    return given or values.get(_ERROR, given)


def store_of(context: Context, outlets: Iterable[Any], asset: Asset) -> Any:
    """
    Return the state store of an asset; None if Airflow has none, or if the asset is no outlet of the task.

    :param context: context of the task.
    :param outlets: outlets of the task.
    :param asset: the asset.
    """
    stores = cast("dict[str, Any]", context).get("asset_state_store")
    return None if stores is None or asset not in outlets else stores[asset]


def is_failure(error: BaseException) -> bool:
    """
    Return whether an error ends a task's try, other than those by which a task defers, waits or is skipped.

    :param error: what has passed the task.
    """
    from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

    if isinstance(error, AirflowSkipException | TaskDeferred | GeneratorExit):
        return False
    try:
        from airflow.sdk.exceptions import AirflowRescheduleException
    except ImportError:  # Airflow 2, where operators can't be rescheduled
        return True
    return not isinstance(error, AirflowRescheduleException)


def store_outcome(store: Any, context: Context, outcome: TaskOutcome, result: Result) -> None:
    """
    Store how a task has ended. A failure to do so is logged, and does not fail the task: its work is done.

    :param store: state store of the asset.
    :param context: context of the task.
    :param outcome: how the task has ended.
    :param result: what it has found out.
    """
    try:
        store.set("outcome", outcome.as_json(context))
        if result.limits is not None:
            store.set("limits", dict(result.limits))
        if outcome.report is not None:
            point = Point.of(outcome.report, at=outcome.at, operation=outcome.operation, live=result.live)
            store.set("history", extended(store.get("history"), point))
        if result.expiry is not None:
            store.set("expiry", result.expiry.as_dict())
    except Exception as error:  # noqa: BLE001 - whatever Airflow's API raises
        log.warning("Airflow did not take the audience's state: %s", type(error).__name__)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else f"{line[: MAX_MESSAGE_CHARACTERS - 1]}…"
