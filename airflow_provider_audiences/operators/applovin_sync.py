"""
Operators that make an AppLovin audience equal its source: plan, send what differs, remember what was sent.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_audiences.operators.applovin_delivery_base import ToAudience
from airflow_provider_audiences.operators.applovin_plan_base import AppLovinStoredPlanOperator
from airflow_provider_audiences.operators.applovin_sync_base import AppLovinMirrorOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.platforms.applovin.audiences import AudienceSpec
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
    from airflow_provider_audiences.sync.destination import Destination


class AppLovinSyncAudienceOperator(ToAudience, AppLovinMirrorOperator):
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
        "ttl_seconds",
        "refresh_before_seconds",
        "initial",
        *AppLovinMirrorOperator.template_fields,
    )

    def __init__(
        self,
        *,
        audience_id: str | None = None,
        name: str | None = None,
        platform: str | None = None,
        package_name: str | None = None,
        description: str | None = None,
        audience_type: str = "retargeting",
        ttl_seconds: int | str | timedelta | None = None,
        refresh_before_seconds: int | str | timedelta | None = None,
        initial: Literal["fail", "append", "replace"] = "fail",
        max_drift: float | None = 0.05,
        drift_patience_seconds: int | timedelta = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.name = name
        self.platform = platform
        self.package_name = package_name
        self.description = description
        self.audience_type = audience_type
        self.ttl_seconds = ttl_seconds
        self.refresh_before_seconds = refresh_before_seconds
        self.initial = initial
        self.max_drift = max_drift
        self.drift_patience_seconds = drift_patience_seconds

    def check_target(self) -> None:
        """Check which audience is meant."""
        self._checked_spec()

    def destination(
        self, client: AppLovinClient, context: Context, *, is_staged: bool, may_create: bool
    ) -> Destination | None:
        """Return the audience; one that is given by its name is looked for, or made, when its members are staged."""
        spec = self._checked_spec()
        if spec and not is_staged:
            return None
        return self.destination_at(client, self._found_audience(client, context, spec, may_create=may_create))

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


class AppLovinApplyPlanOperator(ToAudience, AppLovinStoredPlanOperator):
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

    template_fields: Sequence[str] = ("audience_id", *AppLovinStoredPlanOperator.template_fields)

    def __init__(
        self,
        *,
        audience_id: str,
        max_drift: float | None = 0.05,
        drift_patience_seconds: int | timedelta = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.max_drift = max_drift
        self.drift_patience_seconds = drift_patience_seconds
