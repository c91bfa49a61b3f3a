"""
TaskFlow for AppLovin: what a decorated function returns or yields becomes the source.

::

    @task.applovin_sync_audience(audience_id="…", ttl_seconds=90 * 86400)
    def loyal_users(ds=None):
        return f"s3://bucket/loyal/day={ds}/"

The function may return whatever an operator's ``source`` may be: members, a generator of them, a data frame, a path,
a FileSource or an SqlSource; templates in it are rendered. The task returns the operator's report. The decorators
take the arguments of their operators but ``source``.
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
    Make ``@task.applovin_sync_audience``: the audience is made equal to the members that the function gives.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return source_decorator(_SyncAudience, python_callable, multiple_outputs, kwargs)


def sync_suppression_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_sync_suppression``: an app's suppression list is made equal to what the function gives.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return source_decorator(_SyncSuppression, python_callable, multiple_outputs, kwargs)


def update_audience_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_update_audience``: the members that the function gives replace the audience's.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return source_decorator(_UpdateAudience, python_callable, multiple_outputs, kwargs)


def append_users_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_append_users``: the members that the function gives are added.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return source_decorator(_AppendUsers, python_callable, multiple_outputs, kwargs)


def remove_users_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_remove_users``: the members that the function gives are removed.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return source_decorator(_RemoveUsers, python_callable, multiple_outputs, kwargs)
