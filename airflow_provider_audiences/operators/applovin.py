"""
Operators for AppLovin's Audience API: create, list, update, append, remove and delete.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Unpack

from airflow_provider_audiences.common.targets import AUDIENCE
from airflow_provider_audiences.operators.applovin_base import AppLovinOperator
from airflow_provider_audiences.operators.applovin_delivery_base import AppLovinAudienceOperator
from airflow_provider_audiences.operators.arguments import (
    AppLovinAdditionArguments,
    AppLovinArguments,
    AppLovinRemovalArguments,
    AppLovinWriteArguments,
)
from airflow_provider_audiences.operators.direct_delivery_base import DirectDeliveryOperator
from airflow_provider_audiences.operators.write_base import WriteOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AppLovinCreateAudienceOperator(WriteOperator, AppLovinOperator):
    """
    Create an empty audience and return its id.

    If the reply to the create is lost, the audience that it made is looked up and returned, in this try or in the
    task's next one. So a retry does not make a second audience.

    :param name: name of the audience: letters, digits, ``_ - +`` and space (templated).
    :param platform: ``android`` or ``ios``, in any case (templated).
    :param package_name: package name or bundle ID of the app; required for retargeting (templated).
    :param description: free text; an empty one is left out (templated).
    :param audience_type: kind of campaigns that can use the audience: ``retargeting`` (default) or ``ua``, user
        acquisition (templated).
    :param if_exists: what to do if an active audience has the same parameters: ``fail`` (default), or ``adopt`` it if
        it is the only one with this name and platform.
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the audience's id.
    :raises InvalidInputError: an argument is wrong; nothing was sent.
    :raises ConflictError: the audience exists and ``if_exists`` is ``fail``, or several audiences match.
    """

    template_fields: Sequence[str] = (
        "name",
        "platform",
        "package_name",
        "description",
        "audience_type",
        "account",
        "applovin_conn_id",
    )
    target_kind = AUDIENCE
    operation = "create"
    target_arguments = ("name",)

    def __init__(
        self,
        *,
        name: str,
        platform: str,
        package_name: str | None = None,
        description: str | None = None,
        audience_type: str = "retargeting",
        if_exists: Literal["fail", "adopt"] = "fail",
        **kwargs: Unpack[AppLovinWriteArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.platform = platform
        self.package_name = package_name
        self.description = description
        self.audience_type = audience_type
        self.if_exists = if_exists
        self.name_outlet()

    def execute(self, context: Context) -> str:
        """Create the audience."""
        with self.publishing_outcome(context) as result, self.running(), self.hook.get_conn() as client:
            created = client.create_audience(
                name=self.name,
                platform=self.platform,
                package_name=self.package_name,
                description=self.description,
                audience_type=self.audience_type,
                if_exists=self.if_exists,
                earlier_try=context["ti"].try_number > 1,
            )
            result.report = {"audience_id": created.audience_id, "adopted": created.adopted}
        self.log.info("Audience %s %s.", created.audience_id, "existed" if created.adopted else "created")
        return created.audience_id


class AppLovinListAudiencesOperator(AppLovinOperator):
    """
    List the account's audiences, all or those that match every filter given.

    A filter that is empty, or that a template renders to nothing, is an error: it would list all audiences.

    :param name: exact name; None (default) for any (templated).
    :param platform: ``android`` or ``ios``, in any case; None (default) for both (templated).
    :param package_name: exact package name, as AppLovin lists it; None (default) for any (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :return: list of ``{audience_id, name, package_name, platform, description, user_count}``.
    :raises InvalidInputError: a filter is empty or has an impossible value; nothing was sent.
    """

    template_fields: Sequence[str] = ("name", "platform", "package_name", "applovin_conn_id")

    def __init__(
        self,
        *,
        name: str | None = None,
        platform: str | None = None,
        package_name: str | None = None,
        **kwargs: Unpack[AppLovinArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.platform = platform
        self.package_name = package_name

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the audiences."""
        from airflow_provider_audiences.platforms.applovin.audiences import MobilePlatform
        from airflow_provider_audiences.validation import exact_text, one_of

        with self.running():
            wanted = {
                "name": None if self.name is None else exact_text("name", self.name),
                "platform": None if self.platform is None else one_of("platform", self.platform, MobilePlatform),
                "package_name": None if self.package_name is None else exact_text("package_name", self.package_name),
            }
            with self.hook.get_conn() as client:
                entries = [audience.as_dict() for audience in client.list_audiences()]
        return [
            entry for entry in entries if all(value is None or entry[field] == value for field, value in wanted.items())
        ]


class AppLovinUpdateAudienceOperator(AppLovinAudienceOperator, DirectDeliveryOperator):
    """
    Replace all users of an audience.

    The source is staged first, so that whatever is wrong with it shows before the first request. A source of several
    batches is sent as one update followed by appends, which is **not atomic**: until the last batch was accepted the
    audience holds a part of the set, and a run that failed begins again with the update.

    If the audience has a ledger, the ledger notes these users, and no later sync removes them for not being in its
    source.

    :param audience_id: id of the audience (templated).
    :param source: advertising IDs (templated). One of: the path of a file, a folder or a glob (local, ``file://…``, an
        ``ObjectStoragePath`` or its text) of text, CSV, JSON lines or Parquet, plain, ``.gz`` or ``.zst``; a list of
        such paths; a ``FileSource`` or an ``SqlSource``; a list or another iterable of IDs; a data frame; an XComArg of
        one of these, or a list of XComArgs. Rendered templates don't show members. An XCom that another task pushed
        does hold them: prefer a path.
    :param ttl_seconds: how long members stay after they were sent, in seconds (at least 1) or as a timedelta; None
        (default) for the API's 365 days (templated).
    :param allow_empty: let an empty source empty the audience; default False (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
    :param max_parallel_requests: appends in flight at the same time, from 1 to 16; default 4.
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
    :param wait_for_audience_seconds: longest wait for another task that is changing this audience, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: report with ``audience_id, dry_run, planned_requests, planned_ids, planned_bytes, requests, batches,
        splits, sent, accepted, rejected_by_api, miscounted_batches, malformed, zeroed, duplicates, blank,
        members_by_column, bytes_sent, in_ledger, seconds``.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises AudienceBusyError: another task was changing the same members for the whole wait; nothing was sent.
    :raises AudienceError: a batch failed; the message says how much was accepted before.
    """

    mode = "replace"
    operation = "update"
    template_fields: Sequence[str] = (
        "audience_id",
        "ttl_seconds",
        "allow_empty",
        *DirectDeliveryOperator.template_fields,
        "applovin_conn_id",
    )

    def __init__(
        self,
        *,
        audience_id: str,
        ttl_seconds: int | str | timedelta | None = None,
        allow_empty: bool = False,
        **kwargs: Unpack[AppLovinAdditionArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.ttl_seconds = ttl_seconds
        self.allow_empty = allow_empty
        self.name_outlet()


class AppLovinAppendUsersOperator(AppLovinAudienceOperator, DirectDeliveryOperator):
    """
    Add users to an audience. For users who are in it already, the TTL begins again.

    If the audience has a ledger, the ledger notes these users, and no later sync removes them for not being in its
    source.

    :param audience_id: id of the audience (templated).
    :param source: advertising IDs, in any form that ``AppLovinUpdateAudienceOperator`` accepts (templated).
    :param ttl_seconds: how long members stay after they were sent, in seconds (at least 1) or as a timedelta; None
        (default) for the API's 365 days. To remove users, use ``AppLovinRemoveUsersOperator``: 0 is refused
        (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
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
    :param wait_for_audience_seconds: longest wait for another task that is changing this audience, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report, as for ``AppLovinUpdateAudienceOperator``.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises AudienceBusyError: another task was changing the same members for the whole wait; nothing was sent.
    :raises AudienceError: a batch failed; the message says how much was accepted before.
    """

    mode = "append"
    operation = "append"
    template_fields: Sequence[str] = (
        "audience_id",
        "ttl_seconds",
        *DirectDeliveryOperator.template_fields,
        "applovin_conn_id",
    )

    def __init__(
        self,
        *,
        audience_id: str,
        ttl_seconds: int | str | timedelta | None = None,
        **kwargs: Unpack[AppLovinAdditionArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.ttl_seconds = ttl_seconds
        self.name_outlet()


class AppLovinRemoveUsersOperator(AppLovinAudienceOperator, DirectDeliveryOperator):
    """
    Remove users from an audience, by an append with a TTL of 0 seconds.

    If the audience has a ledger, the ledger notes these users, and no later sync adds them while its source still has
    them.

    :param audience_id: id of the audience (templated).
    :param source: advertising IDs, in any form that ``AppLovinUpdateAudienceOperator`` accepts (templated).
    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
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
    :param wait_for_audience_seconds: longest wait for another task that is changing this audience, in seconds or as a
        timedelta; default one hour, 0 fails at once. Waiting uses up no retry (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the report, as for ``AppLovinUpdateAudienceOperator``.
    :raises InvalidInputError: the source or an argument is wrong; nothing was sent.
    :raises AudienceBusyError: another task was changing the same members for the whole wait; nothing was sent.
    :raises AudienceError: a batch failed; the message says how much was accepted before.
    """

    mode = "remove"
    operation = "remove"
    template_fields: Sequence[str] = ("audience_id", *DirectDeliveryOperator.template_fields, "applovin_conn_id")

    def __init__(
        self,
        *,
        audience_id: str,
        on_malformed: Literal["fail", "drop"] = "fail",
        **kwargs: Unpack[AppLovinRemovalArguments],
    ) -> None:
        super().__init__(on_malformed=on_malformed, **kwargs)
        self.audience_id = audience_id
        self.name_outlet()


class AppLovinDeleteAudienceOperator(WriteOperator, AppLovinOperator):
    """
    Delete an audience.

    :param audience_id: id of the audience (templated).
    :param ignore_missing: don't fail if the audience does not exist; default False. From the task's second try on, a
        missing audience is never an error, because the first try may have deleted it.
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param account: what tells accounts apart in the audience's asset; None (default) for the connection's id
        (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: ``{"audience_id": …, "deleted": whether it existed}``.
    :raises InvalidInputError: the id is empty or malformed; nothing was sent.
    :raises NotFoundError: the account has no such audience.
    """

    template_fields: Sequence[str] = ("audience_id", "account", "applovin_conn_id")
    target_kind = AUDIENCE
    operation = "delete"
    target_arguments = ("audience_id",)

    def __init__(
        self, *, audience_id: str, ignore_missing: bool = False, **kwargs: Unpack[AppLovinWriteArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.ignore_missing = ignore_missing
        self.name_outlet()

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the audience."""
        from airflow_provider_audiences.platforms.applovin.audiences import audience_id_of
        from airflow_provider_audiences.validation import true_or_false

        with self.publishing_outcome(context) as result, self.running():
            audience_id = audience_id_of(self.audience_id)
            # An earlier try of this task, which was interrupted, may have deleted the audience already.
            ignore_missing = true_or_false("ignore_missing", self.ignore_missing) or context["ti"].try_number > 1
            with self.hook.get_conn() as client:
                deleted = client.delete_audience(audience_id=audience_id, ignore_missing=ignore_missing)
            result.report = {"audience_id": audience_id, "deleted": deleted}
        self.log.info("Audience %s %s.", audience_id, "deleted" if deleted else "did not exist")
        return dict(result.report)
