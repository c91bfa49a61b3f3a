"""
Base class of the operators that refresh PAI audience groups: make a new group, wait for it, delete the old ones.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.common.billable_calls import total_calls
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.common.run_limits import explaining_stops, take_limits_of_run
from airflow_provider_audiences.common.targets import GROUP
from airflow_provider_audiences.common.task_mixin import DEFAULT_DEFERRABLE
from airflow_provider_audiences.exceptions import (
    AudienceError,
    GroupNotReadyError,
    GroupRejectedError,
    InvalidInputError,
    NotFoundError,
    PermanentError,
)
from airflow_provider_audiences.operators.pai_base import PaiOperator, provenance_of
from airflow_provider_audiences.operators.pai_refresh_arguments import RefreshArguments
from airflow_provider_audiences.operators.write_base import WriteOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.assets.state import Result
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.marker import GroupMarker
    from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh, RefreshResult
    from airflow_provider_audiences.platforms.pai.refresh import GroupRefresh
    from airflow_provider_audiences.triggers.pai import PaiGroupTrigger
    from airflow_provider_audiences.waiting.outcomes import WaitOutcome

_NO_TRIGGERER = timedelta(minutes=10)
"""How much later than the trigger Airflow ends the wait."""


class PaiRefreshOperator(WriteOperator, PaiOperator):
    """
    Base of the operators that make a new group take the place of the old ones.

    :class:`~airflow_provider_audiences.operators.pai_refresh.PaiReplaceGroupOperator` documents the arguments.
    """

    target_kind = GROUP
    target_arguments = ("name",)
    name: str | None

    def __init__(
        self,
        *,
        keep_previous: int = 0,
        delete_failed: bool = True,
        provenance: str | None = None,
        allow_older_run: bool | str = False,
        min_amount: int = 1,
        ready_statuses: Sequence[int] | None = None,
        failed_statuses: Sequence[int] | None = None,
        timeout: timedelta | float | str = 6 * 3600,
        poke_interval: timedelta | float | str = 60,
        max_poke_interval: timedelta | float | str = 600,
        max_poll_failures: int = 5,
        deferrable: bool = DEFAULT_DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_previous = keep_previous
        self.delete_failed = delete_failed
        self.provenance = provenance
        self.allow_older_run = allow_older_run
        self.min_amount = min_amount
        self.ready_statuses = ready_statuses
        self.failed_statuses = failed_statuses
        self.timeout = timeout
        self.poke_interval = poke_interval
        self.max_poke_interval = max_poke_interval
        self.max_poll_failures = max_poll_failures
        self.deferrable = deferrable

    @property
    def arguments(self) -> RefreshArguments:
        """What the operator was given, checked."""
        return RefreshArguments.of(self)

    @abstractmethod
    def begin(self, context: Context, client: PaiClient) -> PendingRefresh:
        """
        Make the new group, unless there is nothing to do.

        :param context: context of the task.
        :param client: client of the PAI account.
        :return: state of the refresh; ``unchanged`` says that no group was made.
        """

    @property
    def limits(self) -> dict[str, float | None] | None:
        """The guards' limits that bound a group's size, by name; None (the base class) without guards."""
        return None

    def check_group(self, group: AudienceGroup, pending: PendingRefresh) -> None:
        """
        Inspect the new group once it is ready and has replaced the others. The base class does nothing.

        :param group: the new group, as PAI shows it.
        :param pending: state of the refresh.
        """

    def clean_up(self, pending: PendingRefresh, refresh: GroupRefresh) -> None:
        """
        Remove what the task's groups were made from, unless another run may need it. The base class does nothing.

        :param pending: state of the refresh; its group is ready or has failed.
        :param refresh: the refresh, which can tell whether another run is under way.
        """

    def is_source_missing(self, pending: PendingRefresh) -> bool:
        """
        Return whether the file that PAI was to read is gone, so that a rejection says nothing about the numbers in it.

        :param pending: state of the refresh.
        """
        return False

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the new group, wait until it is ready, and delete the groups that it replaces."""
        with explaining_stops(self, context), self.publishing_outcome(context) as result:
            result.report = self._refresh_group(context, result)
            return dict(result.report)

    def _refresh_group(self, context: Context, result: Result) -> dict[str, Any]:
        with self.running():
            take_limits_of_run(self, context)
            arguments = self.arguments
            provenance_of(self.provenance, context)
            with self.billed_client(context) as client:
                result.limits = self.limits
                pending = replace(self.begin(context, client), billable_calls=client.billable_calls)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="group_id", value=pending.group_id)
        if pending.unchanged:
            self.log.info("The group %s has these members: nothing to do.", pending.group_id)
            return self._report(pending)
        self.log.info(
            "The new group %s %s; waiting until it is ready.",
            pending.group_id, "was there from an earlier try" if pending.adopted else "is made",
        )  # fmt: skip
        trigger = self._trigger(pending, arguments)
        if arguments.deferrable:
            # The trigger ends by itself; this timeout is for the case that no triggerer is running.
            longest = timedelta(seconds=arguments.timeout) + _NO_TRIGGERER
            self.defer(trigger=trigger, method_name="execute_complete", timeout=longest)
        poll = trigger.poll()
        try:
            outcome = trigger.wait_here(poll)
        except BaseException:  # a timeout of the task, or its end, is no Exception
            self.report_calls(context, total_calls(pending.billable_calls, poll.billable_calls))
            raise
        return self._complete(context, pending, outcome)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Finish the refresh after the trigger has waited.

        :param context: context of the task.
        :param event: payload of the trigger's event.
        """
        from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh
        from airflow_provider_audiences.waiting.outcomes import WaitOutcome, event_not_understood

        try:
            pending = PendingRefresh.from_json(event["passed_on"]) if event else None
        except (KeyError, TypeError):
            pending = None
        if pending is None:
            raise event_not_understood()
        with self.publishing_outcome(context) as result:
            with task_errors():
                take_limits_of_run(self, context)
                result.limits = self.limits
            result.report = self._complete(context, pending, WaitOutcome.of_event(event))
            return dict(result.report)

    def _complete(self, context: Context, pending: PendingRefresh, outcome: WaitOutcome) -> dict[str, Any]:
        calls = total_calls(pending.billable_calls, outcome.billable_calls)
        pending = replace(pending, billable_calls=calls)
        with task_errors(), self.billed_client(context, pending.billable_calls) as client:
            refresh = self.group_refresh(
                client,
                name=pending.name,
                owner=pending.owner,
                idempotency_key=pending.idempotency_key,
                map_index=pending.map_index,
            )
            is_gone = False
            try:
                outcome.result(timeout_error=GroupNotReadyError)
            except PermanentError as error:
                is_gone = isinstance(error, NotFoundError)  # and may have been replaced by another run
                has_timed_out = isinstance(error, GroupNotReadyError)
                if not is_gone and not (has_timed_out and refresh.is_ready(pending.group_id)):
                    self._end_unready(error, refresh, pending)
                    raise
            try:
                replaced = refresh.finish(pending, is_gone=is_gone)
            finally:
                self.or_warn(partial(self.clean_up, pending, refresh))
            self.check_group(replaced.group, pending)
            calls = total_calls(pending.billable_calls, client.billable_calls)
        pending = self._renamed(context, replace(pending, billable_calls=calls), replaced)
        return self._report(pending, replaced)

    def _end_unready(self, error: PermanentError, refresh: GroupRefresh, pending: PendingRefresh) -> None:
        """Delete the new group if ``delete_failed`` asks for that, and add to the error what is left."""
        from airflow_provider_audiences.platforms.pai.refresh_failures import explain_failure, file_lost

        delete_failed = self.arguments.delete_failed
        has_timed_out, is_rejected = isinstance(error, GroupNotReadyError), isinstance(error, GroupRejectedError)
        if is_rejected and self.is_source_missing(pending):
            # Otherwise the next try would find the rejected group, and fail for it.
            refresh.delete_unready(pending.group_id)
            raise file_lost(pending.group_id) from error
        is_deleted = delete_failed and (has_timed_out or is_rejected) and refresh.delete_unready(pending.group_id)
        # PAI may still read the file of a group that is not ready in time and is kept.
        if delete_failed or not has_timed_out:
            self.or_warn(partial(self.clean_up, pending, refresh))
        explain_failure(error, pending.group_id, name=pending.name, is_deleted=is_deleted)

    def _renamed(self, context: Context, pending: PendingRefresh, replaced: RefreshResult) -> PendingRefresh:
        """Return the refresh with the id of the group that is there now: a later run may have replaced this task's."""
        if replaced.group.id == pending.group_id:
            return pending
        if self.do_xcom_push:
            context["ti"].xcom_push(key="group_id", value=replaced.group.id)
        return replace(pending, group_id=replaced.group.id, adopted=True)

    def or_warn(self, clean_up: Callable[[], None]) -> None:
        """
        Clean up, and only log a failure: a further try would do all the work again, and be billed for it.

        :param clean_up: function that removes what a group was made from.
        """
        try:
            clean_up()
        except AudienceError as error:
            self.log.warning("What the group was made from could not be removed; the next run does it: %s", error)

    def group_refresh(
        self, client: PaiClient, *, name: str, owner: str, idempotency_key: str, map_index: int
    ) -> GroupRefresh:
        """
        Return the refresh of this task's groups.

        :param client: client of the PAI account.
        :param name: name of the groups.
        :param owner: digest of the provenance key, as in the groups' markers.
        :param idempotency_key: digest of run, map index and parameters, as in the new group's marker.
        :param map_index: index of a mapped task; -1 for a task that is not mapped.
        :raises InvalidInputError: ``min_amount`` and the statuses contradict each other, or one of them is wrong.
        """
        from airflow_provider_audiences.platforms.pai.dialects import STATUS_CHECKING
        from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
        from airflow_provider_audiences.platforms.pai.refresh import GroupRefresh

        rule = ReadinessRule.of(
            min_amount=self.min_amount, ready_statuses=self.ready_statuses, failed_statuses=self.failed_statuses
        )
        if not rule.min_amount and STATUS_CHECKING in rule.ready_in(client.dialect):
            raise InvalidInputError(
                "with min_amount=0 and this connection's ready statuses, a group is taken for ready while it is being "
                "checked (Status 0, Amount 0), and the old one deleted: set ready_statuses=[1] as well"
            )
        return GroupRefresh(
            client,
            name=name,
            owner=owner,
            idempotency_key=idempotency_key,
            map_index=map_index,
            rule=rule,
            keep_previous=self.arguments.keep_previous,
        )

    def new_group_refresh(self, client: PaiClient, spec: GroupSpec, marker: GroupMarker) -> GroupRefresh:
        """
        Return the refresh that makes a new group.

        :param client: client of the group's account.
        :param spec: parameters of the new group.
        :param marker: marker of the new group.
        """
        return self.group_refresh(
            client,
            name=spec.name or "",
            owner=marker.owner,
            idempotency_key=marker.idempotency_key,
            map_index=marker.map_index,
        )

    def marker(self, context: Context, client: PaiClient, spec: GroupSpec, *, fingerprint: str = "") -> GroupMarker:
        """
        Return the marker of the new group. All tries of the task have the same one; after the task is cleared there is
        another.

        :param context: context of the task.
        :param client: client of the PAI account.
        :param spec: parameters of the new group.
        :param fingerprint: fingerprint of the phone numbers that were staged; empty if none were.
        """
        from airflow_provider_audiences.common.schedule import run_date_of

        ti = context["ti"]
        return client.marker(
            provenance=provenance_of(self.provenance, context),
            run=ti.run_id,
            map_index=getattr(ti, "map_index", -1),
            # Airflow raises max_tries when a task is cleared.
            clear_count=max(0, ti.max_tries - (self.retries or 0)),
            spec=spec,
            fingerprint=fingerprint,
            run_date=run_date_of(context),
        )

    def _trigger(self, pending: PendingRefresh, arguments: RefreshArguments) -> PaiGroupTrigger:
        from airflow_provider_audiences.triggers.pai import PaiGroupTrigger

        now = time.time()
        return PaiGroupTrigger(
            conn_id=self.pai_conn_id,
            group_id=pending.group_id,
            min_amount=arguments.min_amount,
            ready_statuses=self.ready_statuses,
            failed_statuses=self.failed_statuses,
            poll_interval_seconds=arguments.poke_interval,
            max_poll_interval_seconds=arguments.max_poke_interval,
            deadline_epoch_seconds=now + arguments.timeout,
            max_poll_failures=arguments.max_poll_failures,
            # A poll is billed, and a group is not ready as soon as it is made.
            first_poll_epoch_seconds=now + (0 if pending.adopted else arguments.poke_interval),
            passed_on=pending.as_json(),
        )

    def _report(self, pending: PendingRefresh, replaced: RefreshResult | None = None) -> dict[str, Any]:
        report = pending.report(replaced, cost=self.cost_of(pending.billable_calls))
        self.log_report(report)
        return report
