"""
TaskFlow decorators for AppLovin: the result of a decorated function is the source of an operator.

::

    @task.applovin_sync_audience(audience_id="…", ttl_seconds=90 * 86400)
    def loyal_users(ds=None):
        return f"s3://bucket/loyal/day={ds}/"

The function may return whatever an operator accepts as ``source``: members, a generator of them, a data frame, a path,
a FileSource or an SqlSource. Templates in the result are rendered. The task returns the operator's report. A decorator
takes the arguments of its operator, except ``source``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import DecoratedOperator

from airflow_provider_audiences.decorators.source_function import SourceFromFunction, source_decorator
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinRemoveUsersOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.operators.applovin_suppression import AppLovinSyncSuppressionOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDecorator


class _SyncAudience(SourceFromFunction, AppLovinSyncAudienceOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinSyncAudienceOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_sync_audience"


class _SyncSuppression(SourceFromFunction, AppLovinSyncSuppressionOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinSyncSuppressionOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_sync_suppression"


class _UpdateAudience(SourceFromFunction, AppLovinUpdateAudienceOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinUpdateAudienceOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_update_audience"


class _AppendUsers(SourceFromFunction, AppLovinAppendUsersOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinAppendUsersOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_append_users"


class _RemoveUsers(SourceFromFunction, AppLovinRemoveUsersOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinRemoveUsersOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_remove_users"


def sync_audience_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_sync_audience``, which makes an audience equal the members that the function returns.

    :param python_callable: the decorated function; its result is the operator's ``source``.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; default False.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    return source_decorator(_SyncAudience, python_callable, multiple_outputs, kwargs)


def sync_suppression_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_sync_suppression``, which makes an app's suppression list equal what the function returns.

    :param python_callable: the decorated function; its result is the operator's ``source``.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; default False.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    return source_decorator(_SyncSuppression, python_callable, multiple_outputs, kwargs)


def update_audience_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_update_audience``, which replaces an audience by the members that the function returns.

    :param python_callable: the decorated function; its result is the operator's ``source``.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; default False.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    return source_decorator(_UpdateAudience, python_callable, multiple_outputs, kwargs)


def append_users_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_append_users``, which adds the members that the function returns to an audience.

    :param python_callable: the decorated function; its result is the operator's ``source``.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; default False.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    return source_decorator(_AppendUsers, python_callable, multiple_outputs, kwargs)


def remove_users_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_remove_users``, which removes the members that the function returns from an audience.

    :param python_callable: the decorated function; its result is the operator's ``source``.
    :param multiple_outputs: also push each entry of the report as an XCom of its own; default False.
    :param kwargs: arguments of the operator and of any Airflow task, except ``source``.
    """
    return source_decorator(_RemoveUsers, python_callable, multiple_outputs, kwargs)
