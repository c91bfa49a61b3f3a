"""
Operators that make an AppLovin audience equal its source: plan the difference, send it, remember what was sent.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Unpack

from airflow_provider_audiences.operators.applovin_delivery_base import AppLovinAudienceOperator
from airflow_provider_audiences.operators.arguments import AppLovinStoredPlanArguments, AppLovinSyncAudienceArguments
from airflow_provider_audiences.operators.stateful_base import StoredPlanOperator
from airflow_provider_audiences.operators.sync_base import FoundDestination, SyncOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.platforms.applovin.audiences import AudienceSpec
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient, CreatedAudience
    from airflow_provider_audiences.sync.destination import Destination


class AppLovinSyncAudienceOperator(AppLovinAudienceOperator, SyncOperator):
    """
    Make an audience equal a source, with as few requests as possible.

    A ledger below ``[audiences] state_path`` remembers who was sent, and when they expire. The difference between the
    source and the ledger is the plan: new members are added, members that expire soon are sent again, and members that
    the source no longer has are removed. The plan is stored before its first request, and each request is recorded once
    it was accepted; after a crash, the next try or run continues from there.

    Most syncs need few of the arguments: ``audience_id``, or ``name``, ``platform`` and ``package_name``; ``source``,
    and ``suppress`` for those who have opted out; ``ttl_seconds`` for how long members stay; and the guards
    ``max_removed_ratio`` and ``min_members``, which stop a source that has lost its rows.

    :param audience_id: id of the audience; or None (default) to use ``name`` and ``platform`` (templated).
    :param name: name of the audience, in place of ``audience_id``. The audience with this name and platform is used,
        and created if there is none (templated).
    :param platform: ``android`` or ``ios``, in any case; required with ``name`` (templated).
    :param package_name: package name or bundle ID of the app; with ``name``, required for retargeting (templated).
    :param description: free text for an audience that is created; an empty one is left out (templated).
    :param audience_type: kind of campaigns that can use an audience that is created: ``retargeting`` (default) or
        ``ua``, user acquisition (templated).
    :param source: advertising IDs, in any form that
        ``AppLovinUpdateAudienceOperator`` accepts (templated).
    :param suppress: second source, in the same forms as ``source``, such as opt-outs: IDs that are never added, and are
        removed if they may be in the audience, in every mode. None in the DAG file (default) for nobody; None at run
        time is an error (templated).
    :param mode: ``mirror`` (default) adds, refreshes and removes; ``append`` never removes for not being in the source;
        ``replace`` sends the whole source each time, and its first request replaces the content (templated).
    :param ttl_seconds: how long members stay after they were sent, in seconds (at least 1) or as a timedelta; None
        (default) for the API's 365 days (templated).
    :param refresh_before_seconds: send members again that expire in less than this, in seconds or as a timedelta; None
        (default) for a tenth of the TTL, at most 7 days. Members that would expire before the next scheduled run are
        sent again in any case (templated).
    :param initial: what to do with members that are in the audience while it has no ledger: ``fail`` (default);
        ``append`` leaves them until they expire; ``replace`` makes the source the only content. Has no effect on an
        empty audience and with ``mode="append"`` (templated).
    :param on_lost_ledger: what to do if the ledger is damaged or incomplete: ``fail`` (default); ``replace`` makes the
        source the only content; ``rebuild`` sends the whole source, and removes nobody who is not known to be there
        (templated).
    :param allow_empty: let a source without members empty the audience; default False (templated).
    :param max_removed_ratio: fail if the plan would remove a larger share than this of the members known to be in the
        audience, from 0 to 1; default 0.3. None in the DAG file, or the word ``off``, for no limit (templated).
    :param max_added_ratio: fail if the plan would add more members than this share of those that may be in the
        audience; 1 lets the audience double. Not applied while nobody is in it. None (default) or ``off`` for no limit
        (templated).
    :param max_removed: fail if the plan would remove more members than this number; None (default) or ``off`` for no
        limit (templated).
    :param max_added: fail if the plan would add more members than this number, in the first sync too; None (default) or
        ``off`` for no limit (templated).
    :param min_members: fail if fewer members than this are left of the source, after ``suppress``; default 0
        (templated).
    :param min_suppressed: fail if ``suppress`` has fewer members than this; default 0 (templated).
    :param suppress_on_malformed: what to do with texts of ``suppress`` that are not advertising IDs: ``fail``
        (default), because each may stand for a person who would then stay in the audience; or ``drop`` counts them
        (templated).
    :param allow_older_run: let this run change the audience even if a run with a newer logical date has changed it;
        default False (templated).
    :param release_held_back: add members again that ``AppLovinRemoveUsersOperator`` has removed; default False
        (templated).
    :param on_malformed: what to do with texts that are not advertising IDs: ``drop`` (default) counts them, ``fail``
        stops at the first one.
    :param max_malformed_ratio: fail if a larger share of the texts of ``source`` or of ``suppress`` than this is
        malformed, from 0 to 1; None (default) or ``off`` for no limit (templated).
    :param rejects_path: where to write a report of the malformed and all-zero texts, one row each: source, row number,
        reason and a masked preview. A ``.parquet`` or ``.csv`` file, local or in an object store; None (default) for no
        report (templated).
    :param rejects_include_values: also write the rejected texts themselves to that report; default False.
    :param plan_only: make and store the plan, report it, and send nothing; ``AppLovinApplyPlanOperator`` carries it
        out. Default False.
    :param partition: sync only this part of the audience, for one task among many; ``applovin_partitioned_sync`` makes
        such tasks. One hex digit for the IDs that begin with it (of 16 partitions), or two (of 256). Each partition has
        a ledger of its own, and the task tells the audience's asset nothing. None (default), or ``whole``, for the
        whole audience (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param max_drift: warn if AppLovin's count differs from the ledger's by a larger share than this; default 0.05. None
        or ``off`` for no warning.
    :param drift_patience_seconds: how long to ask for AppLovin's count again before that warning, in seconds or as a
        timedelta, since the count lags; default 60.
    :param wait_for_audience_seconds: longest wait for another task that is changing this audience, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: report with ``audience_id, mode, plan_only, plan_id, generation, replaces, added, refreshed, removed,
        unchanged, suppressed, held_back, suppress_members, suppress_malformed, suppress_zeroed, suppress_duplicates,
        suppress_blank, suppress_unknown, contradicted, live, drift, first_expiry, last_expiry, planned_requests,
        planned_ids, planned_bytes, expected_seconds, verdicts, requests, batches, batches_skipped_by_resume, splits,
        accepted, rejected_by_api, miscounted_batches, bytes_sent, members, malformed, zeroed, duplicates, blank,
        members_by_column, seconds``.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises LedgerLostError: the ledger is damaged or incomplete, so it is not known what was sent before; nothing was
        sent.
    :raises AudienceBusyError: another task was changing the audience for the whole wait; nothing was sent.
    :raises TaskStoppedError: Airflow ended the task; the next try or run continues.
    :raises AudienceError: a request failed; the next try or run continues.
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
        *SyncOperator.template_fields,
        "applovin_conn_id",
    )
    operation = "sync"
    target_arguments = ("audience_id", "name")

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
        **kwargs: Unpack[AppLovinSyncAudienceArguments],
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
        self.name_outlet()

    def check_target_arguments(self) -> None:
        """Check the arguments that say which audience to sync, without a request."""
        from airflow_provider_audiences.exceptions import InvalidInputError

        if self.audience_id is None:
            self._checked_spec()
            return
        if self.name is not None:
            raise InvalidInputError("give either audience_id, or name and platform, not both")
        self.target_id()

    def destination_by_id(self, client: AppLovinClient) -> Destination | None:
        """Return the audience, if it is given by its id."""
        return None if self.audience_id is None else self.destination_at(client, self.target_id())

    def find_or_create_destination(
        self, client: AppLovinClient, context: Context, *, may_create: bool
    ) -> FoundDestination:
        """Return the audience with this name and platform; create it if there is none."""
        from airflow_provider_audiences.exceptions import ConflictError, NotFoundError

        spec = self._checked_spec()
        audience_ids = [audience.audience_id for audience in client.list_audiences() if spec.matches(audience)]
        if len(audience_ids) > 1:
            raise ConflictError(
                f"several audiences have this name and platform: {', '.join(audience_ids)}; nothing was sent",
                advice="Give the audience_id of the one that is meant.",
            )
        if not audience_ids and not may_create:
            raise NotFoundError(
                f"there is no audience {self.name!r} for {spec.platform}, and plan_only makes none; nothing was sent",
                advice="Make it with AppLovinCreateAudienceOperator, or run without plan_only.",
            )
        if audience_ids:
            return FoundDestination(self.destination_at(client, audience_ids[0]), is_new=False)
        created = self._created_audience(client, context, spec)
        return FoundDestination(self.destination_at(client, created.audience_id), is_new=not created.adopted)

    def _created_audience(self, client: AppLovinClient, context: Context, spec: AudienceSpec) -> CreatedAudience:
        """Create the audience; one that another task has created meanwhile is taken as it is."""
        created = client.create_audience(
            name=spec.name,
            platform=spec.platform,
            package_name=self.package_name,
            description=self.description,
            audience_type=self.audience_type,
            if_exists="adopt",
            earlier_try=context["ti"].try_number > 1,
        )
        self.log.info("Audience %s %s.", created.audience_id, "existed" if created.adopted else "created")
        return created

    def _checked_spec(self) -> AudienceSpec:
        """Return the properties of an audience that is given by name."""
        from airflow_provider_audiences.exceptions import InvalidInputError
        from airflow_provider_audiences.platforms.applovin.audiences import AudienceSpec

        if self.name is None or self.platform is None:
            raise InvalidInputError("give audience_id, or name and platform of the audience")
        return AudienceSpec.checked(
            name=self.name,
            platform=self.platform,
            audience_type=self.audience_type,
            package_name=self.package_name,
            description=self.description,
        )


class AppLovinApplyPlanOperator(AppLovinAudienceOperator, StoredPlanOperator):
    """
    Carry out a plan that ``AppLovinSyncAudienceOperator(plan_only=True)`` stored, exactly as it was stored.

    Put an approval between the two tasks. The plan is refused if the audience was changed since it was made.

    :param audience_id: id of the audience: ``plan.output["audience_id"]`` (templated).
    :param plan_id: id of the stored plan: ``plan.output["plan_id"]`` (templated).
    :param override_guards: carry the plan out even if a guard stopped it, such as after a person has approved it;
        default False.
    :param partition: partition that the plan is of, as for ``AppLovinSyncAudienceOperator``; None (default) for a plan
        of the whole audience (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param max_drift: warn if AppLovin's count differs from the ledger's by a larger share than this; default 0.05. None
        or ``off`` for no warning.
    :param drift_patience_seconds: how long to ask for AppLovin's count again before that warning, in seconds or as a
        timedelta, since the count lags; default 60.
    :param wait_for_audience_seconds: longest wait for another task that is changing this audience, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report, as for ``AppLovinSyncAudienceOperator``.
    :raises PlanOutdatedError: the audience was changed since the plan was made, or there is no such plan; nothing was
        sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises AudienceBusyError: another task was changing the audience for the whole wait; nothing was sent.
    :raises TaskStoppedError: Airflow ended the task; the next try continues.
    :raises AudienceError: a request failed; the next try continues.
    """

    template_fields: Sequence[str] = ("audience_id", *StoredPlanOperator.template_fields, "applovin_conn_id")
    operation = "apply"

    def __init__(
        self,
        *,
        audience_id: str,
        max_drift: float | None = 0.05,
        drift_patience_seconds: int | timedelta = 60,
        **kwargs: Unpack[AppLovinStoredPlanArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.max_drift = max_drift
        self.drift_patience_seconds = drift_patience_seconds
        self.name_outlet()
