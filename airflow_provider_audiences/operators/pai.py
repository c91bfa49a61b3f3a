"""
Operators for Alibaba PAI audience groups: create, get, list, delete.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences.exceptions import TransientError
from airflow_provider_audiences.operators.pai_base import PaiGroupSpecOperator, PaiOperator, provenance_of
from airflow_provider_audiences.platforms.pai.group_spec import PaiSource

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = [
    "PaiCreateGroupOperator",
    "PaiDeleteGroupOperator",
    "PaiGetGroupOperator",
    "PaiListGroupsOperator",
    "PaiSource",
]


class PaiCreateGroupOperator(PaiGroupSpecOperator):
    """
    Create an audience group, once, and return its id. Wait for it with ``PaiGroupSensor``.

    CreateGroup bills failed calls and has no idempotency token. So the parameters are checked before the call,
    and the remark gets a marker at its end, of this DAG, task, run and these parameters: before each request the group
    with the marker is looked for, and taken instead of a second one, whoever made it: a request whose reply was lost,
    an earlier try, or a worker that is gone.

    :param source: a :class:`PaiSource` or its number: 0 text, 1 text file, 2 CSV file, 3 MaxCompute table,
        4 algorithm (templated).
    :param name: the group's name (templated).
    :param text: for source 0: at most 100 phone numbers, as text with one a line or as a list (templated; never
        shown).
    :param uri: for sources 1 and 2: the file, ``https://<bucket>.oss-<region>.aliyuncs.com/<key>`` (templated).
    :param phone_number: whether the group contains phone numbers, a bool or its text; Reach campaigns need them
        (templated).
    :param project: for source 3: MaxCompute project (templated).
    :param table: for source 3: MaxCompute table (templated).
    :param column: for sources 2 and 3: column with the phone numbers, required with ``phone_number=True``
        (templated).
    :param filter: for source 3, optional: condition, such as ``ds={{ ds_nodash }}``; an empty one is an error
        (templated).
    :param algorithm: for source 4: the associated algorithm (templated).
    :param inference_job_id: for source 4: id of the prediction task (templated).
    :param remark: free text; an empty one is left out (templated).
    :param if_exists: for groups of the same name: ``create`` another, ``adopt`` it if it is the only one, or
        ``fail``.
    :param idempotency: ``marker``, as above; ``none``: the remark stays as it is, and a request whose reply was lost
        fails the task for good: the group may exist.
    :param provenance: by what the groups of this task are known; None for DAG and task. Give several deployments that
        share an account each their own (templated).
    :param phone_format: rule for ``text``: ``cn_mobile``, mobile numbers of mainland China, or ``any``, numbers of any
        country.
    :param pai_conn_id: id of the connection (templated).
    :return: the group's id.
    :raises InvalidInputError: a parameter is missing, or does not belong to the source; nothing was sent.
    :raises ConflictError: the name is taken, or several groups have it.
    """

    template_fields: Sequence[str] = (*PaiGroupSpecOperator.template_fields, "provenance")

    def __init__(
        self,
        *,
        if_exists: Literal["create", "adopt", "fail"] = "create",
        idempotency: Literal["marker", "none"] = "marker",
        provenance: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.if_exists = if_exists
        self.idempotency = idempotency
        self.provenance = provenance

    def execute(self, context: Context) -> str:
        """Check the parameters and create the group."""
        from airflow_provider_audiences.validation import one_of

        ti = context["ti"]
        with self.running():
            spec = self.checked_spec()
            provenance = provenance_of(self.provenance, context)
            is_marked = one_of("idempotency", self.idempotency, ("marker", "none")) == "marker"
            with self.billed_client(context) as client:
                marker = client.marker(
                    owner=provenance,
                    run=ti.run_id,
                    map_index=getattr(ti, "map_index", -1),
                    spec=spec,
                )
                try:
                    created = client.create_group(spec, marker=marker if is_marked else None, if_exists=self.if_exists)
                except TransientError as error:
                    if is_marked or not error.maybe_applied:
                        raise
                    # Without a marker a further try would not know that the group is there.
                    raise AirflowFailException(str(error)) from error
        self.log.info("Group %s %s.", created.group.id, "existed" if created.adopted else "created")
        return created.group.id


class PaiGetGroupOperator(PaiOperator):
    """
    Get a group. A successful call is billed.

    :param group_id: the group's id (templated).
    :param pai_conn_id: id of the connection (templated).
    :return: the group in snake_case, without personal data: no text, the uri without its query.
    :raises NotFoundError: no such group.
    """

    template_fields: Sequence[str] = ("group_id", "pai_conn_id")

    def __init__(self, *, group_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Get the group."""
        with self.running(), self.billed_client(context) as client:
            return client.get_group(self.group_id).public()


class PaiListGroupsOperator(PaiOperator):
    """
    List groups, all pages. The filters are the platform's; those on text may match parts.

    A filter that is empty, or rendered to nothing, is an error: it would list all groups.

    :param name: filter by name (templated).
    :param remark: filter by remark (templated).
    :param phone_number: filter by whether the group contains phone numbers: a bool or its text (templated).
    :param source: filter by source, a :class:`PaiSource` or its number (templated).
    :param status: filter by review status (templated).
    :param limit: return so many at most, the newest first by created time, then by id; None for all, in the platform's
        order. All pages are read for it (templated).
    :param pai_conn_id: id of the connection (templated).
    :return: list of groups in snake_case, without personal data.
    :raises InvalidInputError: a filter is empty, or no such value; nothing was sent.
    """

    template_fields: Sequence[str] = ("name", "remark", "phone_number", "source", "status", "limit", "pai_conn_id")

    def __init__(
        self,
        *,
        name: str | None = None,
        remark: str | None = None,
        phone_number: bool | str | None = None,
        source: PaiSource | int | str | None = None,
        status: int | str | None = None,
        limit: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.remark = remark
        self.phone_number = phone_number
        self.source = source
        self.status = status
        self.limit = limit

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the groups."""
        from airflow_provider_audiences.validation import whole_number

        with self.running():
            limit = None if self.limit is None else whole_number("limit", self.limit, at_least=1)
            with self.hook.get_conn() as client:
                groups = client.list_groups(
                    name=self.name,
                    remark=self.remark,
                    phone_number=self.phone_number,
                    source=self.source,
                    status=self.status,
                )
        if limit is not None:
            groups = sorted(groups, key=lambda group: group.rank, reverse=True)[:limit]
        return [group.public() for group in groups]


class PaiDeleteGroupOperator(PaiOperator):
    """
    Delete a group. Billed whether it succeeds or not.

    :param group_id: the group's id (templated).
    :param ignore_missing: a group that does not exist is no error.
    :param pai_conn_id: id of the connection (templated).
    :return: ``{"group_id": …, "deleted": whether it existed}``.
    :raises NotFoundError: no such group.
    """

    template_fields: Sequence[str] = ("group_id", "pai_conn_id")

    def __init__(self, *, group_id: str, ignore_missing: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.ignore_missing = ignore_missing

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the group."""
        from airflow_provider_audiences.platforms.pai.groups import checked_group_id

        # A try of this task that was cut off may have deleted it already.
        ignore_missing = self.ignore_missing or context["ti"].try_number > 1
        with self.running():
            group_id = checked_group_id("group_id", self.group_id)
            with self.billed_client(context) as client:
                deleted = client.delete_group(group_id, ignore_missing=ignore_missing)
        self.log.info("Group %s %s.", group_id, "deleted" if deleted else "did not exist")
        return {"group_id": group_id, "deleted": deleted}
