"""
What the operators of Alibaba PAI share: the connection, a group's parameters, and the billable calls.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_audiences.common.billable_calls import estimated_cost, tell_billable_calls, total_calls
from airflow_provider_audiences.common.given import RefusesLostArguments
from airflow_provider_audiences.common.hidden import AddressField, HidesFieldsWhenMapped, PersonalTextField, revealed
from airflow_provider_audiences.common.parts import Parts
from airflow_provider_audiences.common.text_templates import RendersTextAsText
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.values import encoded_value
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource, parse_source
from airflow_provider_audiences.sources.joined import flat
from airflow_provider_audiences.validation import a_type, required_text, true_or_false

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.hooks.pai import PaiHook
    from airflow_provider_audiences.platforms.pai.client import PaiClient


class PaiOperator(RefusesLostArguments, RendersTextAsText, BaseOperator):
    """
    Base of the operators.

    Every operator pushes ``billable_calls``, an XCom of its own: how many CreateGroup, GetGroup and DeleteGroup calls
    it made that PAI may bill; and ``estimated_cost``, if the connection has a ``price_per_call``.

    :param pai_conn_id: id of the connection.
    """

    ui_color = "#fdefe2"

    def __init__(self, *, pai_conn_id: str = "pai_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pai_conn_id = pai_conn_id
        self._price_per_call: float | None = None

    @cached_property
    def hook(self) -> PaiHook:
        """The hook of the connection."""
        from airflow_provider_audiences.hooks.pai import PaiHook

        return PaiHook(pai_conn_id=self.pai_conn_id)

    @contextmanager
    def billed_client(self, context: Context, earlier: Mapping[str, int] | None = None) -> Iterator[PaiClient]:
        """
        Yield a client; when the block ends, or fails, the calls are told that PAI may bill.

        :param context: of the task.
        :param earlier: calls that were made before, to be told with them.
        """
        with self.hook.get_conn() as client:
            self._price_per_call = client.price_per_call
            try:
                yield client
            finally:
                self.tell_calls(context, total_calls(earlier or {}, client.billable_calls))

    def tell_calls(self, context: Context, calls: Mapping[str, int]) -> None:
        """
        Log and push what PAI may bill.

        :param context: of the task.
        :param calls: numbers by call.
        """
        tell_billable_calls(self, context, calls, self._price_per_call)

    def cost_of(self, calls: Mapping[str, int]) -> float | None:
        """
        Return what calls may cost, by the connection's ``price_per_call``; None if it has none.

        :param calls: numbers by call.
        """
        return estimated_cost(calls, self._price_per_call)


class PaiGroupSpecOperator(HidesFieldsWhenMapped, PaiOperator):
    """
    Base of the operators that make a group of one of PAI's sources.

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

    def checked_spec(self) -> GroupSpec:
        """
        Return the group's parameters.

        :raises InvalidInputError: a parameter is missing, or does not belong to the source.
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
    Return by what the groups of a task are known.

    :param provenance: as the user gave it; None for DAG and task.
    :param context: of the task.
    :raises InvalidInputError: it is empty, or was rendered to None.
    """
    if provenance is None:
        # With a character between them that neither may have.
        return f"{context['ti'].dag_id}:{context['ti'].task_id}"
    return required_text("provenance", provenance)


def _text_of(text: Any) -> str | None:
    """Return one number a line; a native template renders a single number to an integer."""
    if text is None or isinstance(text, str):
        return text
    if isinstance(text, bytes | Mapping) or hasattr(text, "columns"):
        raise InvalidInputError(f"text is {a_type(text)}: give phone numbers as text or as a list")
    is_many = isinstance(text, Iterable) and not isinstance(text, list | tuple | Parts)
    return "\n".join(_line(item, number) for number, item in enumerate(flat(list(text) if is_many else text), start=1))


def _line(value: object, number: int) -> str:
    encoded = encoded_value(value, takes_numbers=True)
    if encoded is None:
        raise InvalidInputError(f"text, item {number}: {a_type(value)} is no phone number: give text")
    try:
        return encoded.text.decode("utf-8", errors="strict" if encoded.is_binary else "surrogatepass")
    except UnicodeDecodeError:
        raise InvalidInputError(f"text, item {number}: these bytes are no text in UTF-8") from None
