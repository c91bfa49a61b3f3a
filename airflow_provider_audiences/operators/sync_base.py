"""
Base class of the operators that make an audience equal its source, whatever the platform.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_audiences.common.masked import AddressField, MaskedFieldsMixin, MembersField
from airflow_provider_audiences.common.run_limits import explaining_stops, take_limits_of_run
from airflow_provider_audiences.operators.stateful_base import StatefulOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sources.member_arguments import MemberArguments
    from airflow_provider_audiences.sources.partitions import PartitionedReading
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.run_date import RunDate
    from airflow_provider_audiences.sync.settings import SyncSettings


class FoundDestination(NamedTuple):
    """
    A destination that was looked for.

    :param destination: the destination.
    :param is_new: whether it was created just now, so that nobody can be in it.
    """

    destination: Destination
    is_new: bool


class SyncOperator(MaskedFieldsMixin, StatefulOperator):
    """
    Base of the sync operators: stages the source, plans and sends. Subclasses say where the members go.

    A subclass has the class attributes ``target_kind``, ``target_argument``, ``target_arguments`` and ``operation``,
    the argument with its connection, and the methods and properties that ``DeliveryOperator`` leaves open:
    ``delivery_limits``, ``identifier_kind``, ``target_id``, ``open_client`` and ``destination_at``. Its template fields
    begin with its own arguments, and its ``__init__`` ends with :meth:`name_outlet`. Where members have a TTL, it also
    sets ``ttl_seconds`` and ``refresh_before_seconds``, and where they can be replaced, ``initial``.

    :class:`~airflow_provider_audiences.operators.applovin_sync.AppLovinSyncAudienceOperator` documents the arguments.
    """

    template_fields: Sequence[str] = (
        "source",
        "suppress",
        "partition",
        "mode",
        "on_lost_ledger",
        "allow_empty",
        "max_removed_ratio",
        "max_added_ratio",
        "max_removed",
        "max_added",
        "min_members",
        "min_suppressed",
        "suppress_on_malformed",
        "allow_older_run",
        "release_held_back",
        "max_malformed_ratio",
        "rejects_path",
        "wait_for_audience_seconds",
        "account",
    )
    template_ext: Sequence[str] = (".sql",)  # of an SqlSource
    source = MembersField()
    suppress = MembersField()
    rejects_path = AddressField()
    ttl_seconds: int | str | timedelta | None = None
    refresh_before_seconds: int | str | timedelta | None = None
    initial: str = "fail"

    def __init__(
        self,
        *,
        source: Any,
        suppress: Any = None,
        mode: Literal["mirror", "append", "replace"] = "mirror",
        on_lost_ledger: Literal["fail", "replace", "rebuild"] = "fail",
        allow_empty: bool = False,
        max_removed_ratio: float | str | None = 0.3,
        max_added_ratio: float | str | None = None,
        max_removed: int | str | None = None,
        max_added: int | str | None = None,
        min_members: int | str = 0,
        min_suppressed: int | str = 0,
        suppress_on_malformed: Literal["fail", "drop"] = "fail",
        allow_older_run: bool | str = False,
        release_held_back: bool | str = False,
        on_malformed: Literal["drop", "fail"] = "drop",
        max_malformed_ratio: float | str | None = None,
        rejects_path: Any = None,
        rejects_include_values: bool = False,
        plan_only: bool = False,
        partition: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partition = partition
        self.source = source
        self.suppress = suppress
        self.mode = mode
        self.on_lost_ledger = on_lost_ledger
        self.allow_empty = allow_empty
        self.max_removed_ratio = max_removed_ratio
        self.max_added_ratio = max_added_ratio
        self.max_removed = max_removed
        self.max_added = max_added
        self.min_members = min_members
        self.min_suppressed = min_suppressed
        self.suppress_on_malformed = suppress_on_malformed
        self.allow_older_run = allow_older_run
        self.release_held_back = release_held_back
        self.on_malformed = on_malformed
        self.max_malformed_ratio = max_malformed_ratio
        self.rejects_path = rejects_path
        self.rejects_include_values = rejects_include_values
        self.plan_only = plan_only

    def destination_by_id(self, client: Any) -> Destination | None:
        """
        Return the destination that the arguments name; None if :meth:`find_or_create_destination` has to look for it.

        :param client: client that ``open_client`` opened.
        """
        return self.destination_at(client, self.target_id())

    def find_or_create_destination(self, client: Any, context: Context, *, may_create: bool) -> FoundDestination:
        """
        Look for the destination, and create it if there is none. Called once nothing can be wrong with its members.

        :param client: client that ``open_client`` opened.
        :param context: context of the task.
        :param may_create: whether it may be created.
        :raises NotFoundError: there is none, and it may not be created; nothing was sent.
        """
        raise NotImplementedError

    def check_target_arguments(self) -> None:
        """
        Check the arguments that say where the members go, without a request.

        :raises InvalidInputError: an argument is wrong; nothing was sent.
        """
        self.target_id()

    @property
    def sources_read(self) -> Sequence[Any]:
        """Source and opt-outs."""
        return self.source, self.suppress

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the members, make the plan, and send it unless ``plan_only`` is set."""
        from airflow_provider_audiences.common.schedule import run_date_of, seconds_to_next_run
        from airflow_provider_audiences.sources.member_arguments import MemberArguments
        from airflow_provider_audiences.validation import true_or_false

        with (
            explaining_stops(self, context),
            self.publishing_outcome(context) as result,
            self.running(),
            ExitStack() as stack,
        ):
            take_limits_of_run(self, context)
            arguments = MemberArguments.of(self, identifier_kind=self.identifier_kind, reading=self.reading)
            delivery_settings = self.delivery_settings()
            plan_only = true_or_false("plan_only", self.plan_only)
            settings = self.sync_settings(run_date=run_date_of(context), next_run_seconds=seconds_to_next_run(context))
            result.limits = settings.guards.limits
            self.check_target_arguments()
            client = stack.enter_context(self.open_client())
            known_destination = self.destination_by_id(client)
            sync = None
            if known_destination is not None:
                self.begin_partitions(context, known_destination, settings)
                sync = stack.enter_context(self.open_sync(context, known_destination, delivery_settings, result))
            opt_outs = stack.enter_context(self.staged_opt_outs(arguments, known_destination))
            staged = stack.enter_context(arguments.staged_source(is_compared_once=True))
            if sync is None:
                found = self.find_or_create_destination(client, context, may_create=not plan_only)
                self.begin_partitions(context, found.destination, settings, is_new=found.is_new, may_reschedule=False)
                sync = stack.enter_context(
                    self.open_sync(
                        context, found.destination, delivery_settings, result, is_new=found.is_new, may_reschedule=False
                    )
                )
            report = (sync.plan if plan_only else sync.run)(staged, opt_outs, settings)
            result.expiry = sync.expiry
            result.report = self.report_dict(report)
        if plan_only and self.do_xcom_push:
            # XComs of their own, so that the task that applies the plan can take ``plan.output["plan_id"]``.
            context["ti"].xcom_push(key=self.target_argument, value=report.audience_id)
            context["ti"].xcom_push(key="plan_id", value=report.plan_id)
        self.log_report(result.report)
        return result.report

    def staged_opt_outs(
        self, arguments: MemberArguments, destination: Destination | None
    ) -> AbstractContextManager[StagedMembers | None]:
        """
        Return the opt-outs, staged as long as the block lasts; None if there are none.

        :param arguments: the operator's arguments about members.
        :param destination: the destination, if its id is known already.
        """
        return arguments.staged_opt_outs()

    @property
    def reading(self) -> PartitionedReading | None:
        """
        How the task reads its partition; None if it reads everything.

        :raises InvalidInputError: ``partition`` or ``rejects_path`` is wrong; nothing was sent.
        """
        from airflow_provider_audiences.exceptions import InvalidInputError
        from airflow_provider_audiences.sources.partitions import PartitionedReading

        partition = self.selected_partition
        if partition is None:
            return None
        if self.rejects_path and "rejects_path" not in self.placed_arguments:
            raise InvalidInputError(
                "rejects_path must have {{ partition.hex }} in it: each partition would overwrite the report of the "
                "others; nothing was sent"
            )
        return PartitionedReading(partition=partition, placed=self.placed_arguments)

    def begin_partitions(
        self,
        context: Context,
        destination: Destination,
        settings: SyncSettings,
        *,
        is_new: bool = False,
        may_reschedule: bool = True,
    ) -> None:
        """
        Make sure that the audience's state is in partitions, if the task is about one.

        :param context: context of the task.
        :param destination: the audience.
        :param settings: how the audience is to equal its source.
        :param is_new: whether this task has just created the audience.
        :param may_reschedule: as for :meth:`open_sync`.
        :raises ConflictError: the audience is synced as a whole, or in another number of partitions.
        :raises GuardError: it has members that no ledger knows, and ``initial`` is ``fail``; nothing was sent.
        """
        partition = self.selected_partition
        if partition is not None:
            state = self.partitioned_state(context, destination, may_reschedule=may_reschedule)
            state.require(partition.count, settings=settings, is_new=is_new, may_move=False)

    def sync_settings(self, *, run_date: RunDate | None, next_run_seconds: float | None) -> SyncSettings:
        """
        Return the settings that decide what a sync changes, after checking the arguments.

        :param run_date: dates of the run; None if it has none.
        :param next_run_seconds: seconds until the next run; None if that is not known.
        :raises InvalidInputError: an argument is wrong; nothing was sent.
        """
        from airflow_provider_audiences.sync.guards import Guards
        from airflow_provider_audiences.sync.partitioning import refuse_replacing
        from airflow_provider_audiences.sync.settings import SyncSettings

        settings = SyncSettings.checked(
            limits=self.delivery_limits,
            mode=self.mode,
            ttl_seconds=self.ttl_seconds,
            refresh_before_seconds=self.refresh_before_seconds,
            next_run_seconds=next_run_seconds,
            initial=self.initial,
            on_lost_ledger=self.on_lost_ledger,
            run_date=run_date,
            allow_older_run=self.allow_older_run,
            release_held_back=self.release_held_back,
            guards=Guards.of(self),
        )
        if self.selected_partition is not None:
            refuse_replacing(settings)
        return settings
