"""
Operators for AppLovin's Audience API: create, list, update, append, remove, delete.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_audiences.operators.applovin_base import AppLovinOperator
from airflow_provider_audiences.operators.applovin_delivery_base import ToAudience
from airflow_provider_audiences.operators.applovin_upload_base import AppLovinUploadOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AppLovinCreateAudienceOperator(AppLovinOperator):
    """
    Create an empty audience and return its id.

    A create whose reply was lost is not doubled: the audience that it made is found and returned, in this try
    or in the task's next one.

    :param name: name of the audience: letters, digits, ``_ - +`` and space (templated).
    :param platform: ``android`` or ``ios``, in any case (templated).
    :param package_name: the app's package name or bundle ID; required for retargeting (templated).
    :param description: free text; an empty one is left out (templated).
    :param audience_type: ``retargeting``, the API's default, or ``ua`` for user acquisition: the kind of campaigns in
        which it can be used (templated).
    :param if_exists: for an active audience with the same parameters: ``fail``, or ``adopt`` it if it is the
        only one with this name and platform.
    :param applovin_conn_id: id of the connection (templated).
    :return: ``audience_id``.
    :raises InvalidInputError: an argument is wrong; nothing was sent.
    :raises ConflictError: it exists, or several audiences could be meant.
    """

    template_fields: Sequence[str] = (
        "name",
        "platform",
        "package_name",
        "description",
        "audience_type",
        "applovin_conn_id",
    )

    def __init__(
        self,
        *,
        name: str,
        platform: str,
        package_name: str | None = None,
        description: str | None = None,
        audience_type: str = "retargeting",
        if_exists: Literal["fail", "adopt"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.platform = platform
        self.package_name = package_name
        self.description = description
        self.audience_type = audience_type
        self.if_exists = if_exists

    def execute(self, context: Context) -> str:
        """Create the audience."""
        with self.running(), self.hook.get_conn() as client:
            created = client.create_audience(
                name=self.name,
                platform=self.platform,
                package_name=self.package_name,
                description=self.description,
                audience_type=self.audience_type,
                if_exists=self.if_exists,
                earlier_try=context["ti"].try_number > 1,
            )
        self.log.info("Audience %s %s.", created.audience_id, "existed" if created.adopted else "created")
        return created.audience_id


class AppLovinListAudiencesOperator(AppLovinOperator):
    """
    List the account's audiences. A filter that is empty, or rendered to nothing, is an error: it would list all.

    :param name: only those with exactly this name (templated).
    :param platform: only those of this platform, in any case (templated).
    :param package_name: only those that are listed with exactly this package name (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: list of ``{audience_id, name, package_name, platform, description, user_count}``.
    :raises InvalidInputError: a filter is empty, or no such value; nothing was sent.
    """

    template_fields: Sequence[str] = ("name", "platform", "package_name", "applovin_conn_id")

    def __init__(
        self,
        *,
        name: str | None = None,
        platform: str | None = None,
        package_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.platform = platform
        self.package_name = package_name

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the audiences."""
        from airflow_provider_audiences.platforms.applovin.audiences import Platform
        from airflow_provider_audiences.validation import exact_text, one_of

        with self.running():
            wanted = {
                "name": None if self.name is None else exact_text("name", self.name),
                "platform": None if self.platform is None else one_of("platform", self.platform, Platform),
                "package_name": None if self.package_name is None else exact_text("package_name", self.package_name),
            }
            with self.hook.get_conn() as client:
                entries = [audience.as_dict() for audience in client.list_audiences()]
        return [
            entry for entry in entries if all(value is None or entry[field] == value for field, value in wanted.items())
        ]


class AppLovinUpdateAudienceOperator(ToAudience, AppLovinUploadOperator):
    """
    Replace all users of an audience. If it has a ledger, that notes them: no sync removes whom this has added.

    The source is staged first: whatever is wrong with it shows before the first request. More than one batch is
    one update and appends, which is **not atomic**: until the last batch has landed the audience holds a part of
    the set, and a failed run begins again with the update.

    :param audience_id: id of the audience (templated).
    :param source: advertising IDs: the path of a file, a folder or a glob (local, ``file://…``, an
        ``ObjectStoragePath`` or the text of one), of text, CSV, JSON lines or Parquet, plain, ``.gz`` or ``.zst``;
        a list of such paths; a ``FileSource`` or an ``SqlSource``; a list or another iterable of IDs; a data frame;
        an XComArg of those, or a list of such (templated). Members are not shown in rendered templates; but an XCom
        that another task pushed holds what it holds: prefer a path.
    :param ttl_seconds: how long members stay, in seconds or as a timedelta, at least 1; None for the API's default of
        365 days (templated).
    :param allow_empty: let an empty source empty the audience.
    :param batch_size: IDs a request; the platform's document asks for about 100,000. A batch that the platform
        gives up on is halved, and so are those that follow.
    :param max_parallel_requests: appends that are under way at the same time, from 1 to 16.
    :param on_malformed: ``drop`` and count texts that are no advertising ID, or ``fail`` at the first.
    :param max_malformed_ratio: fail if more than this part of the texts is malformed; None or ``off`` for no limit
        (templated).
    :param rejects_path: write a report of the malformed and zeroed texts there, a ``.parquet`` or ``.csv`` file:
        source, row number, reason and a masked preview (templated).
    :param rejects_include_values: add the texts themselves to that report.
    :param id_case: case in which IDs are sent.
    :param dry_run: stage, count, and say how many requests and bytes it would take; send nothing.
    :param wait_for_audience_seconds: how long to wait for a sync of this audience, in seconds or as a timedelta,
        without using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: report with ``audience_id, dry_run, planned_requests, planned_ids, planned_bytes, requests, batches,
        splits, sent, accepted, rejected_by_api, miscounted_batches, malformed, zeroed, duplicates, blank,
        members_by_column, bytes_sent, in_ledger, seconds``.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises AudienceApiError: a batch failed; the message says what had landed.
    """

    mode = "replace"
    template_fields: Sequence[str] = ("audience_id", "ttl_seconds", *AppLovinUploadOperator.template_fields)

    def __init__(
        self,
        *,
        audience_id: str,
        ttl_seconds: int | str | timedelta | None = None,
        allow_empty: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.ttl_seconds = ttl_seconds
        self.allow_empty = allow_empty


class AppLovinAppendUsersOperator(ToAudience, AppLovinUploadOperator):
    """
    Add users to an audience; the time of users who are in it begins again. If it has a ledger, that notes them: no sync
    removes whom this has added.

    :param audience_id: id of the audience (templated).
    :param source: as for :class:`AppLovinUpdateAudienceOperator` (templated).
    :param ttl_seconds: how long members stay, in seconds or as a timedelta, at least 1; None for the API's default of
        365 days (templated).
        0 is refused: to remove users, use :class:`AppLovinRemoveUsersOperator`.
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
    :param wait_for_audience_seconds: how long to wait for a sync of this audience, in seconds or as a timedelta,
        without using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report, as for :class:`AppLovinUpdateAudienceOperator`.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises AudienceApiError: a batch failed; the message says what had landed.
    """

    mode = "append"
    template_fields: Sequence[str] = ("audience_id", "ttl_seconds", *AppLovinUploadOperator.template_fields)

    def __init__(self, *, audience_id: str, ttl_seconds: int | str | timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.ttl_seconds = ttl_seconds


class AppLovinRemoveUsersOperator(ToAudience, AppLovinUploadOperator):
    """
    Remove users from an audience: an append with a time to live of 0 seconds. If it has a ledger, that notes them: no
    sync adds them again as long as its source has them.

    :param audience_id: id of the audience (templated).
    :param source: as for :class:`AppLovinUpdateAudienceOperator` (templated).
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
    :param wait_for_audience_seconds: how long to wait for a sync of this audience, in seconds or as a timedelta,
        without using up a retry; 0 fails at once (templated).
    :param applovin_conn_id: id of the connection (templated).
    :return: the report, as for :class:`AppLovinUpdateAudienceOperator`.
    :raises InvalidInputError: source or arguments are refused; nothing was sent.
    :raises AudienceApiError: a batch failed; the message says what had landed.
    """

    mode = "remove"
    template_fields: Sequence[str] = ("audience_id", *AppLovinUploadOperator.template_fields)

    def __init__(self, *, audience_id: str, on_malformed: Literal["fail", "drop"] = "fail", **kwargs: Any) -> None:
        super().__init__(on_malformed=on_malformed, **kwargs)
        self.audience_id = audience_id


class AppLovinDeleteAudienceOperator(AppLovinOperator):
    """
    Delete an audience.

    :param audience_id: id of the audience (templated).
    :param ignore_missing: an audience that does not exist is no error.
    :param applovin_conn_id: id of the connection (templated).
    :return: ``{"audience_id": …, "deleted": whether it existed}``.
    :raises NotFoundError: no such audience.
    """

    template_fields: Sequence[str] = ("audience_id", "applovin_conn_id")

    def __init__(self, *, audience_id: str, ignore_missing: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.ignore_missing = ignore_missing

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the audience."""
        from airflow_provider_audiences.validation import audience_id_of

        # A try of this task that was cut off may have deleted it already.
        ignore_missing = self.ignore_missing or context["ti"].try_number > 1
        with self.running():
            audience_id = audience_id_of(self.audience_id)
            with self.hook.get_conn() as client:
                deleted = client.delete_audience(audience_id=audience_id, ignore_missing=ignore_missing)
        self.log.info("Audience %s %s.", audience_id, "deleted" if deleted else "did not exist")
        return {"audience_id": audience_id, "deleted": deleted}
