"""
Base classes of the operators that work on an audience's state, and of those that carry out a stored plan.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.common.run_limits import explaining_stops
from airflow_provider_audiences.operators.delivery_base import DeliveryOperator
from airflow_provider_audiences.operators.partition_mixin import PartitionMixin

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.assets.state import Result
    from airflow_provider_audiences.members.partition import Partition
    from airflow_provider_audiences.sync.audience_sync import AudienceSync
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.open_audience import OpenAudience
    from airflow_provider_audiences.sync.partitioned_state import PartitionedState
    from airflow_provider_audiences.sync.settings import DeliverySettings

_MAX_PLAN_ID_CHARACTERS = 200
"""Characters that the id of a plan has at most; ours have 16."""


class StatefulOperator(PartitionMixin, DeliveryOperator):
    """
    Base of the operators that work on an audience's state: they make a plan, carry one out, or do what partitions need.

    :ivar max_drift: warn if the platform's member count differs from the ledger's by a larger share than this; None for
        no warning.
    :ivar drift_patience_seconds: how long to ask the platform for its count again before the warning, in seconds or as
        a timedelta.
    """

    limit_arguments = frozenset(
        {"max_removed_ratio", "max_added_ratio", "max_removed", "max_added", "max_malformed_ratio", "max_drift"}
    )
    max_drift: float | None = None
    drift_patience_seconds: int | timedelta = 0

    def delivery_settings(self) -> DeliverySettings:
        """
        Check all arguments that concern sending, and return them as settings.

        :raises InvalidInputError: an argument, or a setting of ``[audiences]``, is wrong; nothing was sent.
        """
        from airflow_provider_audiences.common.state import check_state_path
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.settings import DeliverySettings

        staging_settings()
        check_state_path(self)
        self.identifier_kind  # noqa: B018 - it may be wrong
        self.selected_partition  # noqa: B018 - it may be wrong
        self.wait_seconds  # noqa: B018 - it may be wrong
        return DeliverySettings.of(self).within(self.delivery_limits)

    @contextmanager
    def open_sync(
        self,
        context: Context,
        destination: Destination,
        delivery_settings: DeliverySettings,
        result: Result,
        *,
        is_new: bool = False,
        may_reschedule: bool = True,
        partition: Partition | None = None,
    ) -> Iterator[AudienceSync]:
        """
        Take the audience's lease, and yield the sync of this audience for as long as the block lasts.

        :param context: context of the task.
        :param destination: audience to sync.
        :param delivery_settings: batch size, parallel requests and drift check.
        :param result: takes the destination, and the progress of the sending.
        :param is_new: whether this task has just created the audience, so that nobody can be in it.
        :param may_reschedule: whether the task may be rescheduled while it waits for the lease (Airflow 3.3 or newer);
            False once it has done work that it would have to do again, such as staging.
        :param partition: partition to sync; None (default) for the selected one, or the whole audience.
        :raises AudienceBusyError: another task was changing the audience for the whole wait.
        """
        from airflow_provider_audiences.sync.audience_sync import AudienceSync

        with self.hold(
            context, destination, is_new=is_new, may_reschedule=may_reschedule, partition=partition
        ) as audience:
            yield AudienceSync(
                audience, delivery_settings=delivery_settings, on_progress=self.watch(result, destination, context)
            )

    @contextmanager
    def hold(
        self,
        context: Context,
        destination: Destination,
        *,
        is_new: bool = False,
        may_reschedule: bool = True,
        partition: Partition | None = None,
    ) -> Iterator[OpenAudience]:
        """
        Take the audience's lease, and yield the audience for as long as the block lasts.

        :param context: context of the task.
        :param destination: audience to hold.
        :param is_new: whether this task has just created the audience, so that nobody can be in it.
        :param may_reschedule: as for :meth:`open_sync`.
        :param partition: as for :meth:`open_sync`.
        :raises AudienceBusyError: another task was changing the audience for the whole wait.
        """
        from airflow_provider_audiences.common.busy import wait_for_audience
        from airflow_provider_audiences.common.state import holder_of
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.open_audience import open_audience

        partition = partition or self.selected_partition
        whole, files = self.state_stores(destination, partition)
        with open_audience(
            destination,
            files,
            holder=holder_of(context),
            is_new=is_new,
            on_busy=wait_for_audience(context, seconds=self.wait_seconds, may_reschedule=may_reschedule),
            staging=staging_settings(),
            whole=whole,
            partitions=partition.count if partition else 1,
        ) as audience:
            yield audience

    def partitioned_state(
        self, context: Context, destination: Destination, *, may_reschedule: bool = True
    ) -> PartitionedState:
        """
        Return the audience's state in any number of partitions, to begin or move it.

        :param context: context of the task.
        :param destination: the audience.
        :param may_reschedule: as for :meth:`open_sync`.
        """
        from airflow_provider_audiences.common.busy import wait_for_audience
        from airflow_provider_audiences.common.state import holder_of
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.partitioned_state import PartitionedState

        return PartitionedState(
            destination=destination,
            store_of=lambda partition: self.state_stores(destination, partition)[1],
            holder=holder_of(context),
            on_busy=wait_for_audience(context, seconds=self.wait_seconds, may_reschedule=may_reschedule),
            staging=staging_settings(),
        )


class StoredPlanOperator(StatefulOperator):
    """
    Base of the operators that carry out a stored plan, exactly as it was stored.

    :param plan_id: id of the stored plan.
    :param override_guards: carry the plan out even if a guard stopped it, such as after a person has approved it;
        default False.
    :param partition: partition that the plan is of; None (default) for a plan of the whole audience.
    """

    template_fields: Sequence[str] = ("plan_id", "partition", "wait_for_audience_seconds", "account")

    def __init__(
        self, *, plan_id: str, override_guards: bool = False, partition: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.partition = partition
        self.plan_id = plan_id
        self.override_guards = override_guards

    def execute(self, context: Context) -> dict[str, Any]:
        """Carry the plan out."""
        from airflow_provider_audiences.validation import not_longer, required_text, true_or_false

        with (
            explaining_stops(self, context),
            self.publishing_outcome(context) as result,
            self.running(),
            ExitStack() as stack,
        ):
            target = self.target_id()
            plan_id = not_longer(
                "plan_id", required_text("plan_id", self.plan_id), than=_MAX_PLAN_ID_CHARACTERS, whose="a ledger"
            )
            override_guards = true_or_false("override_guards", self.override_guards)
            delivery_settings = self.delivery_settings()
            client = stack.enter_context(self.open_client())
            sync = stack.enter_context(
                self.open_sync(context, self.destination_at(client, target), delivery_settings, result)
            )
            report = sync.apply(plan_id, override_guards=override_guards)
            result.expiry = sync.expiry
            result.report = self.report_dict(report)
        self.log_report(result.report)
        return result.report
