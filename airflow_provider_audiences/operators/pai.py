"""
Operators for Alibaba PAI audience groups: create, get, list, delete.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator, mask_secret

from airflow_provider_audiences.clients.pai_groups import GroupSpec, PaiSource, parse_source
from airflow_provider_audiences.common.errors import task_errors
from airflow_provider_audiences.common.hidden import AddressField, HidesFieldsWhenMapped, PersonalTextField, revealed
from airflow_provider_audiences.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.hooks.pai import PaiHook

__all__ = [
    "PaiCreateGroupOperator",
    "PaiDeleteGroupOperator",
    "PaiGetGroupOperator",
    "PaiListGroupsOperator",
    "PaiSource",
]


class _PaiOperator(BaseOperator):
    """What all PAI operators share: the connection."""

    ui_color = "#fdefe2"

    def __init__(self, *, pai_conn_id: str = "pai_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pai_conn_id = pai_conn_id

    @cached_property
    def hook(self) -> PaiHook:
        from airflow_provider_audiences.hooks.pai import PaiHook

        return PaiHook(pai_conn_id=self.pai_conn_id)


class PaiCreateGroupOperator(HidesFieldsWhenMapped, _PaiOperator):
    """
    Create an audience group, once, and return its id. Wait for it with ``PaiGroupSensor``.

    CreateGroup bills failed calls and has no idempotency token. So the parameters are checked before the call,
    and the remark gets a marker at its end, of this DAG, task, run and these parameters: after a lost reply, and
    when the task is tried again or cleared, the group with the marker is taken instead of a second one.

    :param source: a :class:`PaiSource` or its number: 0 text, 1 text file, 2 CSV file, 3 MaxCompute table,
        4 algorithm (templated).
    :param name: the group's name (templated).
    :param text: for source 0: at most 100 phone numbers, as text with one a line or as a list (templated; never
        shown).
    :param uri: for sources 1 and 2: the file, ``https://<bucket>.oss-<region>.aliyuncs.com/<key>`` (templated).
    :param phone_number: whether the group contains phone numbers; Reach campaigns need them.
    :param project: for source 3: MaxCompute project (templated).
    :param table: for source 3: MaxCompute table (templated).
    :param column: for sources 2 and 3: column with the phone numbers, required with ``phone_number=True``
        (templated).
    :param filter: for source 3, optional: condition, such as ``ds={{ ds_nodash }}`` (templated).
    :param algorithm: for source 4: the associated algorithm (templated).
    :param inference_job_id: for source 4: id of the prediction task (templated).
    :param remark: free text (templated).
    :param if_exists: for groups of the same name: ``create`` another, ``adopt`` it if it is the only one, or
        ``fail``.
    :param phone_format: rule for ``text``: ``cn_mobile`` or ``any``.
    :param pai_conn_id: id of the connection (templated).
    :return: the group's id.
    :raises InvalidInputError: a parameter is missing, or does not belong to the source; nothing was sent.
    :raises ConflictError: the name is taken, or several groups have it.
    """

    template_fields: Sequence[str] = (
        "source",
        "name",
        "text",
        "uri",
        "project",
        "table",
        "column",
        "filter",
        "algorithm",
        "inference_job_id",
        "remark",
        "pai_conn_id",
    )
    text = PersonalTextField()
    uri = AddressField()

    def __init__(
        self,
        *,
        source: PaiSource | int | str,
        name: str | None = None,
        text: str | Sequence[str] | None = None,
        uri: str | None = None,
        phone_number: bool | None = None,
        project: str | None = None,
        table: str | None = None,
        column: str | None = None,
        filter: str | None = None,
        algorithm: str | None = None,
        inference_job_id: str | None = None,
        remark: str | None = None,
        if_exists: Literal["create", "adopt", "fail"] = "create",
        phone_format: Literal["cn_mobile", "any"] = "cn_mobile",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.name = name
        self.text = text
        self.uri = uri
        self.phone_number = phone_number
        self.project = project
        self.table = table
        self.column = column
        self.filter = filter
        self.algorithm = algorithm
        self.inference_job_id = inference_job_id
        self.remark = remark
        self.if_exists = if_exists
        self.phone_format = phone_format

    def execute(self, context: Context) -> str:
        """Check the parameters and create the group."""
        from airflow_provider_audiences.clients.pai_marker import group_marker

        task_instance = context["ti"]
        with task_errors():
            spec = self._spec().checked(phone_format=self.phone_format)
            for number in (spec.text or "").split("\n"):
                mask_secret(number)
            marker = group_marker(
                origin=f"{task_instance.dag_id}.{task_instance.task_id}",
                run=f"{task_instance.run_id} {getattr(task_instance, 'map_index', -1)}",
                spec=spec,
            )
            with self.hook.get_conn() as client:
                created = client.create_group(
                    spec,
                    marker=marker,
                    if_exists=self.if_exists,
                    earlier_try=task_instance.try_number > 1,
                )
        self.log.info("Group %s %s.", created.group.id, "existed" if created.adopted else "created")
        return created.group.id

    def _spec(self) -> GroupSpec:
        return GroupSpec(
            source=parse_source(self.source),
            name=self.name,
            text=_text_of(revealed(self.text)),
            uri=revealed(self.uri),
            phone_number=self.phone_number,
            project=self.project,
            table=self.table,
            column=self.column,
            filter=self.filter,
            algorithm=self.algorithm,
            inference_job_id=self.inference_job_id,
            remark=self.remark,
        )


def _text_of(text: Any) -> str | None:
    """Return one number a line; a native template renders a single number to an integer."""
    if text is None or isinstance(text, str):
        return text
    if isinstance(text, Iterable) and not isinstance(text, bytes | Mapping):
        return "\n".join(str(line) for line in text)
    if isinstance(text, int):
        return str(text)
    raise InvalidInputError(f"text is a {type(text).__name__}: give phone numbers as text or as a list")


class PaiGetGroupOperator(_PaiOperator):
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
        with task_errors(), self.hook.get_conn() as client:
            return client.get_group(self.group_id).public()


class PaiListGroupsOperator(_PaiOperator):
    """
    List groups, all pages. The filters are the platform's; those on text may match parts.

    :param name: filter by name (templated).
    :param remark: filter by remark (templated).
    :param phone_number: filter by whether the group contains phone numbers.
    :param source: filter by source, a :class:`PaiSource` or its number (templated).
    :param status: filter by review status (templated).
    :param pai_conn_id: id of the connection (templated).
    :return: list of groups in snake_case, without personal data.
    """

    template_fields: Sequence[str] = ("name", "remark", "source", "status", "pai_conn_id")

    def __init__(
        self,
        *,
        name: str | None = None,
        remark: str | None = None,
        phone_number: bool | None = None,
        source: PaiSource | int | str | None = None,
        status: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.remark = remark
        self.phone_number = phone_number
        self.source = source
        self.status = status

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the groups."""
        from airflow_provider_audiences.clients.validation import whole_number

        with task_errors():
            source = None if self.source is None else parse_source(self.source)
            status = None if self.status is None else whole_number("status", self.status, at_least=0)
            with self.hook.get_conn() as client:
                groups = client.list_groups(
                    name=self.name,
                    remark=self.remark,
                    phone_number=self.phone_number,
                    source=source,
                    status=status,
                )
        return [group.public() for group in groups]


class PaiDeleteGroupOperator(_PaiOperator):
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
        # A try of this task that was cut off may have deleted it already.
        ignore_missing = self.ignore_missing or context["ti"].try_number > 1
        with task_errors(), self.hook.get_conn() as client:
            deleted = client.delete_group(self.group_id, ignore_missing=ignore_missing)
        self.log.info("Group %s %s.", self.group_id, "deleted" if deleted else "did not exist")
        return {"group_id": self.group_id, "deleted": deleted}
