"""
Base classes of the PAI operators: the connection and its billable calls, and the parameters of a group.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_audiences.common.billable_calls import estimated_cost, report_billable_calls, total_calls
from airflow_provider_audiences.common.masked import AddressField, MaskedFieldsMixin, PersonalTextField, revealed
from airflow_provider_audiences.common.targets import GROUP
from airflow_provider_audiences.common.task_mixin import TaskMixin
from airflow_provider_audiences.common.templated_lists import TemplatedList
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.values import encoded_value
from airflow_provider_audiences.operators.write_base import WriteOperator
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource, parse_source
from airflow_provider_audiences.sources.parts import flat
from airflow_provider_audiences.validation import a_type, required_text, true_or_false

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.hooks.pai import PaiHook
    from airflow_provider_audiences.platforms.pai.client import PaiClient


class PaiOperator(TaskMixin, BaseOperator):
    """
    Base of the PAI operators.

    Each pushes the XCom ``billable_calls``: how many CreateGroup, GetGroup and DeleteGroup calls it made that PAI may
    bill. If the connection has a ``price_per_call``, each pushes ``estimated_cost`` too.

    :param pai_conn_id: Airflow connection of the type ``pai``, or ``alibaba_cloud``; default ``pai_default``
        (templated).
    """

    ui_color = "#fdefe2"

    def __init__(self, *, pai_conn_id: str = "pai_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pai_conn_id = pai_conn_id
        self._price_per_call: float | None = None
        self.requests_made: int | None = None

    @cached_property
    def hook(self) -> PaiHook:
        """Hook of the operator's connection."""
        from airflow_provider_audiences.hooks.pai import PaiHook

        return PaiHook(pai_conn_id=self.pai_conn_id)

    @contextmanager
    def billed_client(self, context: Context, earlier: Mapping[str, int] | None = None) -> Iterator[PaiClient]:
        """
        Yield a client. When the block ends, also by an error, log and push the calls that PAI may bill.

        :param context: context of the task.
        :param earlier: billable calls of an earlier part of this task, by kind of call, to be added; None for none.
        """
        with self.hook.get_conn() as client:
            self._price_per_call = client.price_per_call
            try:
                yield client
            finally:
                self.report_calls(context, total_calls(earlier or {}, client.billable_calls))

    def report_calls(self, context: Context, calls: Mapping[str, int]) -> None:
        """
        Log the calls that PAI may bill, and push them as an XCom.

        :param context: context of the task.
        :param calls: number of calls by kind, such as ``{"create": 1}``.
        """
        self.requests_made = sum(calls.values())
        report_billable_calls(self, context, calls, self._price_per_call)

    def cost_of(self, calls: Mapping[str, int]) -> float | None:
        """
        Return what calls may cost, by the connection's ``price_per_call``; None if it has none.

        :param calls: number of calls by kind, such as ``{"create": 1}``.
        """
        return estimated_cost(calls, self._price_per_call)


class PaiGroupSpecOperator(MaskedFieldsMixin, WriteOperator, PaiOperator):
    """
    Base of the operators that make a group from one of PAI's own sources.

    :class:`~airflow_provider_audiences.operators.pai.PaiCreateGroupOperator` documents the other arguments.

    :param source: a :class:`PaiSource` or its number: 0 text, 1 text file, 2 CSV file, 3 MaxCompute table, 4 algorithm.
    """

    template_fields: Sequence[str] = (
        "source",
        "name",
        "text",
        "uri",
        "phone_number",
        "project",
        "table",
        "column",
        "filter",
        "algorithm",
        "inference_job_id",
        "remark",
        "account",
        "pai_conn_id",
    )
    target_kind = GROUP
    target_arguments = ("name",)
    text = PersonalTextField()
    uri = AddressField()

    def __init__(
        self,
        *,
        source: PaiSource | int | str,
        name: str | None = None,
        text: str | Sequence[str] | None = None,
        uri: str | None = None,
        phone_number: bool | str | None = None,
        project: str | None = None,
        table: str | None = None,
        column: str | None = None,
        filter: str | None = None,
        algorithm: str | None = None,
        inference_job_id: str | None = None,
        remark: str | None = None,
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
        self.phone_format = phone_format

    @property
    def sources_read(self) -> Sequence[Any]:
        """File or table that PAI reads; phone numbers as text, and predictions, are no dataset."""
        from airflow_provider_audiences.lineage.datasets import max_compute_table

        is_table = bool(self.project and self.table)
        return (self.uri, max_compute_table(str(self.project), str(self.table)) if is_table else None)

    def checked_spec(self) -> GroupSpec:
        """
        Return the group's parameters, checked and in their normal form.

        :raises InvalidInputError: a parameter is missing, wrong, or of another source.
        """
        return GroupSpec(
            source=parse_source(self.source),
            name=self.name,
            text=_text_of(revealed(self.text)),
            uri=revealed(self.uri),
            phone_number=None if self.phone_number is None else true_or_false("phone_number", self.phone_number),
            project=self.project,
            table=self.table,
            column=self.column,
            filter=self.filter,
            algorithm=self.algorithm,
            inference_job_id=self.inference_job_id,
            remark=self.remark,
        ).checked(phone_format=self.phone_format)


def provenance_of(provenance: str | None, context: Context) -> str:
    """
    Return the provenance key of a task's groups (default ``dag_id:task_id``).

    :param provenance: the operator's argument; None for the default.
    :param context: context of the task.
    :raises InvalidInputError: the argument is empty, or a template rendered it to nothing.
    """
    if provenance is None:
        # Neither id may contain a colon.
        return f"{context['ti'].dag_id}:{context['ti'].task_id}"
    return required_text("provenance", provenance)


def _text_of(text: Any) -> str | None:
    """Return phone numbers as text, one a line. Native rendering makes an integer of a template of one number."""
    if text is None or isinstance(text, str):
        return text
    if isinstance(text, bytes | Mapping) or hasattr(text, "columns"):
        raise InvalidInputError(f"text is {a_type(text)}: give phone numbers as text or as a list")
    is_many = isinstance(text, Iterable) and not isinstance(text, list | tuple | TemplatedList)
    return "\n".join(_line(item, number) for number, item in enumerate(flat(list(text) if is_many else text), start=1))


def _line(value: object, number: int) -> str:
    encoded = encoded_value(value, takes_numbers=True)
    if encoded is None:
        raise InvalidInputError(f"text, item {number}: {a_type(value)} is no phone number: give text")
    try:
        return encoded.text.decode("utf-8", errors="strict" if encoded.is_binary else "surrogatepass")
    except UnicodeDecodeError:
        raise InvalidInputError(f"text, item {number}: these bytes are no text in UTF-8") from None
