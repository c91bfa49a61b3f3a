"""
TaskFlow decorator for PAI: the result of a decorated function is the phone numbers of a group.

::

    @task.pai_sync_group(name="Newsletter readers", stage_path="oss://bucket/audiences")
    def readers(ds=None):
        return f"s3://bucket/readers/day={ds}/"

The function may return whatever an operator accepts as ``source``. The decorator takes the arguments of
``PaiSyncGroupOperator``, except ``source``, and the task returns that operator's report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import DecoratedOperator

from airflow_provider_audiences.common.masked import ArgumentsField
from airflow_provider_audiences.decorators.source_function import SourceFromFunction, source_decorator
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDecorator


class _SyncGroup(SourceFromFunction, PaiSyncGroupOperator):
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *PaiSyncGroupOperator.template_fields)
    custom_operator_name: ClassVar[str] = "@task.pai_sync_group"
    op_args = ArgumentsField(ALL_PATTERNS)
    op_kwargs = ArgumentsField(ALL_PATTERNS)


def sync_group_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.pai_sync_group``, which makes a group of the phone numbers that the function returns.

    :param python_callable: the decorated function; its result is the operator's ``source``.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; default False.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    return source_decorator(_SyncGroup, python_callable, multiple_outputs, kwargs)
