"""
Operators for Alibaba PAI audience groups: create, get, list and delete.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences.common.targets import GROUP
from airflow_provider_audiences.exceptions import TransientError
from airflow_provider_audiences.operators.arguments import PaiArguments, PaiNamedGroupArguments, PaiWriteArguments
from airflow_provider_audiences.operators.pai_base import PaiGroupSpecOperator, PaiOperator, provenance_of
from airflow_provider_audiences.operators.write_base import WriteOperator
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
    Create an audience group, once, and return its id. Wait for the group with ``PaiGroupSensor``.

    PAI bills failed creates too, and its API has no idempotency key. So the parameters are checked before the call,
    and a marker at the end of the group's remark names this DAG, task, run and set of parameters. Before each request,
    a group with that marker is looked for, and taken instead of making a second one: after a lost reply, in a later
    try, and after a worker has died.

    :param source: a ``PaiSource`` or its number: 0 text, 1 text file, 2
        CSV file, 3 MaxCompute table, 4 algorithm (templated).
    :param name: name of the group; None (default) for a group without one (templated).
    :param text: for source 0: at most 100 phone numbers, as text with one a line or as a list; never shown (templated).
    :param uri: for sources 1 and 2: address of the file, ``https://<bucket>.oss-<region>.aliyuncs.com/<key>``
        (templated).
    :param phone_number: whether the group holds phone numbers, as a bool or its text. Reach campaigns need them
        (templated).
    :param project: for source 3: name of the MaxCompute project (templated).
    :param table: for source 3: name of the MaxCompute table (templated).
    :param column: for sources 2 and 3: column with the phone numbers; required with ``phone_number=True`` (templated).
    :param filter: for source 3, optional: condition on the rows, such as ``ds={{ ds_nodash }}``; an empty one is an
        error (templated).
    :param algorithm: for source 4: name of the algorithm (templated).
    :param inference_job_id: for source 4: id of the prediction task (templated).
    :param remark: free text; an empty one is left out (templated).
    :param if_exists: what to do if there are groups of the same name: ``create`` another (default), ``adopt`` the only
        one, or ``fail``.
    :param idempotency: ``marker`` (default), as above; or ``none``, which leaves the remark as it is, and fails the
        task for good if a reply was lost, because the group may exist.
    :param provenance: key of this task's groups within the marker; None (default) for ``dag_id:task_id``. If several
        deployments share an account, give each its own (templated).
    :param phone_format: which lines of ``text`` are phone numbers: ``cn_mobile`` (default), mobile numbers of mainland
        China; or ``any``, numbers of any country.
    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    :param account: what tells accounts apart in the group's asset; None (default) for the connection's id (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: the group's id.
    :raises InvalidInputError: a parameter is missing, wrong, or of another source; nothing was sent.
    :raises ConflictError: the name exists and ``if_exists`` is ``fail``, or several groups match.
    """

    template_fields: Sequence[str] = (*PaiGroupSpecOperator.template_fields, "provenance")
    operation = "create"

    def __init__(
        self,
        *,
        if_exists: Literal["create", "adopt", "fail"] = "create",
        idempotency: Literal["marker", "none"] = "marker",
        provenance: str | None = None,
        **kwargs: Unpack[PaiNamedGroupArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.if_exists = if_exists
        self.idempotency = idempotency
        self.provenance = provenance
        self.name_outlet()

    def execute(self, context: Context) -> str:
        """Check the parameters and create the group."""
        from airflow_provider_audiences.validation import one_of

        ti = context["ti"]
        with self.publishing_outcome(context) as result, self.running():
            spec = self.checked_spec()
            provenance = provenance_of(self.provenance, context)
            is_marked = one_of("idempotency", self.idempotency, ("marker", "none")) == "marker"
            with self.billed_client(context) as client:
                marker = client.marker(
                    provenance=provenance,
                    run=ti.run_id,
                    map_index=getattr(ti, "map_index", -1),
                    spec=spec,
                )
                try:
                    created = client.create_group(spec, marker=marker if is_marked else None, if_exists=self.if_exists)
                except TransientError as error:
                    if is_marked or not error.maybe_applied:
                        raise
                    # Without a marker, a further try could not tell whether the group exists.
                    raise AirflowFailException(str(error)) from error
            result.report = {"group_id": created.group.id, "adopted": created.adopted}
        self.log.info("Group %s %s.", created.group.id, "existed" if created.adopted else "created")
        return created.group.id


class PaiGetGroupOperator(PaiOperator):
    """
    Get a group. PAI bills a successful call.

    :param group_id: id of the group, at most 1,000 characters (templated).
    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    :return: the group with names in snake_case and without personal data: no text, and the uri without its query.
    :raises NotFoundError: the account has no such group.
    """

    template_fields: Sequence[str] = ("group_id", "pai_conn_id")

    def __init__(self, *, group_id: str, **kwargs: Unpack[PaiArguments]) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Get the group."""
        with self.running(), self.billed_client(context) as client:
            return client.get_group(self.group_id).public()


class PaiListGroupsOperator(PaiOperator):
    """
    List groups, all pages. PAI does not bill lists.

    PAI applies the filters; its filters on text may match parts of a text. A filter that is empty, or that a template
    renders to nothing, is an error: it would list all groups.

    :param name: filter by name; None (default) for any (templated).
    :param remark: filter by remark; None (default) for any (templated).
    :param phone_number: filter by whether the group holds phone numbers, a bool or its text; None (default) for any
        (templated).
    :param source: filter by source, a ``PaiSource`` or its number; None (default) for any (templated).
    :param status: filter by review Status, such as 1; None (default) for any (templated).
    :param limit: return only this many groups, the newest first; None (default) for all, in PAI's order. All pages are
        read in either case (templated).
    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    :return: list of groups with names in snake_case, without personal data.
    :raises InvalidInputError: a filter is empty or has an impossible value; nothing was sent.
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
        **kwargs: Unpack[PaiArguments],
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


class PaiDeleteGroupOperator(WriteOperator, PaiOperator):
    """
    Delete a group. PAI bills the call whether it succeeds or not.

    :param group_id: id of the group, at most 1,000 characters (templated).
    :param ignore_missing: don't fail if the group does not exist; default False. From the task's second try on, a
        missing group is never an error, because the first try may have deleted it.
    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    :param account: what tells accounts apart in the group's asset; None (default) for the connection's id (templated).
    :param asset: outlet of the task, as an Airflow asset or its URI, for arguments that hold templates; None (default)
        for the asset that the arguments name.
    :return: ``{"group_id": …, "deleted": whether it existed}``.
    :raises NotFoundError: the account has no such group.
    """

    template_fields: Sequence[str] = ("group_id", "account", "pai_conn_id")
    target_kind = GROUP
    operation = "delete"
    target_arguments = ("group_id",)

    def __init__(self, *, group_id: str, ignore_missing: bool = False, **kwargs: Unpack[PaiWriteArguments]) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.ignore_missing = ignore_missing
        self.name_outlet()

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the group."""
        from airflow_provider_audiences.platforms.pai.groups import checked_group_id
        from airflow_provider_audiences.validation import true_or_false

        with self.publishing_outcome(context) as result, self.running():
            group_id = checked_group_id("group_id", self.group_id)
            # An earlier try of this task, which was interrupted, may have deleted the group already.
            ignore_missing = true_or_false("ignore_missing", self.ignore_missing) or context["ti"].try_number > 1
            with self.billed_client(context) as client:
                deleted = client.delete_group(group_id, ignore_missing=ignore_missing)
            result.report = {"group_id": group_id, "deleted": deleted}
        self.log.info("Group %s %s.", group_id, "deleted" if deleted else "did not exist")
        return dict(result.report)
