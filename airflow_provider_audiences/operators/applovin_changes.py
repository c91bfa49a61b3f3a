"""
Operators that send changes to AppLovin which a warehouse has worked out: for sets that no worker should hold.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Unpack

from airflow_provider_audiences.common.masked import MembersField
from airflow_provider_audiences.operators.applovin_delivery_base import (
    AppLovinAudienceOperator,
    AppLovinSuppressionListOperator,
)
from airflow_provider_audiences.operators.arguments import AppLovinChangesArguments
from airflow_provider_audiences.operators.changes_base import SendChangesOperator


class AppLovinSendChangesOperator(AppLovinAudienceOperator, SendChangesOperator):
    """
    Send changes to an audience: members to add, to refresh and to remove, which queries of a warehouse have found.

    The worker stages the changes only, never the audience, and no ledger of members is kept below ``[audiences]
    state_path``: the warehouse remembers who was sent. The changes are stored as a plan before the first request, and
    each request is recorded once it was accepted; the task's next try sends the rest. The changes of another run must
    decide about each member of a plan that was not finished. docs/changes.md has the SQL that does so.

    :param audience_id: id of the audience (templated).
    :param added: advertising IDs to add, in any form that ``AppLovinUpdateAudienceOperator`` accepts. None in the DAG
        file (default) for nobody; None at run time is an error (templated).
    :param refreshed: advertising IDs of members to send again, so that they stay for another ``ttl_seconds``; as
        ``added`` (templated).
    :param removed: advertising IDs to remove; as ``added`` (templated).
    :param ttl_seconds: how long members stay after they were sent, in seconds (at least 1) or as a timedelta; None
        (default) for the API's 365 days (templated).
    :param expected_changes: fail unless the changes have this many members together, such as the number of rows that
        the warehouse has written down for this run. None (default) for no such check (templated).
    :param on_ledger: what to do if syncs have kept the audience so far: ``fail`` (default), or ``forget`` their ledger:
        from then on the warehouse remembers. The first run that has changes forgets it; until then it is kept
        (templated).
    :param max_removed_ratio: fail if the changes would remove a larger share than this of AppLovin's count of members,
        from 0 to 1; default 0.3. Not applied while AppLovin counts nobody. None in the DAG file, or the word ``off``,
        for no limit (templated).
    :param max_added_ratio: fail if the changes would add more members than this share of AppLovin's count; not applied
        while AppLovin counts nobody. None (default) or ``off`` for no limit (templated).
    :param max_removed: fail if the changes would remove more members than this number; None (default) or ``off`` for
        no limit (templated).
    :param max_added: fail if the changes would add more members than this number; None (default) or ``off`` for no
        limit (templated).
    :param min_members: fail if fewer members than this would be in the audience, by AppLovin's count and the changes;
        default 0 (templated).
    :param allow_older_run: let this run change the audience even if a run with a newer logical date has changed it;
        default False (templated).
    :param on_malformed: what to do with texts that are not advertising IDs: ``fail`` (default) stops at the first one,
        because the warehouse takes each of them for sent; ``drop`` counts them.
    :param max_malformed_ratio: with ``drop``, fail if a larger share of the texts of one source than this is malformed,
        from 0 to 1; None (default) or ``off`` for no limit (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param wait_for_audience_seconds: longest wait for another task that is changing this audience, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: report with ``audience_id, plan_id, added, refreshed, removed, members_before, live, verdicts,
        batches_skipped_by_resume, planned_requests, planned_ids, planned_bytes, requests, batches, splits, accepted,
        rejected_by_api, miscounted_batches, bytes_sent, malformed, zeroed, duplicates, blank, members_by_column,
        seconds``. ``members_before`` and ``live`` are AppLovin's counts before and after, which may lag.
    :raises InvalidInputError: a source or an argument is wrong; a member is in two sources; the changes have not as
        many members as expected; or they leave out members of a plan that was not finished. Nothing was sent.
    :raises ConflictError: syncs keep the audience, and ``on_ledger`` is ``fail``, or somebody to be added was removed
        directly; nothing was sent.
    :raises GuardError: a guard stopped the changes; nothing was sent.
    :raises LedgerLostError: the stored state is damaged; nothing was sent.
    :raises AudienceBusyError: another task was changing the audience for the whole wait; nothing was sent.
    :raises TaskStoppedError: Airflow ended the task; the next try continues.
    :raises AudienceError: a request failed; the next try continues.
    """

    template_fields: Sequence[str] = (
        "audience_id",
        "refreshed",
        "ttl_seconds",
        "max_removed_ratio",
        "max_added_ratio",
        "min_members",
        *SendChangesOperator.template_fields,
        "applovin_conn_id",
    )
    change_arguments: ClassVar[tuple[str, ...]] = ("added", "refreshed", "removed")
    refreshed = MembersField()

    def __init__(
        self,
        *,
        audience_id: str,
        refreshed: Any = None,
        ttl_seconds: int | str | timedelta | None = None,
        max_removed_ratio: float | str | None = 0.3,
        max_added_ratio: float | str | None = None,
        min_members: int | str = 0,
        **kwargs: Unpack[AppLovinChangesArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.refreshed = refreshed
        self.ttl_seconds = ttl_seconds
        self.max_removed_ratio = max_removed_ratio
        self.max_added_ratio = max_added_ratio
        self.min_members = min_members
        self.name_outlet()


class AppLovinSendSuppressionChangesOperator(AppLovinSuppressionListOperator, SendChangesOperator):
    """
    Send changes to an app's suppression list: users to add and to remove, which queries of a warehouse have found.

    As ``AppLovinSendChangesOperator``, without what the Suppression API lacks: users stay until they are removed, and
    the API does not count them, so that no limit can be a share of their number.

    :param package_name: package name (Android) or bundle ID (iOS) of the app (templated).
    :param added: advertising IDs to add, in any form that ``AppLovinUpdateAudienceOperator`` accepts. None in the DAG
        file (default) for nobody; None at run time is an error (templated).
    :param removed: advertising IDs to remove; as ``added``. Campaigns target these users again (templated).
    :param expected_changes: fail unless the changes have this many members together, such as the number of rows that
        the warehouse has written down for this run. None (default) for no such check (templated).
    :param on_ledger: what to do if syncs have kept the list so far: ``fail`` (default), or ``forget`` their ledger:
        from then on the warehouse remembers. The first run that has changes forgets it; until then it is kept
        (templated).
    :param max_removed: fail if the changes would remove more members than this number; None (default) or ``off`` for
        no limit (templated).
    :param max_added: fail if the changes would add more members than this number; None (default) or ``off`` for no
        limit (templated).
    :param allow_older_run: let this run change the list even if a run with a newer logical date has changed it; default
        False (templated).
    :param on_malformed: what to do with texts that are not advertising IDs: ``fail`` (default) stops at the first one,
        because the warehouse takes each of them for sent; ``drop`` counts them.
    :param max_malformed_ratio: with ``drop``, fail if a larger share of the texts of one source than this is malformed,
        from 0 to 1; None (default) or ``off`` for no limit (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000. The API's document names no limit.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param wait_for_audience_seconds: longest wait for another task that is changing this list, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells AppLovin accounts apart, in the list's asset and as a part of the address of its state;
        None (default) for the connection's id in the asset, and nothing in the address (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report of ``AppLovinSendChangesOperator``, in which ``audience_id`` is the package name, ``refreshed``
        is 0, and both counts are None because the API does not count.
    :raises InvalidInputError: as for ``AppLovinSendChangesOperator``; nothing was sent.
    :raises ConflictError: syncs keep the list, and ``on_ledger`` is ``fail``, or somebody to be added was removed
        directly; nothing was sent.
    :raises GuardError: a guard stopped the changes; nothing was sent.
    :raises LedgerLostError: the stored state is damaged; nothing was sent.
    :raises AudienceBusyError: another task was changing the list for the whole wait; nothing was sent.
    :raises TaskStoppedError: Airflow ended the task; the next try continues.
    :raises AudienceError: a request failed; the next try continues.
    """

    template_fields: Sequence[str] = ("package_name", *SendChangesOperator.template_fields, "applovin_conn_id")

    def __init__(self, *, package_name: str, **kwargs: Unpack[AppLovinChangesArguments]) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name
        self.name_outlet()
