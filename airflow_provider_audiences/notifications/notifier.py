"""A callback for tasks that notifies somebody when the state of an audience changes, and not at each run."""

from __future__ import annotations

import copy
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.notifier import BaseNotifier

from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.exceptions import AudienceError, GuardError, InvalidInputError
from airflow_provider_audiences.notifications.health import AudienceHealth, NotificationThresholds, Observation, changes
from airflow_provider_audiences.validation import a_type, ratio, seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.assets.events import WriteTarget
    from airflow_provider_audiences.notifications.notices import Notice, RunSummary
    from airflow_provider_audiences.notifications.notified_states import NotifiedStateStore

log = logging.getLogger(__name__)

ENDED_BY_AIRFLOW = (
    "Airflow has ended the task from outside, or never begun it: its worker was lost, or did not take it in time. The "
    "log of Airflow's scheduler says more"
)
"""Message of a run of which nothing else is known."""

_FOLDER = "notices"
_CLAIM_SECONDS = 600
"""For so long, a run that is about to tell a change keeps others from telling it; then it counts as killed."""

_MAX_ATTEMPTS = 5
"""How often another run may be quicker before the change is left to the next run."""


class AudienceStateNotifier(BaseNotifier):
    """
    Notify when the state of an audience, a suppression list or a group changes.

    Give the same object to the task's ``on_success_callback`` and ``on_failure_callback``. Other notifiers do the
    sending; their templates have the notice: ``{{ notice.subject }}``, ``{{ notice.body }}``, and the other names of
    ``Notice``. These changes are notified: a guard stops runs, or another one does; runs fail; runs are ok again; the
    platform's count drifts, and fits again; and members begin to expire soon while runs don't succeed. Each task keeps
    the last notified state by itself, and a notifier that fails is called again after the next run.

    Tasks that write nothing (``plan_only``, ``dry_run``) tell nothing.

    :param notifiers: notifiers of Airflow, or functions that take a task's context; one, or a sequence of them.
    :param drift_beyond: from which share of the members on a difference between the platform's count and the ledger's
        is told; default 0.05. None or ``off`` for never.
    :param expiry_within: how long before members begin to expire this is told, as a timedelta or in seconds; default
        3 days. None for never.
    :raises InvalidInputError: an argument is wrong.
    """

    def __init__(
        self,
        *,
        notifiers: Sequence[Callable[[Any], Any]] | Callable[[Any], Any],
        drift_beyond: float | str | None = 0.05,
        expiry_within: timedelta | float | None = timedelta(days=3),
    ) -> None:
        super().__init__()
        self.notifiers = [notifiers] if callable(notifiers) else list(notifiers)
        for notifier in self.notifiers:
            if not callable(notifier):
                raise InvalidInputError(f"notifiers has {a_type(notifier)}: give notifiers, or functions")
        self.thresholds = NotificationThresholds(
            drift_beyond=ratio("drift_beyond", drift_beyond),
            expiry_within_seconds=None if expiry_within is None else seconds("expiry_within", expiry_within),
        )

    def notify(self, context: Context) -> None:
        """
        Tell what has changed, if anything has. A failure to do so is logged, and is no failure of the task.

        :param context: context of the task.
        """
        with self._logging_failures():
            run = _summary_of(context)
            if run is None:
                self.log.debug("There is no state to tell: the task writes to nothing that is known here.")
                return
            if run.asset is None:
                self._notify_unremembered(run, context)
                return
            for notifier, store in self._each_with_store(run, context["task"]):
                # What fails for one notifier, such as a file of its own, must not keep the next ones from theirs.
                with self._logging_failures():
                    self._notify_one(notifier, store, run, context)

    @contextmanager
    def _logging_failures(self) -> Iterator[None]:
        """Log what the block raises: a callback's failure is none of the task."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is
            said = str(error) if isinstance(error, AudienceError) else type(error).__name__
            self.log.warning("Changes of state were not told: %s", said)

    def _each_with_store(self, run: RunSummary, task: Any) -> Iterator[tuple[Callable[[Any], Any], NotifiedStateStore]]:
        """Yield each notifier with its own store, which another one of the same type does not share."""
        from airflow_provider_audiences.common.state import state_store
        from airflow_provider_audiences.notifications.notified_states import NotifiedStateStore

        folder = state_store(_FOLDER, cast("str", run.asset))
        ti = run.ti
        task_id = getattr(task, "notified_as", None) or ti.task_id
        numbers: Counter[str] = Counter()
        for notifier in self.notifiers:
            name = getattr(notifier, "__qualname__", type(notifier).__qualname__)
            numbers[name] += 1
            key = repr(
                (ti.dag_id, task_id, getattr(ti, "map_index", -1), self._index_in_callbacks(task), name, numbers[name])
            )
            yield notifier, NotifiedStateStore(folder, hashlib.sha256(key.encode()).hexdigest()[:32])

    def _index_in_callbacks(self, task: Any) -> int:
        """
        Return this notifier's place among those of its type in the list of callbacks that it is in.

        So two of them in the same list remember by themselves, and one that is made twice, for successes and for
        failures, remembers as one.
        """
        for callbacks in (_listed(task.on_success_callback), _listed(task.on_failure_callback)):
            ours = [callback for callback in callbacks if isinstance(callback, AudienceStateNotifier)]
            for place, callback in enumerate(ours):
                if callback is self:
                    return place
        return 0

    def _notify_one(
        self, notifier: Callable[[Any], Any], store: NotifiedStateStore, run: RunSummary, context: Context
    ) -> None:
        """Tell one notifier what has changed since it was last told; it is asked again at the next run if it fails."""
        for _ in range(_MAX_ATTEMPTS):
            stored = store.latest()
            now = AudienceHealth.after(stored.last_notified, run.observation, self.thresholds)
            found = changes(stored.last_notified, now)
            if found and stored.claimed_until > time.time():
                self.log.info("Another run is about to tell that the state has changed.")
                return
            try:
                if not found:
                    if now != stored.last_notified:
                        store.compare_and_set(stored, last_notified=now)
                    return
                stored = store.compare_and_set(
                    stored, last_notified=stored.last_notified, claimed_until=int(time.time()) + _CLAIM_SECONDS
                )
            except FileExistsError:
                continue
            is_delivered = self._deliver(notifier, run.notice(found, stored.last_notified, now), context)
            store.compare_and_set(stored, last_notified=now if is_delivered else stored.last_notified)
            return

    def _notify_unremembered(self, run: RunSummary, context: Context) -> None:
        """Tell all notifiers that a run has failed of which it is not known what it writes to."""
        # Nothing is remembered of it, as no success of a known audience would ever reset that.
        now = AudienceHealth.after(None, run.observation, self.thresholds)
        notice = run.notice(changes(None, now), None, now)
        for notifier in self.notifiers:
            with self._logging_failures():
                self._deliver(notifier, notice, context)

    def _deliver(self, notifier: Callable[[Any], Any], notice: Notice, context: Context) -> bool:
        """Call a notifier, and return whether it has taken the notice."""
        cast("dict[str, Any]", context)["notice"] = notice
        try:
            _call(notifier, context)
        except Exception as error:  # noqa: BLE001 - whatever the user's notifier raises
            # Not its text: it may hold the address of a webhook, which is a secret. Airflow's own notifiers log it.
            self.log.warning("A notifier failed (%s); the next run tries again.", type(error).__name__)
            return False
        self.log.info("Told: %s", notice.subject)
        return True


def _call(notifier: Callable[[Any], Any], context: Context) -> None:
    """Call a notifier, and raise what it raises: those of Airflow 2 only log their failures."""
    # A notifier keeps what its templates were rendered to, so each notice has a copy of its own.
    called: Any = copy.copy(notifier)
    failures: list[Exception] = []
    if isinstance(called, BaseNotifier):
        notify = called.notify

        def noting(*args: Any) -> None:
            try:
                notify(*args)
            except Exception as error:
                failures.append(error)
                raise

        vars(called)["notify"] = noting
    called(context)
    if failures:
        raise failures[0]


def _listed(callbacks: Any) -> Sequence[Any]:
    return callbacks if isinstance(callbacks, list | tuple) else [callbacks]


def _summary_of(context: Context) -> RunSummary | None:
    """Return the run of a task; None if the task writes to nothing that is known, or if it has not ended."""
    from airflow_provider_audiences.assets.state import TaskOutcome, error_in, outcome_in
    from airflow_provider_audiences.common.run_limits import run_configuration
    from airflow_provider_audiences.notifications.notices import RunSummary

    values = cast("dict[str, Any]", context)
    if "reason" in values:  # a callback of the DAG, whose context is that of any of its tasks
        return None
    error, left = error_in(context), outcome_in(context)
    if error is None and left is None and not _has_failed(values.get("ti")):
        return None
    found = _target_of(values)
    if found is None:
        return None
    task, write, asset = found
    report = first_expiry = configuration = None
    if error is None and left is not None:
        outcome, result = left
        report = outcome.report or result.report
        first_expiry = result.expiry.first if result.expiry else None
        message = outcome.message
    elif error is None:
        message = ENDED_BY_AIRFLOW
        outcome = TaskOutcome(state="failed", operation=write.operation, message=message)
    else:
        raised = error if isinstance(error, BaseException) else RuntimeError()
        outcome = TaskOutcome.of_error(raised, operation=write.operation)
        ours = raised if isinstance(raised, AudienceError) else raised.__cause__
        message = str(ours) if isinstance(ours, AudienceError) else outcome.message
        if not isinstance(error, BaseException):
            message = ENDED_BY_AIRFLOW
        if isinstance(ours, GuardError):
            report, configuration = ours.report, run_configuration(task, ours)
    counts = outcome.report or {}
    observation = Observation(
        state=outcome.state,
        guard=outcome.guard,
        at=outcome.at,
        drift=counts.get("drift"),
        live=counts.get("live"),
        first_expiry=first_expiry,
    )
    return RunSummary(
        write=write,
        asset=asset,
        observation=observation,
        message=message,
        report=report,
        ti=values["ti"],
        configuration=configuration,
    )


def _has_failed(ti: Any) -> bool:
    """
    Return whether a callback without an error is one of a task that has failed.

    The scheduler ends tasks whose worker is lost, and tasks that are stuck in a queue. On Airflow 3, the DAG processor
    then calls ``on_failure_callback``, and no other callback but that of a retry, with a context made anew: it has no
    ``exception``, and its task instance has only what identifies it, neither a state nor a start
    (``_execute_task_callbacks`` in ``airflow/dag_processing/processor.py``, 3.0 to 3.3). In the task's own process,
    the task instance has a start, and a state by the time it has ended. Airflow 2.11 always has an ``exception``,
    which may be empty; then the state tells.
    """
    if ti is None:
        return False
    state = getattr(ti, "state", None)
    if state is None:
        return getattr(ti, "start_date", None) is None
    return str(getattr(state, "value", state)) == "failed"


def _target_of(values: dict[str, Any]) -> tuple[Any, WriteTarget, str | None] | None:
    """
    Return a task, what it writes to, and the URI of its asset; None if it writes to nothing that is known.

    The URI is None if templates, which can't be rendered here, say what is written to.
    """
    from airflow_provider_audiences.common.rendering import rendered_copy

    task: Any = values.get("task")
    dag = values.get("dag")
    is_mapped = not hasattr(task, "known_asset")
    kind: Any = getattr(task, "operator_class", None) if is_mapped else type(task)
    if not hasattr(kind, "asset_arguments"):  # a task of others
        return None
    if is_mapped or not task.is_asset_rendered:
        # Airflow tells that the task has failed where it did not run, or its templates could not be rendered. Only the
        # text of the DAG file is rendered here: what was rendered in the task's process may be data with braces in it.
        try:
            task = rendered_copy(task if dag is None else dag.get_task(task.task_id), values, kind.asset_arguments())
        except Exception as error:  # noqa: BLE001 - whatever templates and other tasks' output raise
            log.warning("The task's templates can't be rendered for its notice (%s).", type(error).__name__)
            return _unrendered(task, kind)
    asset = task.known_asset
    is_told = task.publishes_outcome or task.notified_as is not None
    return (task, task.write_target, asset.uri) if asset is not None and is_told else None


def _unrendered(task: Any, kind: Any) -> tuple[Any, WriteTarget, None]:
    from airflow_provider_audiences.assets.events import WriteTarget

    target_kind = getattr(task, "target_kind", None) or kind.target_kind
    given = getattr(task, kind.conn_argument(), None)
    if given is None:
        given = getattr(task, "partial_kwargs", {}).get(kind.conn_argument())
    write = WriteTarget(
        target_kind=target_kind,
        target=f"of task {task.task_id}",
        operation=kind.operation,
        conn_id=given if isinstance(given, str) and not is_template(given) else "not known",
    )
    return task, write, None
