"""
Bases of the tasks of a partitioned sync: before partitions plan, when they plan, before they send, and at the end.

A platform's operators derive from these and from its sync operator, and add who the audience is.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.common.run_limits import WIDE_OPEN, explaining_stops, take_limits_of_run
from airflow_provider_audiences.members.partition import WHOLE, Partition, partitions
from airflow_provider_audiences.operators.stateful_base import StatefulOperator
from airflow_provider_audiences.operators.sync_base import SyncOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.assets.state import Result
    from airflow_provider_audiences.common.counts import Counts
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sources.member_arguments import MemberArguments
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.report import SyncReport

NOT_PREPARED = frozenset({"source", "partition", "rejects_path"})
"""Arguments of a sync operator that :class:`PreparePartitions` does not have."""

_OF_RUNS = frozenset({"allow_older_run"})
"""Limits that are about the run, and not about what its plan changes."""

_NO_LIMITS = {name: value for name, value in WIDE_OPEN.items() if name not in _OF_RUNS}
"""Guards that let every plan pass."""

GUARDS = frozenset(_NO_LIMITS)
"""Names of the arguments that limit the whole audience's plan: :class:`PartitionsVerdict` has them."""


class PreparePartitions(SyncOperator):
    """
    Find or make the audience, make sure that its state is in so many partitions, and read the opt-outs. Sends nothing.

    :param partitions: how many there are: 1, 16 or 256. A state in another number of partitions, or of the whole
        audience, is moved.
    :return: the audience's id by the name of its argument, ``partitions``, and ``opt_outs``, the name of what is kept
        of ``suppress``.
    :raises ConflictError: the state would have to be moved, and a plan is begun and not finished.
    :raises GuardError: it has members that no ledger knows, and ``initial`` is ``fail``.
    """

    def __init__(self, *, partitions: int, **kwargs: Any) -> None:
        super().__init__(source=(), plan_only=True, **kwargs)
        self.partitions = partitions

    def execute(self, context: Context) -> dict[str, Any]:
        """Find or make the audience, decide about members that it had before, and keep the opt-outs."""
        from airflow_provider_audiences.common.schedule import run_date_of, seconds_to_next_run
        from airflow_provider_audiences.sync.partitioning import refuse_replacing
        from airflow_provider_audiences.sync.planning import member_count_of

        with explaining_stops(self, context), self.running(), ExitStack() as stack:
            take_limits_of_run(self, context)
            self.delivery_settings()
            settings = self.sync_settings(run_date=run_date_of(context), next_run_seconds=seconds_to_next_run(context))
            refuse_replacing(settings)
            self.check_target_arguments()
            client = stack.enter_context(self.open_client())
            destination, is_new = self.destination_by_id(client), False
            if destination is None:
                destination, is_new = self.find_or_create_destination(client, context, may_create=True)
            count = member_count_of(destination)
            self.log.info("The platform counts %s members, before this sync.", "no" if count is None else f"{count:,}")
            state = self.partitioned_state(context, destination)
            state.require(self.partitions, settings=settings, is_new=is_new, may_move=True)
            target = {self.target_argument: destination.address.audience_id}
            opt_outs = self._stored_opt_outs(destination)
        for key, value in (target | {"opt_outs": opt_outs}).items():
            context["ti"].xcom_push(key=key, value=value)
        return target | {"partitions": self.partitions, "opt_outs": opt_outs}

    def _stored_opt_outs(self, destination: Destination) -> str:
        """Read the opt-outs, and keep them for all partitions; return their name, or an empty text for none."""
        from airflow_provider_audiences.sources.member_arguments import MemberArguments
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.state.run_opt_outs import delete_old_opt_outs, store_opt_outs

        files = self.state_stores(destination)[0]
        delete_old_opt_outs(files)
        arguments = MemberArguments.of(self, identifier_kind=self.identifier_kind)
        with arguments.staged_opt_outs() as opt_outs:
            if opt_outs is None:
                return ""
            return store_opt_outs(
                files,
                opt_outs,
                partitions=self.partitions,
                identifier_kind=self.identifier_kind,
                settings=staging_settings(),
            )


class PartitionPlan(SyncOperator):
    """
    Plan one partition, with the opt-outs that :class:`PreparePartitions` has kept. It has no limits, neither of
    its own nor of the run: they are for the plans of all partitions together.

    :param opt_outs: name of what is kept; empty for no opt-outs (templated).
    """

    limits_of_run = _OF_RUNS
    publishes_outcome = False

    def __init__(self, *, opt_outs: Any, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, **_NO_LIMITS, "plan_only": True})
        self.opt_outs = opt_outs

    @contextmanager
    def staged_opt_outs(
        self, arguments: MemberArguments, destination: Destination | None
    ) -> Iterator[StagedMembers | None]:
        """Yield the partition's opt-outs; None if there are none."""
        from airflow_provider_audiences.members.workspace import open_workspace
        from airflow_provider_audiences.sync.state.run_opt_outs import load_opt_outs

        if not self.opt_outs or destination is None:
            yield None
            return
        kind = self.identifier_kind
        with open_workspace(arguments.settings, key_bytes=kind.key_bytes) as workspace:
            yield load_opt_outs(
                self.state_stores(destination)[0],
                self.opt_outs,
                Partition.named(self.partition),
                identifier_kind=kind,
                workspace=workspace,
            )


class PartitionsVerdict(StatefulOperator):
    """
    Let the guards judge the plans of all partitions as one plan; if it passes, send its first batch, and no other.

    :param plans: reports of the tasks that have planned, in the order of their partitions (templated).
    :param count: how many partitions there are.
    :param allow_empty: as for the sync operator, like the other limits, but for all plans together.
    :param max_removed_ratio: see ``allow_empty``.
    :param max_added_ratio: see ``allow_empty``.
    :param max_removed: see ``allow_empty``.
    :param max_added: see ``allow_empty``.
    :param min_members: see ``allow_empty``.
    :param min_suppressed: see ``allow_empty``.
    :param max_malformed_ratio: see ``allow_empty``.
    :return: partition and plan of each task that is to send; the summed report is the XCom ``report``.
    :raises GuardError: a guard has stopped the plan; nothing was sent.
    :raises InvalidInputError: none of the source's texts is a member, or too many are malformed; nothing was sent.
    :raises PlanOutdatedError: another sync has run since; nothing was sent.
    """

    template_fields: Sequence[str] = ("plans", *_NO_LIMITS, "wait_for_audience_seconds", "account")
    operation = "plan"
    publishes_outcome = False

    def __init__(
        self,
        *,
        plans: Any,
        count: int,
        allow_empty: bool = False,
        max_removed_ratio: float | str | None = 0.3,
        max_added_ratio: float | str | None = None,
        max_removed: int | None = None,
        max_added: int | None = None,
        min_members: int = 0,
        min_suppressed: int = 0,
        max_malformed_ratio: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plans = plans
        self.count = count
        self.allow_empty = allow_empty
        self.max_removed_ratio = max_removed_ratio
        self.max_added_ratio = max_added_ratio
        self.max_removed = max_removed
        self.max_added = max_added
        self.min_members = min_members
        self.min_suppressed = min_suppressed
        self.max_malformed_ratio = max_malformed_ratio

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Judge the plan, and send its first batch."""
        from airflow_provider_audiences.sync.guards import Guards, refuse_unless_passed
        from airflow_provider_audiences.wording import counted

        with explaining_stops(self, context), self.publishing_outcome(context) as result, self.running():
            take_limits_of_run(self, context)
            guards, delivery_settings, audience_id = Guards.of(self), self.delivery_settings(), self.target_id()
            plans = _reports(self.plans, self.count, of="plan", so_far="nothing was sent")
            with self.open_client() as client:
                destination = self.destination_at(client, audience_id)
                whole = self._whole_plan(destination, plans, guards)
                refuse_unless_passed(whole.verdicts, report=whole.as_dict())
                first = next((plan for plan in plans if plan["planned_requests"]), None)
                if first is not None:
                    partition = Partition.named(_partition_of(first))
                    with self.open_sync(context, destination, delivery_settings, result, partition=partition) as sync:
                        sent = sync.send_first_batch(first["plan_id"])
                    if sent is not None:
                        whole = replace(whole, **sent.counts())
                        members = counted(sent.sent, "member")
                        self.log.info("The first batch, of %s, was accepted: %s.", partition, members)
                whole = replace(whole, requests=destination.requests_sent)
        context["ti"].xcom_push(key="report", value=whole.as_dict())
        return [{"partition": _partition_of(plan), "plan_id": plan["plan_id"]} for plan in plans]

    def _whole_plan(self, destination: Any, plans: Sequence[Mapping[str, Any]], guards: Any) -> SyncReport:
        """Return the report of all plans together, with the verdicts of the guards, and log both."""
        from airflow_provider_audiences.sync.guards import log_verdicts
        from airflow_provider_audiences.sync.partitioning import refuse_texts, whole_counts
        from airflow_provider_audiences.sync.report import SyncReport, summed
        from airflow_provider_audiences.validation import ratio

        reports = [SyncReport.from_details(plan, audience_id=plan["audience_id"], plan_id="") for plan in plans]
        whole = summed(reports, audience_id=destination.address.audience_id)
        max_ratio = ratio("max_malformed_ratio", self.max_malformed_ratio, at_most=1)
        refuse_texts(whole, identifier_kind=self.identifier_kind, max_ratio=max_ratio)
        stores = [
            (self.state_stores(destination, Partition.named(_partition_of(plan)))[1], plan["plan_id"]) for plan in plans
        ]
        judged = guards.verdicts(whole_counts(stores), suppress_members=whole.suppress_members)
        names = {verdict.guard for verdict in judged}
        # Guards about the run and the opt-outs were asked in each partition: one that objects speaks for all.
        others = {one.guard: one for report in reports for one in report.verdicts if one.guard not in names}
        others |= {one.guard: one for report in reports for one in report.verdicts
                   if one.guard in others and not one.passed}  # fmt: skip
        whole = replace(whole, verdicts=[*judged, *others.values()])
        for line in whole.plan_lines():
            self.log.info("%s", line)
        log_verdicts(whole.verdicts)
        return whole


class PartitionsReport(StatefulOperator):
    """
    Sum up what the partitions have sent, compare it with the platform's count, and tell the audience's asset, once.

    :param planned: report of the whole plan (templated).
    :param applied: reports of the tasks that have sent, in the order of their partitions (templated).
    :param count: how many partitions there are.
    :param opt_outs: name of the opt-outs that were kept for this run; empty for none (templated).
    :param initial: what the sync was told about members that no ledger knows (templated).
    :param mode: what the sync does with members that its source lacks (templated).
    :return: the report, as for the sync operator, and ``partitions``.
    """

    template_fields: Sequence[str] = (
        "planned", "applied", "opt_outs", "initial", "mode", "wait_for_audience_seconds", "account",
    )  # fmt: skip
    operation = "sync"

    def __init__(
        self,
        *,
        planned: Any,
        applied: Any,
        count: int,
        opt_outs: Any,
        initial: str = "fail",
        mode: str = "mirror",
        max_drift: float | None = 0.05,
        drift_patience_seconds: int | timedelta = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.applied = applied
        self.count = count
        self.opt_outs = opt_outs
        self.initial = initial
        self.mode = mode
        self.max_drift = max_drift
        self.drift_patience_seconds = drift_patience_seconds

    def execute(self, context: Context) -> dict[str, Any]:
        """Sum up."""
        import time

        from airflow_provider_audiences.sync.drift import measured_drift
        from airflow_provider_audiences.sync.partitioning import whole_report
        from airflow_provider_audiences.sync.state.run_opt_outs import delete_opt_outs

        with self.publishing_outcome(context) as result, self.running():
            delivery_settings, audience_id = self.delivery_settings(), self.target_id()
            applied = _reports(self.applied, self.count, of="apply", so_far="what the others have sent stays")
            report = whole_report(self.planned, applied, audience_id=audience_id)
            with self.open_client() as client:
                destination = self.destination_at(client, audience_id)
                drift = measured_drift(
                    destination,
                    live=report.live,
                    delivery_settings=delivery_settings,
                    sleep=time.sleep,
                    accepts_unknown_members="append" in {self.initial, self.mode},
                    has_sent=bool(report.batches),
                )
                if self.opt_outs:
                    delete_opt_outs(self.state_stores(destination)[0], str(self.opt_outs))
                report = replace(report, drift=drift, requests=report.requests + destination.requests_sent)
            result.report = {**report.as_dict(), "partitions": self.count}
        self.log_report(result.report)
        return dict(result.report)

    def _counts(self, result: Result) -> Counts:
        """Return what all tasks of this run have done together: none of them tells it by itself."""
        from airflow_provider_audiences.common.counts import Counts

        report = result.report
        if report is None:
            return Counts()
        return Counts(
            sent=report["added"] + report["refreshed"],
            removed=report["removed"],
            refused=report["malformed"] + report["zeroed"] + report["rejected_by_api"],
            requests=report["requests"],
            live=report["live"],
            drift=report["drift"],
        )


def _reports(given: Any, count: int, *, of: str, so_far: str) -> list[Mapping[str, Any]]:
    """Return the reports of the mapped task ``of``, after checking that each partition has one."""
    from airflow_provider_audiences.exceptions import InvalidInputError

    reports = list(given)
    named = [_partition_of(report) for report in reports if isinstance(report, Mapping)]
    if named != [partition.name for partition in partitions(count)]:
        raise InvalidInputError(
            f"the {count} tasks {of!r} have left {len(named)} reports, or some of other partitions; {so_far}",
            advice=f"Clear those tasks {of!r} that have not run to their end, such as one that was marked as "
            "successful, with the tasks after them.",
        )
    return reports


def _partition_of(report: Mapping[str, Any]) -> str:
    return str(report.get("partition", WHOLE))
