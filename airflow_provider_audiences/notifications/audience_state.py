"""A callback for tasks that notifies somebody when the state of an audience changes, and not at each run."""

from __future__ import annotations

import copy
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.notifier import BaseNotifier

from airflow_provider_audiences.exceptions import AudienceError, GuardError, InvalidInputError
from airflow_provider_audiences.notifications.states import AudienceState, Limits, Seen, changes
from airflow_provider_audiences.validation import a_type, ratio, seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.notifications.memory import Memory
    from airflow_provider_audiences.notifications.notices import Notice, Run

_FOLDER = "notices"
_CLAIM_SECONDS = 600
"""For so long, a run that is about to tell a change keeps others from telling it; then it counts as killed."""

_MOST_ROUNDS = 5
"""How often another run may be quicker before the change is left to the next run."""


class AudienceStateNotifier(BaseNotifier):
    """
    Notify when the state of an audience, a suppression list or a group changes.

    Give the same object to the task's ``on_success_callback`` and ``on_failure_callback``. Other notifiers do the
    sending; their templates have the notice: ``{{ notice.subject }}``, ``{{ notice.body }}``, and the other names of
    ``Notice``. Told are: a guard stops runs, or another one
    does; runs fail; runs are ok again; the platform's count drifts, and fits again; and members begin to expire soon
    while runs don't succeed. Each task remembers by itself, and each notifier is told until it takes the notice.

    Tasks that write nothing (``plan_only``, ``dry_run``), or to what is only known as another task's output, tell
    nothing.

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
        self.limits = Limits(
            drift_beyond=ratio("drift_beyond", drift_beyond),
            expiry_within_seconds=None if expiry_within is None else seconds("expiry_within", expiry_within),
        )

    def notify(self, context: Context) -> None:
        """
        Tell what has changed, if anything has. A failure to do so is logged, and is no failure of the task.

        :param context: context of the task.
        """
        with self._logging_failures():
            run = _run_of(context)
            if run is None:
                self.log.debug("There is no state to tell: the task writes to nothing that is known here.")
                return
            for notifier, memory in self._with_memories(run, context["task"]):
                # What fails for one notifier, such as a file of its memory, must not keep the next ones from theirs.
                with self._logging_failures():
                    self._tell(notifier, memory, run, context)

    @contextmanager
    def _logging_failures(self) -> Iterator[None]:
        """Log what the block raises: a callback's failure is none of the task."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is
            said = str(error) if isinstance(error, AudienceError) else type(error).__name__
            self.log.warning("Changes of state were not told: %s", said)

    def _with_memories(self, run: Run, task: Any) -> Iterator[tuple[Callable[[Any], Any], Memory]]:
        """Yield each notifier with its own memory, which another one of the same type does not share."""
        from airflow_provider_audiences.common.state import state_store
        from airflow_provider_audiences.notifications.memory import Memory

        store = state_store(_FOLDER, run.asset)
        ti = run.ti
        numbers: Counter[str] = Counter()
        for notifier in self.notifiers:
            name = getattr(notifier, "__qualname__", type(notifier).__qualname__)
            numbers[name] += 1
            key = repr((ti.dag_id, ti.task_id, getattr(ti, "map_index", -1), self._place(task), name, numbers[name]))
            yield notifier, Memory(store, hashlib.sha256(key.encode()).hexdigest()[:32])

    def _place(self, task: Any) -> int:
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

    def _tell(self, notifier: Callable[[Any], Any], memory: Memory, run: Run, context: Context) -> None:
        """Tell one notifier what has changed since it was last told; it is asked again at the next run if it fails."""
        for _ in range(_MOST_ROUNDS):
            page = memory.latest()
            now = AudienceState.after(page.told, run.seen, self.limits)
            found = changes(page.told, now)
            if found and page.claimed_until > time.time():
                self.log.info("Another run is about to tell that the state has changed.")
                return
            try:
                if not found:
                    if now != page.told:
                        memory.turn(page, told=now)
                    return
                page = memory.turn(page, told=page.told, claimed_until=int(time.time()) + _CLAIM_SECONDS)
            except FileExistsError:
                continue
            is_told = self._told(notifier, run.notice(found, page.told, now), context)
            memory.turn(page, told=now if is_told else page.told)
            return

    def _told(self, notifier: Callable[[Any], Any], notice: Notice, context: Context) -> bool:
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


def _run_of(context: Context) -> Run | None:
    """Return the run of a task; None if the task writes to nothing that is known."""
    from airflow_provider_audiences.assets.state import TaskOutcome, left_by
    from airflow_provider_audiences.common.run_limits import run_configuration
    from airflow_provider_audiences.notifications.notices import Run

    values = cast("dict[str, Any]", context)
    task = values.get("task")
    asset = getattr(task, "known_asset", None)
    if task is None or asset is None or task.writes_nothing:
        return None
    error, left = values.get("exception"), left_by(context)
    report = first_expiry = configuration = None
    if error is None:
        if left is None:
            return None
        outcome, result = left
        report = outcome.report
        first_expiry = result.expiry.first if result.expiry else None
        message = outcome.message
    else:
        raised = error if isinstance(error, BaseException) else RuntimeError()
        outcome = TaskOutcome.of_error(raised, operation=task.operation)
        ours = raised if isinstance(raised, AudienceError) else raised.__cause__
        message = str(ours) if isinstance(ours, AudienceError) else outcome.message
        if isinstance(ours, GuardError):
            report, configuration = ours.report, run_configuration(task, ours)
    counts = outcome.report or {}
    seen = Seen(
        state=outcome.state,
        guard=outcome.guard,
        at=outcome.at,
        drift=counts.get("drift"),
        live=counts.get("live"),
        first_expiry=first_expiry,
    )
    return Run(
        write=task.write,
        asset=asset.uri,
        seen=seen,
        message=message,
        report=report,
        ti=values["ti"],
        configuration=configuration,
    )
