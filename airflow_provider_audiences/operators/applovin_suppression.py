"""
Operators for AppLovin's Suppression API: make an app's suppression list equal a source, add to it, remove from it.

An app's campaigns ignore the users on its suppression list. An app has one list, named by its package name or bundle
ID. The API can neither read nor count nor replace a list, and users stay on it until they are removed.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

from airflow_provider_audiences.operators.applovin_delivery_base import AppLovinSuppressionListOperator
from airflow_provider_audiences.operators.arguments import (
    AppLovinAdditionArguments,
    AppLovinRemovalArguments,
    AppLovinStoredPlanArguments,
    AppLovinSyncArguments,
)
from airflow_provider_audiences.operators.direct_delivery_base import DirectDeliveryOperator
from airflow_provider_audiences.operators.stateful_base import StoredPlanOperator
from airflow_provider_audiences.operators.sync_base import SyncOperator


class AppLovinSyncSuppressionOperator(AppLovinSuppressionListOperator, SyncOperator):
    """
    Make an app's suppression list equal a source, with as few requests as possible.

    The ledger below ``[audiences] state_path`` remembers who is on the list. Only the difference between the source and
    the ledger is sent: new IDs are added, and IDs that the source no longer has are removed. The plan is stored before
    its first request; after a crash, the next try or run continues it. Users whom something else has put on the list
    stay there, because the API does not name them.

    :param package_name: package name (Android) or bundle ID (iOS) of the app (templated).
    :param source: advertising IDs, in any form that
        ``AppLovinUpdateAudienceOperator`` accepts (templated).
    :param suppress: second source, in the same forms as ``source``: IDs that must never be on the list, such as those
        of test devices. They are removed if they may be on it. None in the DAG file (default) for nobody; None at run
        time is an error (templated).
    :param mode: ``mirror`` (default) adds and removes; ``append`` never removes for not being in the source
        (templated).
    :param on_lost_ledger: what to do if the ledger is damaged or incomplete: ``fail`` (default), or ``rebuild``: send
        the whole source, and remove nobody who is not known to be on the list (templated).
    :param allow_empty: let a source without members empty the list; default False (templated).
    :param max_removed_ratio: fail if the plan would remove a larger share than this of the members known to be on the
        list, from 0 to 1; default 0.3. Campaigns target again whoever is removed. None in the DAG file, or the word
        ``off``, for no limit (templated).
    :param max_added_ratio: fail if the plan would add more members than this share of those that may be on the list; 1
        lets the list double. Not applied while nobody is on it. None (default) or ``off`` for no limit (templated).
    :param max_removed: fail if the plan would remove more members than this number; None (default) or ``off`` for no
        limit (templated).
    :param max_added: fail if the plan would add more members than this number, in the first sync too; None (default) or
        ``off`` for no limit (templated).
    :param min_members: fail if fewer members than this are left of the source, after ``suppress``; default 0
        (templated).
    :param min_suppressed: fail if ``suppress`` has fewer members than this; default 0 (templated).
    :param suppress_on_malformed: what to do with texts of ``suppress`` that are not advertising IDs: ``fail``
        (default), or ``drop`` counts them (templated).
    :param allow_older_run: let this run change the list even if a run with a newer logical date has changed it; default
        False (templated).
    :param release_held_back: add members again that ``AppLovinRemoveSuppressionOperator`` has removed; default False
        (templated).
    :param on_malformed: what to do with texts that are not advertising IDs: ``drop`` (default) counts them, ``fail``
        stops at the first one.
    :param max_malformed_ratio: fail if a larger share of the texts of ``source`` or of ``suppress`` than this is
        malformed, from 0 to 1; None (default) or ``off`` for no limit (templated).
    :param rejects_path: where to write a report of the malformed and all-zero texts, one row each: source, row number,
        reason and a masked preview. A ``.parquet`` or ``.csv`` file, local or in an object store; None (default) for no
        report (templated).
    :param rejects_include_values: also write the rejected texts themselves to that report; default False.
    :param plan_only: make and store the plan, report it, and send nothing; ``AppLovinApplySuppressionPlanOperator``
        carries it out. Default False.
    :param partition: sync only this part of the list, as for ``AppLovinSyncAudienceOperator``; None (default) for the
        whole list (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000. The API's document names no limit.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param wait_for_audience_seconds: longest wait for another task that is changing this list, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells AppLovin accounts apart, in the list's asset and as a part of the address of its ledger;
        None (default) for the connection's id in the asset, and nothing in the address. If it is given for a
        list that is synced already, a new ledger begins, which knows nobody (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report of ``AppLovinSyncAudienceOperator``, in
        which ``audience_id`` is the package name, ``refreshed`` is 0 because nobody expires, and ``drift`` is None
        because the API does not count.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises LedgerLostError: the ledger is damaged or incomplete, so it is not known what was sent before; nothing was
        sent.
    :raises AudienceBusyError: another task was changing the list for the whole wait; nothing was sent.
    :raises TaskStoppedError: Airflow ended the task; the next try or run continues.
    :raises AudienceError: a request failed; the next try or run continues.
    """

    template_fields: Sequence[str] = ("package_name", *SyncOperator.template_fields, "applovin_conn_id")
    operation = "sync"
    initial = "append"  # nobody can tell who is on a list

    def __init__(
        self,
        *,
        package_name: str,
        mode: Literal["mirror", "append"] = "mirror",
        on_lost_ledger: Literal["fail", "rebuild"] = "fail",
        **kwargs: Unpack[AppLovinSyncArguments],
    ) -> None:
        super().__init__(mode=mode, on_lost_ledger=on_lost_ledger, **kwargs)
        self.package_name = package_name
        self.name_outlet()


class AppLovinApplySuppressionPlanOperator(AppLovinSuppressionListOperator, StoredPlanOperator):
    """
    Carry out a plan that ``AppLovinSyncSuppressionOperator(plan_only=True)`` stored, exactly as it was stored.

    Put an approval between the two tasks. The plan is refused if the list was changed since it was made.

    :param package_name: package name or bundle ID of the app: ``plan.output["package_name"]`` (templated).
    :param plan_id: id of the stored plan: ``plan.output["plan_id"]`` (templated).
    :param override_guards: carry the plan out even if a guard stopped it, such as after a person has approved it;
        default False.
    :param partition: partition that the plan is of; None (default) for a plan of the whole list (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000. The API's document names no limit.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param wait_for_audience_seconds: longest wait for another task that is changing this list, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells AppLovin accounts apart, in the list's asset and as a part of the address of its ledger;
        None (default) for the connection's id in the asset, and nothing in the address. Give what the list's sync
        has (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report, as for ``AppLovinSyncSuppressionOperator``.
    :raises PlanOutdatedError: the list was changed since the plan was made, or there is no such plan; nothing was sent.
    :raises GuardError: a guard stopped the plan; nothing was sent.
    :raises AudienceBusyError: another task was changing the list for the whole wait; nothing was sent.
    :raises TaskStoppedError: Airflow ended the task; the next try continues.
    :raises AudienceError: a request failed; the next try continues.
    """

    template_fields: Sequence[str] = ("package_name", *StoredPlanOperator.template_fields, "applovin_conn_id")
    operation = "apply"

    def __init__(self, *, package_name: str, **kwargs: Unpack[AppLovinStoredPlanArguments]) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name
        self.name_outlet()


class AppLovinAddSuppressionOperator(AppLovinSuppressionListOperator, DirectDeliveryOperator):
    """
    Add users to an app's suppression list. Users who are on it stay on it.

    If the list has a ledger, the ledger notes these users, and no later sync removes them for not being in its source.

    :param package_name: package name (Android) or bundle ID (iOS) of the app (templated).
    :param source: advertising IDs, in any form that
        ``AppLovinUpdateAudienceOperator`` accepts (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000. The API's document names no limit.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param on_malformed: what to do with texts that are not advertising IDs: ``drop`` (default) counts them, ``fail``
        stops at the first one.
    :param max_malformed_ratio: fail if a larger share of the texts than this is malformed, from 0 to 1; None (default)
        or ``off`` for no limit (templated).
    :param rejects_path: where to write a report of the malformed and all-zero texts, one row each: source, row number,
        reason and a masked preview. A ``.parquet`` or ``.csv`` file, local or in an object store; None (default) for no
        report (templated).
    :param rejects_include_values: also write the rejected texts themselves to that report; default False.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param dry_run: stage and count the source, report how many requests and bytes sending would take, and send nothing.
        Default False.
    :param wait_for_audience_seconds: longest wait for another task that is changing this list, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells AppLovin accounts apart, in the list's asset and as a part of the address of its ledger;
        None (default) for the connection's id in the asset, and nothing in the address. Give what the list's sync
        has (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report of ``AppLovinUpdateAudienceOperator``; its
        ``audience_id`` is the package name.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises AudienceBusyError: another task was changing the same members for the whole wait; nothing was sent.
    :raises AudienceError: a batch failed; the message says how much was accepted before.
    """

    mode = "append"
    operation = "append"
    template_fields: Sequence[str] = ("package_name", *DirectDeliveryOperator.template_fields, "applovin_conn_id")

    def __init__(self, *, package_name: str, **kwargs: Unpack[AppLovinAdditionArguments]) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name
        self.name_outlet()


class AppLovinRemoveSuppressionOperator(AppLovinSuppressionListOperator, DirectDeliveryOperator):
    """
    Remove users from an app's suppression list. The app's campaigns target them again.

    If the list has a ledger, the ledger notes these users, and no later sync adds them while its source still has them.

    :param package_name: package name (Android) or bundle ID (iOS) of the app (templated).
    :param source: advertising IDs, in any form that
        ``AppLovinUpdateAudienceOperator`` accepts (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000. The API's document names no limit.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param on_malformed: what to do with texts that are not advertising IDs: ``fail`` (default) stops at the first one,
        because it may stand for a person who would then not be removed; ``drop`` counts them.
    :param max_malformed_ratio: fail if a larger share of the texts than this is malformed, from 0 to 1; None (default)
        or ``off`` for no limit (templated).
    :param rejects_path: where to write a report of the malformed and all-zero texts, one row each: source, row number,
        reason and a masked preview. A ``.parquet`` or ``.csv`` file, local or in an object store; None (default) for no
        report (templated).
    :param rejects_include_values: also write the rejected texts themselves to that report; default False.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param dry_run: stage and count the source, report how many requests and bytes sending would take, and send nothing.
        Default False.
    :param wait_for_audience_seconds: longest wait for another task that is changing this list, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells AppLovin accounts apart, in the list's asset and as a part of the address of its ledger;
        None (default) for the connection's id in the asset, and nothing in the address. Give what the list's sync
        has (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report of ``AppLovinUpdateAudienceOperator``; its
        ``audience_id`` is the package name.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises AudienceBusyError: another task was changing the same members for the whole wait; nothing was sent.
    :raises AudienceError: a batch failed; the message says how much was accepted before.
    """

    mode = "remove"
    operation = "remove"
    template_fields: Sequence[str] = ("package_name", *DirectDeliveryOperator.template_fields, "applovin_conn_id")

    def __init__(
        self,
        *,
        package_name: str,
        on_malformed: Literal["fail", "drop"] = "fail",
        **kwargs: Unpack[AppLovinRemovalArguments],
    ) -> None:
        super().__init__(on_malformed=on_malformed, **kwargs)
        self.package_name = package_name
        self.name_outlet()
