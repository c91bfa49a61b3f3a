"""Arguments of any Airflow task and sensor, by name and type, of all supported versions of Airflow."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict


class TaskArguments(TypedDict, total=False):
    """Arguments of any task; some are unknown to older or newer versions of Airflow."""

    task_id: Required[str]
    owner: str
    email: Any
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: Any
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: Any
    on_failure_callback: Any
    on_success_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    pre_execute: Any
    post_execute: Any
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    task_concurrency: int | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class PollingSensorArguments(TaskArguments, total=False):
    """Arguments of this provider's sensors, without how pauses grow."""

    deferrable: bool
    max_poll_failures: int
    poke_interval: timedelta | float
    timeout: timedelta | float
    soft_fail: bool
    mode: str
    silent_fail: bool
    never_fail: bool


class SensorArguments(PollingSensorArguments, total=False):
    """Arguments of this provider's sensors whose pauses grow as Airflow's arguments say."""

    exponential_backoff: bool
    max_wait: timedelta | float | None
