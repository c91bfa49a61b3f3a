"""
Base class of all AppLovin operators: the connection, and the errors.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_audiences.common.task_mixin import TaskMixin

if TYPE_CHECKING:
    from airflow_provider_audiences.hooks.applovin import AppLovinHook


class AppLovinOperator(TaskMixin, BaseOperator):
    """
    Base of the AppLovin operators.

    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    """

    ui_color = "#e3f0f7"

    def __init__(self, *, applovin_conn_id: str = "applovin_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.applovin_conn_id = applovin_conn_id

    @cached_property
    def hook(self) -> AppLovinHook:
        """Hook of the operator's connection."""
        from airflow_provider_audiences.hooks.applovin import AppLovinHook

        return AppLovinHook(applovin_conn_id=self.applovin_conn_id)
