"""
Base class of the operators that send changes which queries in a warehouse have worked out, whatever the platform.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_audiences.common.masked import MaskedFieldsMixin, MembersField
from airflow_provider_audiences.common.run_limits import explaining_stops, take_limits_of_run
from airflow_provider_audiences.operators.stateful_base import StatefulOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.sync.changes import ChangesSettings
    from airflow_provider_audiences.sync.run_date import RunDate


class SendChangesOperator(MaskedFieldsMixin, StatefulOperator):
    """
    Base of the operators that stage changes, check them, and send them. Subclasses say where the members go.

    :class:`~airflow_provider_audiences.operators.applovin_changes.AppLovinSendChangesOperator` documents the arguments.
    """

    operation = "changes"
    change_arguments: ClassVar[tuple[str, ...]] = ("added", "removed")
    """Names of the arguments with members."""
    template_fields: Sequence[str] = (
        "added",
        "removed",
        "expected_changes",
        "on_ledger",
        "max_removed",
        "max_added",
        "allow_older_run",
        "max_malformed_ratio",
        "wait_for_audience_seconds",
        "account",
    )
    template_ext: Sequence[str] = (".sql",)  # of an SqlSource
    added = MembersField()
    removed = MembersField()
    ttl_seconds: int | str | timedelta | None = None
    # Limits by the platform's count of members, which not every platform has.
    max_removed_ratio: float | str | None = None
    max_added_ratio: float | str | None = None
    min_members: int | str = 0
    # Limits of what a sync reads whole.
    allow_empty = True
    min_suppressed = 0

    def __init__(
        self,
        *,
        added: Any = None,
        removed: Any = None,
        expected_changes: int | str | None = None,
        on_ledger: Literal["fail", "forget"] = "fail",
        max_removed: int | str | None = None,
        max_added: int | str | None = None,
        allow_older_run: bool | str = False,
        on_malformed: Literal["fail", "drop"] = "fail",
        max_malformed_ratio: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.added = added
        self.removed = removed
        self.expected_changes = expected_changes
        self.on_ledger = on_ledger
        self.max_removed = max_removed
        self.max_added = max_added
        self.allow_older_run = allow_older_run
        self.on_malformed = on_malformed
        self.max_malformed_ratio = max_malformed_ratio

    @property
    def sources_read(self) -> Sequence[Any]:
        """All sources that were given."""
        return tuple(value for name in self.change_arguments if (value := getattr(self, name)) is not None)

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the changes, and send them."""
        from airflow_provider_audiences.common.schedule import run_date_of
        from airflow_provider_audiences.common.state import holder_of
        from airflow_provider_audiences.sources.change_arguments import ChangeArguments
        from airflow_provider_audiences.sync.changes import ChangesDelivery

        with (
            explaining_stops(self, context),
            self.publishing_outcome(context) as result,
            self.running(),
            ExitStack() as stack,
        ):
            take_limits_of_run(self, context)
            arguments = ChangeArguments.of(self, names=self.change_arguments, identifier_kind=self.identifier_kind)
            delivery_settings = self.delivery_settings()
            settings = self.changes_settings(run_date=run_date_of(context))
            result.limits = settings.guards.limits
            target = self.target_id()
            destination = self.destination_at(stack.enter_context(self.open_client()), target)
            audience = stack.enter_context(self.hold(context, destination))
            staged = stack.enter_context(arguments.staged())
            delivery = ChangesDelivery(
                audience,
                delivery_settings=delivery_settings,
                run_key=holder_of(context).key,
                on_progress=self.watch(result, destination, context),
            )
            report = delivery.run(staged, settings)
            result.report = report.as_dict()
        self.log_report(report.as_dict())
        return report.as_dict()

    def changes_settings(self, *, run_date: RunDate | None) -> ChangesSettings:
        """
        Return the settings that decide which changes are sent, after checking the arguments.

        :param run_date: dates of the run; None if it has none.
        :raises InvalidInputError: an argument is wrong; nothing was sent.
        """
        from airflow_provider_audiences.sync.changes import ChangesSettings
        from airflow_provider_audiences.sync.guards import Guards

        return ChangesSettings.checked(
            limits=self.delivery_limits,
            ttl_seconds=self.ttl_seconds,
            guards=Guards.of(self),
            on_ledger=self.on_ledger,
            expected_changes=self.expected_changes,
            run_date=run_date,
            allow_older_run=self.allow_older_run,
        )
