"""The retry policy of operators and sensors, on the versions of Airflow that have such policies."""

from __future__ import annotations

from typing import Any


class RetryPolicyMixin:
    """
    Base of operators and sensors whose next try waits as long as the platform has asked (Airflow 3.3 and newer).

    A task without a ``retry_policy`` gets :class:`~airflow_provider_audiences.common.retry_policy.AudienceRetryPolicy`.
    """

    retry_policy: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not as the default of an argument: it would come before a policy in the DAG's default_args.
        if getattr(self, "retry_policy", self) is None:
            from airflow_provider_audiences.common.retry_policy import AudienceRetryPolicy

            self.retry_policy = AudienceRetryPolicy()
