"""
Arguments that operators hand on to their base classes, by name and type, for editors and type checkers.

The constructors of the base classes say what they mean, their defaults are there, and the operators document them.
Arguments that may be templates or output of other tasks are ``Any``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, Required, TypedDict

from airflow_provider_audiences.common.task_arguments import TaskArguments


class WriteArguments(TypedDict, total=False):
    """Arguments of all operators that write, about their asset."""

    account: Any
    asset: Any


class DeliveryArguments(WriteArguments, total=False):
    """Arguments of the operators that send members."""

    batch_size: int
    max_parallel_requests: int
    wait_for_audience_seconds: int | str | timedelta


class RemovalArguments(DeliveryArguments, total=False):
    """Arguments of the operators that remove members directly."""

    source: Required[Any]
    max_malformed_ratio: Any
    rejects_path: Any
    rejects_include_values: bool
    dry_run: bool


class AdditionArguments(RemovalArguments, total=False):
    """Arguments of the operators that add members directly."""

    on_malformed: Literal["drop", "fail"]


class SyncArguments(DeliveryArguments, total=False):
    """Arguments of the operators that make a target equal its source."""

    source: Required[Any]
    suppress: Any
    allow_empty: Any
    max_removed_ratio: Any
    max_added_ratio: Any
    max_removed: Any
    max_added: Any
    min_members: Any
    min_suppressed: Any
    suppress_on_malformed: Any
    allow_older_run: Any
    release_held_back: Any
    on_malformed: Literal["drop", "fail"]
    max_malformed_ratio: Any
    rejects_path: Any
    rejects_include_values: bool
    plan_only: bool
    partition: Any


class StoredPlanArguments(DeliveryArguments, total=False):
    """Arguments of the operators that carry out a stored plan."""

    plan_id: Required[Any]
    override_guards: bool
    partition: Any


class ChangesArguments(DeliveryArguments, total=False):
    """Arguments of the operators that send changes which are handed in."""

    added: Any
    removed: Any
    expected_changes: Any
    on_ledger: Any
    max_removed: Any
    max_added: Any
    allow_older_run: Any
    on_malformed: Literal["fail", "drop"]
    max_malformed_ratio: Any


class AppLovinArguments(TaskArguments, total=False):
    """Arguments of all AppLovin operators."""

    applovin_conn_id: str


class AppLovinWriteArguments(AppLovinArguments, WriteArguments, total=False):
    """Arguments of all AppLovin operators that write."""


class AppLovinMemberArguments(AppLovinArguments, total=False):
    """Arguments of all AppLovin operators that send advertising IDs."""

    id_case: Literal["lower", "upper"]


class AppLovinRemovalArguments(AppLovinMemberArguments, RemovalArguments, total=False):
    """:class:`RemovalArguments` for AppLovin."""


class AppLovinAdditionArguments(AppLovinMemberArguments, AdditionArguments, total=False):
    """:class:`AdditionArguments` for AppLovin."""


class AppLovinSyncArguments(AppLovinMemberArguments, SyncArguments, total=False):
    """:class:`SyncArguments` for AppLovin, as a suppression list takes them."""


class AppLovinSyncAudienceArguments(AppLovinSyncArguments, total=False):
    """Arguments of the sync of an audience."""

    mode: Any
    on_lost_ledger: Any


class AppLovinStoredPlanArguments(AppLovinMemberArguments, StoredPlanArguments, total=False):
    """:class:`StoredPlanArguments` for AppLovin."""


class AppLovinChangesArguments(AppLovinMemberArguments, ChangesArguments, total=False):
    """:class:`ChangesArguments` for AppLovin."""


class PaiArguments(TaskArguments, total=False):
    """Arguments of all PAI operators."""

    pai_conn_id: str


class PaiWriteArguments(PaiArguments, WriteArguments, total=False):
    """Arguments of all PAI operators that write."""


class PaiRefreshArguments(PaiWriteArguments, total=False):
    """Arguments of the operators that make a new PAI group take the place of the old ones."""

    keep_previous: int
    delete_failed: bool
    provenance: Any
    allow_older_run: Any
    min_amount: Any
    ready_statuses: Sequence[int] | None
    failed_statuses: Sequence[int] | None
    timeout: timedelta | float | str
    poke_interval: timedelta | float | str
    max_poke_interval: timedelta | float | str
    max_poll_failures: int
    deferrable: bool


class PaiGroupArguments(PaiWriteArguments, total=False):
    """Arguments that say what a PAI group is made from, without its name."""

    source: Required[Any]
    text: Any
    uri: Any
    phone_number: Any
    project: Any
    table: Any
    column: Any
    filter: Any
    algorithm: Any
    inference_job_id: Any
    remark: Any
    phone_format: Literal["cn_mobile", "any"]


class PaiNamedGroupArguments(PaiGroupArguments, total=False):
    """Arguments that say what a PAI group is made from."""

    name: Any


class PaiReplaceArguments(PaiGroupArguments, PaiRefreshArguments, total=False):
    """Arguments of the operator that replaces a PAI group, without its name."""
