"""
Operators that make an AppLovin audience equal its source: plan, send what differs, remember what was sent.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_audiences.common.hidden import AddressField, HidesFieldsWhenMapped, MembersField
from airflow_provider_audiences.operators.applovin_plan_base import AppLovinPlanOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.platforms.applovin.audiences import AudienceSpec
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
    from airflow_provider_audiences.sync.audience_sync import AudienceSync


_PLAN_ID = 200
"""Characters that the id of a plan has at most; ours have 16."""


class AppLovinSyncAudienceOperator(HidesFieldsWhenMapped, AppLovinPlanOperator):
    """
    Make an audience equal a source, with as few requests as it takes.

    What was sent, and when it expires, is kept in a ledger below ``[audiences] state_path``. The difference between
    the source and the ledger is the plan: members that are new are appended, members that would expire soon are sent
    again, and members that are gone are removed. The plan is stored before its first request, and each request is
    written down when it has landed: after a crash, the next try or run goes on from there.

    :param audience_id: id of the audience; or leave it out, and give ``name`` and ``platform`` (templated).
    :param name: of the audience: the one with this name and platform is used, and made if there is none (templated).
    :param platform: ``android`` or ``ios`` (templated).
    :param package_name: the app's package name or bundle ID; required for retargeting (templated).
    :param description: of an audience that is made; an empty one is left out (templated).
    :param audience_type: ``retargeting`` or ``ua``: the kind of campaigns in which it can be used (templated).
    :param source: as for ``AppLovinUpdateAudienceOperator`` (templated).
    :param suppress: a further source, of the same kinds: IDs that are never added, and removed if they may be in the
        audience, in every mode; such as opt-outs. None in the DAG file for nobody; None at run time is an error
        (templated).
    :param mode: ``mirror``: add, refresh and remove; ``append``: never remove what the source lacks; ``replace``: send
        everything each time, the first request replaces the content (templated).
    :param ttl_seconds: how long members stay, in seconds or as a timedelta, at least 1; None for 365 days (templated).
    :param refresh_before_seconds: members that expire sooner than this, in seconds or as a timedelta, are sent again;
        None for a tenth of the TTL, at most 7 days. Members that would not live until the next scheduled run are sent
        again in any case (templated).
    :param initial: what happens to members that are in the audience when it has no ledger: ``fail``; ``append``: they
        stay until they expire; ``replace``: the source becomes the only content. An empty audience needs none of
        this, nor does ``mode="append"``, which leaves them there (templated).
    :param on_lost_ledger: if the ledger is damaged or a part of it is missing: ``fail``; ``replace``: as above;
        ``rebuild``: send the whole source, and remove nobody who is not known (templated).
    :param allow_empty: let a source without members empty the audience (templated).
    :param max_removed_ratio: fail if the plan would remove more than this part of the members; None, or the word
        ``off`` at run time, for no limit (templated).
    :param max_added_ratio: fail if the plan would add more than this part of the members that are there; None or
        ``off`` for no limit (templated).
    :param max_removed: fail if the plan would remove more members than this; None or ``off`` for no limit (templated).
    :param max_added: fail if the plan would add more members than this, in a first sync too; None or ``off`` for no
        limit (templated).
    :param min_members: fail if fewer members than this are wanted (templated).
    :param min_suppressed: fail if ``suppress`` has fewer members than this (templated).
    :param suppress_on_malformed: ``fail`` if a text of ``suppress`` is no advertising ID, since each may be a person
        who would stay; or ``drop`` and count them (templated).
    :param allow_older_run: let a run change the audience although a run with a newer logical date has changed it since
        (templated).
    :param release_held_back: add members again whom ``AppLovinRemoveUsersOperator`` has removed (templated).
    :param on_malformed: ``drop`` and count texts that are no advertising ID, or ``fail`` at the first.
    :param max_malformed_ratio: fail if more than this part of the texts of ``source``, or of ``suppress``, is malformed
        (templated).
    :param rejects_path: write a report of the source's malformed and zeroed texts there, a ``.parquet`` or ``.csv``
        file (templated).
    :param rejects_include_values: add the texts themselves to that report.
    :param plan_only: make and store the plan, show it, and send nothing: ``AppLovinApplyPlanOperator`` carries it out.
    :param batch_size: IDs a request.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param id_case: case in which IDs are sent.
    :param max_drift: warn if AppLovin's count differs by more than this part; None for no warning.
    :param drift_patience_seconds: how long to look again before the warning, in seconds or as a timedelta; the count
        may lag.
    :param wait_for_audience_seconds: how long to wait for another sync of this audience, in seconds or as a timedelta,
        without using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: report with ``audience_id, mode, plan_only, plan_id, generation, replaces, added, refreshed, removed,
        unchanged, suppressed, held_back, suppress_members, suppress_malformed, suppress_zeroed, suppress_duplicates,
        suppress_blank, suppress_unknown, contradicted, live, drift, planned_requests, planned_ids,
        planned_bytes, expected_seconds, verdicts, requests, batches, batches_skipped_by_resume, splits, accepted,
        rejected_by_api, miscounted_batches, bytes_sent, members, malformed, zeroed, duplicates, blank,
        members_by_column, seconds``.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises LedgerLostError: what was sent before can't be told; nothing was sent.
    :raises AudienceBusyError: another sync of this audience was under way for all this time; nothing was sent.
    :raises TaskStoppedError: Airflow has ended the task; the next run goes on from there.
    :raises AudienceApiError: a request failed; the next run goes on from there.
    """

    template_fields: Sequence[str] = (
        "audience_id",
        "name",
        "platform",
        "package_name",
        "description",
        "audience_type",
        "source",
        "suppress",
        "ttl_seconds",
        "refresh_before_seconds",
        "mode",
        "initial",
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
        "applovin_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)  # of an SqlSource
    source = MembersField()
    suppress = MembersField()
    rejects_path = AddressField()

    def __init__(
        self,
        *,
        source: Any,
        audience_id: str | None = None,
        name: str | None = None,
        platform: str | None = None,
        package_name: str | None = None,
        description: str | None = None,
        audience_type: str = "retargeting",
        suppress: Any = None,
        mode: Literal["mirror", "append", "replace"] = "mirror",
        ttl_seconds: int | str | timedelta | None = None,
        refresh_before_seconds: int | str | timedelta | None = None,
        initial: Literal["fail", "append", "replace"] = "fail",
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.name = name
        self.platform = platform
        self.package_name = package_name
        self.description = description
        self.audience_type = audience_type
        self.source = source
        self.suppress = suppress
        self.mode = mode
        self.ttl_seconds = ttl_seconds
        self.refresh_before_seconds = refresh_before_seconds
        self.initial = initial
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

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage, plan and send."""
        from airflow_provider_audiences.common.schedule import run_date_of, seconds_to_next_run
        from airflow_provider_audiences.members.opt_outs import checked_on_malformed, stage_opt_outs
        from airflow_provider_audiences.members.staging import StagingRules, refuse_without_members, stage
        from airflow_provider_audiences.platforms.applovin.audience_destination import AUDIENCE_LIMITS
        from airflow_provider_audiences.sources.opening import open_source
        from airflow_provider_audiences.sources.staging import refuse_source_as_target, rejects_target, staging_settings
        from airflow_provider_audiences.sync.guards import Guards
        from airflow_provider_audiences.sync.settings import SyncSettings
        from airflow_provider_audiences.validation import ratio, true_or_false

        with self.running(), ExitStack() as stack:
            max_malformed_ratio = ratio("max_malformed_ratio", self.max_malformed_ratio, at_most=1)
            source_rules = StagingRules(
                on_malformed=self.on_malformed,
                max_malformed_ratio=max_malformed_ratio,
                rejects=rejects_target(self.rejects_path, include_values=self.rejects_include_values),
            )
            suppress_on_malformed = checked_on_malformed(self.suppress_on_malformed)
            for read in (self.source, self.suppress):
                refuse_source_as_target(self.rejects_path, read)
            send = self.send_settings()
            plan_only = true_or_false("plan_only", self.plan_only)
            settings = SyncSettings.checked(
                limits=AUDIENCE_LIMITS,
                mode=self.mode,
                ttl_seconds=self.ttl_seconds,
                refresh_before_seconds=self.refresh_before_seconds,
                next_run_seconds=seconds_to_next_run(context),
                initial=self.initial,
                on_lost_ledger=self.on_lost_ledger,
                run_date=run_date_of(context),
                allow_older_run=self.allow_older_run,
                release_held_back=self.release_held_back,
                guards=Guards.checked(
                    allow_empty=self.allow_empty,
                    max_removed_ratio=self.max_removed_ratio,
                    max_added_ratio=self.max_added_ratio,
                    max_removed=self.max_removed,
                    max_added=self.max_added,
                    min_members=self.min_members,
                    min_suppressed=self.min_suppressed,
                ),
            )
            spec = self._checked_spec()
            client = stack.enter_context(self.hook.get_conn())

            def held(audience_id: str, *, is_staged: bool = False) -> AudienceSync:
                opened = self.open_sync(context, client, audience_id, send, may_reschedule=not is_staged)
                return stack.enter_context(opened)

            # An audience that may have to be made is made when nothing can be wrong with its members any more.
            sync = None if spec else held(self._found_audience(client, context, spec, may_create=False))
            suppressed: StagedMembers | None = None
            if self.suppress is not None:
                unwanted = stack.enter_context(open_source(self.suppress, argument="suppress"))
                suppressed = stack.enter_context(
                    stage_opt_outs(
                        unwanted,
                        on_malformed=suppress_on_malformed,
                        max_malformed_ratio=max_malformed_ratio,
                        settings=staging_settings(),
                    )
                )
            source = stack.enter_context(open_source(self.source))
            wanted = stack.enter_context(stage(source, rules=source_rules, settings=staging_settings()))
            refuse_without_members(members=wanted.members, malformed=wanted.malformed, name=wanted.member_name)
            if sync is None:
                audience_id = self._found_audience(client, context, spec, may_create=not plan_only)
                sync = held(audience_id, is_staged=True)
            report = (sync.plan if plan_only else sync.run)(wanted, suppressed, settings)
        if plan_only and self.do_xcom_push:
            # Each by itself as well, so that the task which applies the plan is given ``plan.output["plan_id"]``.
            for name in ("audience_id", "plan_id"):
                context["ti"].xcom_push(key=name, value=getattr(report, name))
        return self.shown(report)

    def _checked_spec(self) -> AudienceSpec | None:
        """Return what an audience that is given by its name is like; None if it is given by its id."""
        from airflow_provider_audiences.exceptions import InvalidInputError
        from airflow_provider_audiences.platforms.applovin.audiences import AudienceSpec
        from airflow_provider_audiences.validation import audience_id_of

        if self.audience_id is not None:
            if self.name is not None:
                raise InvalidInputError("give either audience_id, or name and platform, not both")
            self.audience_id = audience_id_of(self.audience_id)
            return None
        if self.name is None or self.platform is None:
            raise InvalidInputError("give audience_id, or name and platform of the audience")
        return AudienceSpec.checked(
            name=self.name,
            platform=self.platform,
            audience_type=self.audience_type,
            package_name=self.package_name,
            description=self.description,
        )

    def _found_audience(
        self, client: AppLovinClient, context: Context, spec: AudienceSpec | None, *, may_create: bool
    ) -> str:
        """Return the audience that is meant; make it if there is none yet."""
        from airflow_provider_audiences.exceptions import ConflictError, NotFoundError

        if spec is None:
            return str(self.audience_id)
        found = [audience.audience_id for audience in client.list_audiences() if spec.matches(audience)]
        if len(found) > 1:
            raise ConflictError(
                f"several audiences have this name and platform: {', '.join(found)}; nothing was sent",
                advice="Give the audience_id of the one that is meant.",
            )
        if found:
            return found[0]
        if not may_create:
            raise NotFoundError(
                f"there is no audience {self.name!r} for {spec.platform}, and plan_only makes none; nothing was sent",
                advice="Make it with AppLovinCreateAudienceOperator, or run without plan_only.",
            )
        created = client.create_audience(
            name=spec.name,
            platform=spec.platform,
            package_name=self.package_name,
            description=self.description,
            audience_type=self.audience_type,
            earlier_try=context["ti"].try_number > 1,
        )
        self.log.info("Audience %s created.", created.audience_id)
        return created.audience_id


class AppLovinApplyPlanOperator(AppLovinPlanOperator):
    """
    Carry out a plan that ``AppLovinSyncAudienceOperator(plan_only=True)`` has stored: exactly this one.

    Put an approval in between. The plan is refused if the audience was synced since it was made.

    :param audience_id: id of the audience: ``plan.output["audience_id"]`` (templated).
    :param plan_id: id of the plan: ``plan.output["plan_id"]`` (templated).
    :param override_guards: carry it out although a guard says no.
    :param batch_size: IDs a request.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param id_case: case in which IDs are sent.
    :param max_drift: warn if AppLovin's count differs by more than this part; None for no warning.
    :param drift_patience_seconds: how long to look again before the warning, in seconds or as a timedelta; the count
        may lag.
    :param wait_for_audience_seconds: as for ``AppLovinSyncAudienceOperator`` (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report, as for ``AppLovinSyncAudienceOperator``.
    :raises PlanOutdatedError: the audience was synced since, or there is no such plan; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises AudienceBusyError: another sync of this audience was under way for all this time; nothing was sent.
    :raises TaskStoppedError: Airflow has ended the task; the next try goes on from there.
    :raises AudienceApiError: a request failed; the next try goes on from there.
    """

    template_fields: Sequence[str] = ("audience_id", "plan_id", "wait_for_audience_seconds", "applovin_conn_id")

    def __init__(self, *, audience_id: str, plan_id: str, override_guards: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.plan_id = plan_id
        self.override_guards = override_guards

    def execute(self, context: Context) -> dict[str, Any]:
        """Carry the plan out."""
        from airflow_provider_audiences.validation import audience_id_of, not_longer, required_text, true_or_false

        with self.running(), ExitStack() as stack:
            audience_id = audience_id_of(self.audience_id)
            plan_id = not_longer("plan_id", required_text("plan_id", self.plan_id), than=_PLAN_ID, whose="a ledger")
            override_guards = true_or_false("override_guards", self.override_guards)
            send = self.send_settings()
            client = stack.enter_context(self.hook.get_conn())
            sync = stack.enter_context(self.open_sync(context, client, audience_id, send))
            report = sync.apply(plan_id, override_guards=override_guards)
        return self.shown(report)
