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

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_audiences.common.hidden import ArgumentsField, hiding_decorator, revealed
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinRemoveUsersOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator


class _SourceFromFunction(DecoratedOperator):
    """What the decorated operators share: the function is called first, and what it returns is the source."""

    # Airflow stores the arguments of a function; what it returns is known, and shown with care, after the task.
    op_args = ArgumentsField()
    op_kwargs = ArgumentsField()
    overwrite_rtif_after_execution = True
    source: Any

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(python_callable=python_callable, kwargs_to_upstream={"source": None}, **kwargs)

    def execute(self, context: Context) -> Any:
        """Call the function, then do what the operator does."""
        op_args = [revealed(value) for value in self.op_args]
        context_merge(context, {name: revealed(value) for name, value in self.op_kwargs.items()})
        op_kwargs = determine_kwargs(self.python_callable, op_args, context)
        # The field wraps members when they are assigned: they are neither rendered nor shown.
        self.source = self.python_callable(*op_args, **op_kwargs)
        self.source = self.render_template(self.source, context)
        # Not DecoratedOperator's: it looks through what a function returns for assets.
        return super(DecoratedOperator, self).execute(context)


class _SyncAudience(_SourceFromFunction, AppLovinSyncAudienceOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinSyncAudienceOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_sync_audience"


class _UpdateAudience(_SourceFromFunction, AppLovinUpdateAudienceOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinUpdateAudienceOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_update_audience"


class _AppendUsers(_SourceFromFunction, AppLovinAppendUsersOperator):
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *AppLovinAppendUsersOperator.template_fields,
    )
    custom_operator_name: ClassVar[str] = "@task.applovin_append_users"


class _RemoveUsers(_SourceFromFunction, AppLovinRemoveUsersOperator):
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
    return _decorator(_SyncAudience, python_callable, multiple_outputs, kwargs)


def update_audience_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_update_audience``: the members that the function gives replace the audience's.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return _decorator(_UpdateAudience, python_callable, multiple_outputs, kwargs)


def append_users_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_append_users``: the members that the function gives are added.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return _decorator(_AppendUsers, python_callable, multiple_outputs, kwargs)


def remove_users_task(
    python_callable: Callable[..., Any] | None = None, *, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make ``@task.applovin_remove_users``: the members that the function gives are removed.

    :param python_callable: the decorated function.
    :param multiple_outputs: push the report's entries as XComs of their own.
    :param kwargs: the operator's arguments, but for ``source``.
    """
    return _decorator(_RemoveUsers, python_callable, multiple_outputs, kwargs)


def _decorator(
    operator_class: type[_SourceFromFunction],
    python_callable: Callable[..., Any] | None,
    multiple_outputs: bool | None,
    kwargs: Mapping[str, Any],
) -> TaskDecorator:
    decorator: TaskDecorator = hiding_decorator(
        task_decorator_factory(
            python_callable=python_callable,
            # Airflow's guess is what the function returns; the task returns the report.
            multiple_outputs=bool(multiple_outputs),
            decorated_operator_class=operator_class,
            **kwargs,
        )
    )
    return decorator
