"""
Operators for AppLovin's Suppression API: make an app's suppression list equal a source, add to it, take from it.

The campaigns of an app leave the users on its list alone. An app has one list, which is named by the app's package name
or bundle ID; it can't be read, counted or replaced, and who is on it stays until taken off.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from airflow_provider_audiences.operators.applovin_delivery_base import ToSuppressionList
from airflow_provider_audiences.operators.applovin_plan_base import AppLovinStoredPlanOperator
from airflow_provider_audiences.operators.applovin_sync_base import AppLovinMirrorOperator
from airflow_provider_audiences.operators.applovin_upload_base import AppLovinUploadOperator


class AppLovinSyncSuppressionOperator(ToSuppressionList, AppLovinMirrorOperator):
    """
    Make an app's suppression list equal a source, with as few requests as it takes.

    The difference between the source and the ledger below ``[audiences] state_path`` is sent: IDs that are new are put
    on the list, and IDs that are gone are taken off. The plan is stored before its first request: after a crash, the
    next try or run goes on from there. Whoever was put on the list by other means stays there: the platform names
    nobody.

    :param package_name: the app's package name (Android) or bundle ID (iOS) (templated).
    :param source: as for :class:`~airflow_provider_audiences.operators.applovin.AppLovinUpdateAudienceOperator`
        (templated).
    :param suppress: a further source, of the same kinds: IDs that are never put on the list, and taken off it, such as
        those of test devices. None in the DAG file for nobody; None at run time is an error (templated).
    :param mode: ``mirror``: put on and take off; ``append``: never take off what the source lacks (templated).
    :param on_lost_ledger: if the ledger is damaged or a part of it is missing: ``fail``, or ``rebuild``: send the whole
        source, and take nobody off who is not known (templated).
    :param allow_empty: let a source without members empty the list (templated).
    :param max_removed_ratio: fail if the plan would take more than this part of the members off, since whoever is taken
        off is targeted again; None, or the word ``off`` at run time, for no limit (templated).
    :param max_added_ratio: fail if the plan would add more than this part of the members that are there; None or
        ``off`` for no limit (templated).
    :param max_removed: fail if the plan would take more members off than this; None or ``off`` for no limit
        (templated).
    :param max_added: fail if the plan would add more members than this, in a first sync too; None or ``off`` for no
        limit (templated).
    :param min_members: fail if fewer members than this are wanted (templated).
    :param min_suppressed: fail if ``suppress`` has fewer members than this (templated).
    :param suppress_on_malformed: ``fail`` if a text of ``suppress`` is no advertising ID, or ``drop`` and count it
        (templated).
    :param allow_older_run: let a run change the list although a run with a newer logical date has changed it since
        (templated).
    :param release_held_back: put members on the list again whom ``AppLovinRemoveSuppressionOperator`` has taken off
        (templated).
    :param on_malformed: ``drop`` and count texts that are no advertising ID, or ``fail`` at the first.
    :param max_malformed_ratio: fail if more than this part of the texts of ``source``, or of ``suppress``, is malformed
        (templated).
    :param rejects_path: write a report of the source's malformed and zeroed texts there, a ``.parquet`` or ``.csv``
        file (templated).
    :param rejects_include_values: add the texts themselves to that report.
    :param plan_only: make and store the plan, show it, and send nothing: ``AppLovinApplySuppressionPlanOperator``
        carries it out.
    :param batch_size: IDs a request, at least 1; the document names no limit, and the default is that of audiences.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param id_case: case in which IDs are sent.
    :param wait_for_audience_seconds: how long to wait for another sync of this list, in seconds or as a timedelta,
        without using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report of :class:`~airflow_provider_audiences.operators.applovin_sync.AppLovinSyncAudienceOperator`;
        its ``audience_id`` is the package name, ``refreshed`` is 0, and ``drift`` is None: nobody expires, and the
        platform does not count.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises LedgerLostError: what was sent before can't be told; nothing was sent.
    :raises AudienceBusyError: another sync of this list was under way for all this time; nothing was sent.
    :raises TaskStoppedError: Airflow has ended the task; the next run goes on from there.
    :raises AudienceApiError: a request failed; the next run goes on from there.
    """

    template_fields: Sequence[str] = ("package_name", *AppLovinMirrorOperator.template_fields)

    def __init__(
        self,
        *,
        package_name: str,
        mode: Literal["mirror", "append"] = "mirror",
        on_lost_ledger: Literal["fail", "rebuild"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(mode=mode, on_lost_ledger=on_lost_ledger, **kwargs)
        self.package_name = package_name


class AppLovinApplySuppressionPlanOperator(ToSuppressionList, AppLovinStoredPlanOperator):
    """
    Carry out a plan that ``AppLovinSyncSuppressionOperator(plan_only=True)`` has stored: exactly this one.

    Put an approval in between. The plan is refused if the list was synced since it was made.

    :param package_name: of the app: ``plan.output["package_name"]`` (templated).
    :param plan_id: id of the plan: ``plan.output["plan_id"]`` (templated).
    :param override_guards: carry it out although a guard says no.
    :param batch_size: IDs a request.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param id_case: case in which IDs are sent.
    :param wait_for_audience_seconds: as for :class:`AppLovinSyncSuppressionOperator` (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report, as for :class:`AppLovinSyncSuppressionOperator`.
    :raises PlanOutdatedError: the list was synced since, or there is no such plan; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises AudienceBusyError: another sync of this list was under way for all this time; nothing was sent.
    :raises TaskStoppedError: Airflow has ended the task; the next try goes on from there.
    :raises AudienceApiError: a request failed; the next try goes on from there.
    """

    template_fields: Sequence[str] = ("package_name", *AppLovinStoredPlanOperator.template_fields)

    def __init__(self, *, package_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name


class AppLovinAddSuppressionOperator(ToSuppressionList, AppLovinUploadOperator):
    """
    Put users on an app's suppression list; who is on it stays. If the list has a ledger, that notes them: no sync takes
    them off whom this has put on.

    :param package_name: the app's package name (Android) or bundle ID (iOS) (templated).
    :param source: as for :class:`~airflow_provider_audiences.operators.applovin.AppLovinUpdateAudienceOperator`
        (templated).
    :param batch_size: IDs a request.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param on_malformed: ``drop`` and count texts that are no advertising ID, or ``fail`` at the first.
    :param max_malformed_ratio: fail if more than this part of the texts is malformed; None or ``off`` for no limit
        (templated).
    :param rejects_path: write a report of the malformed and zeroed texts there, a ``.parquet`` or ``.csv`` file:
        source, row number, reason and a masked preview (templated).
    :param rejects_include_values: add the texts themselves to that report.
    :param id_case: case in which IDs are sent.
    :param dry_run: stage, count, and say how many requests and bytes it would take; send nothing.
    :param wait_for_audience_seconds: how long to wait for a sync of this list, in seconds or as a timedelta, without
        using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report of :class:`~airflow_provider_audiences.operators.applovin.AppLovinUpdateAudienceOperator`; its
        ``audience_id`` is the package name.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises AudienceApiError: a batch failed; the message says what had landed.
    """

    mode = "append"
    template_fields: Sequence[str] = ("package_name", *AppLovinUploadOperator.template_fields)

    def __init__(self, *, package_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name


class AppLovinRemoveSuppressionOperator(ToSuppressionList, AppLovinUploadOperator):
    """
    Take users off an app's suppression list: campaigns target them again. If the list has a ledger, that notes them: no
    sync puts them on again as long as its source has them.

    :param package_name: the app's package name (Android) or bundle ID (iOS) (templated).
    :param source: as for :class:`~airflow_provider_audiences.operators.applovin.AppLovinUpdateAudienceOperator`
        (templated).
    :param batch_size: IDs a request.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param on_malformed: ``fail`` at the first text that is no advertising ID, since it may be a person who would stay;
        or ``drop`` and count them.
    :param max_malformed_ratio: fail if more than this part of the texts is malformed; None or ``off`` for no limit
        (templated).
    :param rejects_path: write a report of the malformed and zeroed texts there, a ``.parquet`` or ``.csv`` file:
        source, row number, reason and a masked preview (templated).
    :param rejects_include_values: add the texts themselves to that report.
    :param id_case: case in which IDs are sent.
    :param dry_run: stage, count, and say how many requests and bytes it would take; send nothing.
    :param wait_for_audience_seconds: how long to wait for a sync of this list, in seconds or as a timedelta, without
        using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report of :class:`~airflow_provider_audiences.operators.applovin.AppLovinUpdateAudienceOperator`; its
        ``audience_id`` is the package name.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises AudienceApiError: a batch failed; the message says what had landed.
    """

    mode = "remove"
    template_fields: Sequence[str] = ("package_name", *AppLovinUploadOperator.template_fields)

    def __init__(self, *, package_name: str, on_malformed: Literal["fail", "drop"] = "fail", **kwargs: Any) -> None:
        super().__init__(on_malformed=on_malformed, **kwargs)
        self.package_name = package_name
