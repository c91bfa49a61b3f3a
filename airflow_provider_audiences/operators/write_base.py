"""
Base class of the operators that write to an audience, a suppression list or a group: each has it as an asset.

Airflow must know a task's outlets when it parses the DAG file. So an operator adds its asset to them in its
constructor, if its arguments say by then what it writes to. A task emits events only of assets among its outlets.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_audiences.assets.airflow_assets import given_asset
from airflow_provider_audiences.assets.uris import is_ours
from airflow_provider_audiences.common.rendering import is_template
from airflow_provider_audiences.common.task_mixin import TaskMixin
from airflow_provider_audiences.lineage.mixin import LineageMixin
from airflow_provider_audiences.operators.target_mixin import TargetMixin, is_on
from airflow_provider_audiences.validation import required_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_provider_audiences.assets.state import Result, TaskOutcome
    from airflow_provider_audiences.common.counts import Counts


class WriteOperator(TargetMixin, LineageMixin, TaskMixin, BaseOperator):
    """
    Base of the operators that write; its subclasses call :meth:`name_outlet` at the end of their constructors.

    :param account: what tells accounts of the platform apart in the asset's URI; None (default) for the connection.
    :param asset: outlet of the task, as an Airflow asset or its URI; None (default) for the one that the arguments
        name.
    """

    requests_made: int | None = None
    """Requests of this try, where its report does not say; None if it is not known."""

    def __init__(self, *, account: str | None = None, asset: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account = account
        self.asset = asset

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Return the operator's shared arguments; an ``asset`` among them is an outlet of all mapped tasks.

        :param kwargs: arguments that all mapped tasks share.
        """
        return super().partial(**with_named_outlet(kwargs))

    def name_outlet(self) -> None:
        """
        Add the asset to the task's outlets, if it is known already.

        Tasks that are mapped are made when they run; Airflow takes the outlets from ``partial``, and would fail a task
        with another one.

        :raises InvalidInputError: ``asset`` is not an asset.
        """
        asset = self.asset_of_dag_file
        if asset is None or getattr(self, "_BaseOperator__from_mapped", False) or not self.publishes_outcome:
            return
        self.outlets = _with(self.outlets, asset)

    @property
    def asset_of_dag_file(self) -> Asset | None:
        """
        The asset, if the arguments as they are in the DAG file say already which it is.

        :raises InvalidInputError: ``asset`` is none.
        """
        if self.asset is not None:
            return given_asset(self.asset)
        targets = (getattr(self, name) for name in self.target_arguments)
        return None if any(map(is_template, (self._account, *targets))) else self.known_asset

    @contextmanager
    def running(self) -> Iterator[None]:
        """
        Check the task's arguments; the block then does the task's work.

        :raises InvalidInputError: ``account`` is empty, or no text; and as the base class does.
        """
        with super().running():
            if self.account is not None:
                required_text("account", self.account)
            yield

    @contextmanager
    def publishing_outcome(self, context: Context) -> Iterator[Result]:
        """
        Tell Airflow how the block ends: by an event of the asset if it succeeds, in the asset's state store, and by
        metrics; and keep it for lineage. If the task does not publish its outcome, it is only kept.

        :param context: context of the task.
        :return: result of the task; the block sets its fields.
        """
        from airflow_provider_audiences.assets.events import emit
        from airflow_provider_audiences.assets.state import (
            Result,
            TaskOutcome,
            is_failure,
            put_error,
            put_outcome,
            store_of,
            store_outcome,
        )

        asset = self.known_asset if self.publishes_outcome else None
        store = None if asset is None else store_of(context, self.outlets, asset)
        result = Result()
        self.try_result = None
        began = time.monotonic()
        try:
            yield result
        except BaseException as error:  # a timeout of the task is no Exception
            if is_failure(error):
                put_error(context, error)
                outcome = TaskOutcome.of_error(error, operation=self.operation)
                if store is not None:
                    store_outcome(store, context, outcome, result)
                self._measure(result, outcome, seconds=time.monotonic() - began)
            raise
        if result.report is None:
            return
        outcome = TaskOutcome.of_report(result.report, operation=self.operation)
        self._measure(result, outcome, seconds=time.monotonic() - began)
        if asset is None:
            return
        emit(context, self.outlets, asset, self.write_target.event(result.report))
        put_outcome(context, outcome, result)
        if store is not None:
            store_outcome(store, context, outcome, result)

    def _measure(self, result: Result, outcome: TaskOutcome, *, seconds: float) -> None:
        """Keep how a try has ended, and send its metrics if the task publishes its outcome."""
        from airflow_provider_audiences.assets.state import TryResult
        from airflow_provider_audiences.common.metrics import TryMetrics

        counts = self._counts(result)
        self.try_result = TryResult(outcome=outcome, counts=counts)
        if not self.publishes_outcome:
            return
        TryMetrics(
            counts=counts,
            seconds=(result.report or {}).get("seconds", seconds),
            platform=self.target_kind.platform.name,
            kind=self.target_kind.name,
            operation=self.operation,
            outcome=outcome.state,
            audience=self._target(),
        ).emit()

    def _counts(self, result: Result) -> Counts:
        from airflow_provider_audiences.common.counts import Counts

        return Counts.of(
            result.report,
            operation=self.operation,
            live=result.live,
            requests=result.destination.requests_sent if result.destination else self.requests_made,
            sends=result.destination is not None,
            progress=result.progress,
        )

    def log_report(self, report: Mapping[str, Any]) -> None:
        """
        Log a report.

        :param report: the operator's report, with the id of what was written to.
        """
        from airflow_provider_audiences.common.reports import report_lines

        for line in report_lines(report, heading=self._heading(report)):
            self.log.info("%s", line)

    def _heading(self, report: Mapping[str, Any]) -> str:
        """Return what was written to, in words: its name, if that is known, and its id."""
        reported_id = str(report.get("audience_id") or report.get("group_id") or "")
        name = str(report.get("name") or self._target() or "")
        named = (
            f" {name!r} ({reported_id})" if name and reported_id and name != reported_id else f" {reported_id or name}"
        )
        return f"{self.target_kind.title}{named}:"

    @property
    def dataset_written(self) -> Asset | None:
        """What the task tells lineage that it writes to, as an asset of ours; None if nothing, or it is not known."""
        if not self.publishes_outcome:
            return None
        asset = self.known_asset
        return asset if asset is None or is_ours(asset.uri) else self._own_asset()


def with_named_outlet(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return arguments that mapped tasks share, with their ``asset`` among the ``outlets``.

    :param arguments: arguments by name. Without an ``asset``, or if nothing is written, they are returned as they are.
    :raises InvalidInputError: ``asset`` is not an asset.
    """
    asset = arguments.get("asset")
    if asset is None or is_on(arguments.get("plan_only")) or is_on(arguments.get("dry_run")):
        return dict(arguments)
    return {**arguments, "outlets": _with(arguments.get("outlets"), given_asset(asset))}


def _with(outlets: Any, asset: Asset) -> list[Any]:
    """Return outlets with one more, in a list of its own: a list of ``default_args`` is shared by tasks."""
    listed = list(outlets) if isinstance(outlets, list | tuple | set) else [outlets] if outlets else []
    return listed if asset in listed else [*listed, asset]
