"""
Guards in tasks: limits for one run, and what a task says when a guard has stopped it.

Whoever triggers a DAG run may give other limits for this run as its configuration: ``{"audiences":
{"max_removed_ratio": "off"}}``. They hold for all syncs of the run that have an argument of the name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import GuardError, InvalidInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_KEY = "audiences"
WIDE_OPEN: dict[str, object] = {
    "allow_empty": True,
    "max_removed_ratio": "off",
    "max_added_ratio": "off",
    "max_removed": "off",
    "max_added": "off",
    "max_malformed_ratio": "off",
    "min_members": 0,
    "min_suppressed": 0,
    "allow_older_run": True,
}
"""Limits that a run may have of its own, with the value that lets everything pass."""


def take_limits_of_run(operator: Any, context: Context) -> None:
    """
    Set the limits that this run was triggered with, in place of the operator's own.

    :param operator: operator with guards. If it has ``limits_of_run``, it takes the limits of these names only.
    :param context: context of the task.
    :raises InvalidInputError: the run's configuration has something else in place of limits; nothing was sent.
    """
    configuration = getattr(context.get("dag_run"), "conf", None)
    given = configuration.get(_KEY) if isinstance(configuration, Mapping) else None
    if given is None:
        return
    if not isinstance(given, Mapping) or not set(given) <= set(WIDE_OPEN):
        others = sorted(map(str, set(given) - set(WIDE_OPEN))) if isinstance(given, Mapping) else []
        raise InvalidInputError(
            f"the run's configuration has {'other names' if others else 'no mapping of limits'} under {_KEY!r}"
            f"{': ' + ', '.join(others) if others else ''}; known are {', '.join(WIDE_OPEN)}; nothing was sent"
        )
    taken = getattr(operator, "limits_of_run", frozenset(WIDE_OPEN))
    for name, value in given.items():
        if name not in taken or not hasattr(operator, name):
            continue
        if value is None:
            raise InvalidInputError(f"{name} is null in the run's configuration: give a limit, or 'off'")
        operator.log.warning("%s is %r in this run, by the run's configuration.", name, value)
        setattr(operator, name, value)


def run_configuration(operator: Any, error: GuardError) -> str | None:
    """
    Return the configuration, as JSON, by which one run passes the guards that have stopped another; None if none does.

    :param operator: operator whose guards have stopped it.
    :param error: error of the run that was stopped.
    """
    verdicts = (error.report or {}).get("verdicts", [])
    stopped_by = [verdict["guard"] for verdict in verdicts if not verdict["passed"]] or [error.guard]
    if not set(stopped_by) <= set(WIDE_OPEN):
        return None
    widest = {**WIDE_OPEN, **getattr(operator, "widest_limits", {})}
    return json.dumps({_KEY: {guard: widest[guard] for guard in stopped_by}})


@contextmanager
def explaining_stops(operator: Any, context: Context) -> Iterator[None]:
    """
    Say in the log which guard has stopped the block and how to let one run pass, and push the report.

    :param operator: operator with guards.
    :param context: context of the task.
    :raises GuardError: a guard has stopped the block.
    """
    try:
        yield
    except GuardError as error:
        operator.log.warning("Stopped by %s: nothing was sent.", error.guard or "a guard")
        configuration = run_configuration(operator, error)
        if configuration is not None:
            operator.log.warning("If the change is meant, trigger one run with the configuration %s.", configuration)
        if error.report is not None and operator.do_xcom_push:
            context["ti"].xcom_push(key="report", value=dict(error.report))
        raise
