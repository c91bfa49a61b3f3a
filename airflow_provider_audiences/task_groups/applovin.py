"""Groups of tasks for AppLovin: syncs that ask a person if a guard objects, and syncs in partitions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskGroup

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.partition import partitions as all_partitions
from airflow_provider_audiences.operators.applovin_suppression import (
    AppLovinApplySuppressionPlanOperator,
    AppLovinSyncSuppressionOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.partitioned_base import GUARDS
from airflow_provider_audiences.task_groups.applovin_partitions import (
    AUDIENCE_TASKS,
    SUPPRESSION_TASKS,
    PartitionTasks,
)

DEFAULT_RESPONSE_TIMEOUT = timedelta(days=1)

_NOT_OF_PLAN = frozenset({"outlets"})
"""Arguments that the task that plans does not take."""

_CALLBACKS = frozenset(f"on_{event}_callback" for event in ("execute", "success", "failure", "retry", "skipped"))
"""Arguments that hold for all three tasks."""

_OF_ONE_TASK = frozenset(
    {
        *("self", "kwargs", "task_id", "dag", "task_group", "trigger_rule", "inlets", "outlets", "multiple_outputs"),
        *("doc", "doc_md", "doc_json", "doc_rst", "doc_yaml", "task_display_name", "logger_name", "resources"),
        *("map_index_template", "max_active_tis_per_dagrun", "do_xcom_push", "pre_execute", "post_execute"),
        *("render_template_as_native_obj", "allow_nested_operators", "ignore_first_depends_on_past"),
    }
)
"""Arguments of Airflow's operators that are those of the task that plans alone."""

_SHARED = frozenset(
    {
        *("applovin_conn_id", "account", "id_case", "batch_size", "max_parallel_requests", "wait_for_audience_seconds"),
        *("max_drift", "drift_patience_seconds"),
        *(set(inspect.signature(BaseOperator.__init__).parameters) - _OF_ONE_TASK),
    }
)
"""Arguments that hold for the task that plans and for the one that applies the plan."""

_OF_GROUP = frozenset({"task_id", "plan_only", "partition", "override_guards"})
_OF_READING = frozenset({"source", "rejects_path", "rejects_include_values", "outlets"})
_OF_WHOLE = frozenset(
    {
        *("audience_id", "name", "platform", "package_name", "description", "audience_type"),
        *("asset", "outlets", "trigger_rule", "suppress", "suppress_on_malformed"),
    }
)
"""Arguments of a partitioned sync that are not those of the tasks that plan."""


def approved_sync(
    *,
    group_id: str = "approved_sync",
    response_timeout: timedelta | None = DEFAULT_RESPONSE_TIMEOUT,
    fail_on_reject: bool = False,
    assigned_users: Any = None,
    notifiers: Sequence[Callable[[Any], Any]] | Callable[[Any], Any] | None = None,
    **sync: Any,
) -> TaskGroup:
    """
    Make an audience equal a source; if a guard objects, ask a person first. For Airflow 3.1 and newer.

    The group has three tasks: ``plan`` stores the plan and sends nothing, ``approve`` asks if a guard objects, and
    ``apply`` carries out exactly this plan. If nobody objects, nobody is asked. If the answer is no, ``apply`` is
    skipped. The audience must exist.

    :param group_id: id of the group, which the ids of its tasks begin with; default ``approved_sync``.
    :param response_timeout: longest wait for the answer; after that, ``approve`` fails. Default a day; None for no
        limit.
    :param fail_on_reject: let ``approve`` fail if the answer is no; default False: it succeeds, and ``apply`` is
        skipped.
    :param assigned_users: who may answer, as Airflow's ``ApprovalOperator`` takes it; None (default) for whoever may
        edit task instances.
    :param notifiers: Airflow's notifiers that are called when the question is asked; None (default) for none.
    :param sync: arguments of ``AppLovinSyncAudienceOperator``,
        except ``task_id`` and ``plan_only``. ``asset`` and ``outlets`` are those of ``apply``.
    :raises InvalidInputError: this Airflow is older than 3.1.
    """
    return _approved(
        AppLovinSyncAudienceOperator,
        AppLovinApplyPlanOperator,
        group_id=group_id,
        approval={
            "response_timeout": response_timeout,
            "fail_on_reject": fail_on_reject,
            "assigned_users": assigned_users,
            "notifiers": _listed(notifiers),
        },
        sync=sync,
    )


def approved_suppression_sync(
    *,
    group_id: str = "approved_suppression_sync",
    response_timeout: timedelta | None = DEFAULT_RESPONSE_TIMEOUT,
    fail_on_reject: bool = False,
    assigned_users: Any = None,
    notifiers: Sequence[Callable[[Any], Any]] | Callable[[Any], Any] | None = None,
    **sync: Any,
) -> TaskGroup:
    """
    Make an app's suppression list equal a source; if a guard objects, ask a person first. For Airflow 3.1 and newer.

    :param group_id: id of the group; default ``approved_suppression_sync``.
    :param response_timeout: as for ``approved_sync``.
    :param fail_on_reject: as for ``approved_sync``.
    :param assigned_users: as for ``approved_sync``.
    :param notifiers: as for ``approved_sync``.
    :param sync: arguments of
        ``AppLovinSyncSuppressionOperator``, except
        ``task_id`` and ``plan_only``. ``asset`` and ``outlets`` are those of ``apply``.
    :raises InvalidInputError: this Airflow is older than 3.1.
    """
    return _approved(
        AppLovinSyncSuppressionOperator,
        AppLovinApplySuppressionPlanOperator,
        group_id=group_id,
        approval={
            "response_timeout": response_timeout,
            "fail_on_reject": fail_on_reject,
            "assigned_users": assigned_users,
            "notifiers": _listed(notifiers),
        },
        sync=sync,
    )


def applovin_partitioned_sync(
    *,
    partitions: int,
    group_id: str = "partitioned_sync",
    max_active_tis_per_dagrun: int | None = None,
    **sync: Any,
) -> TaskGroup:
    """
    Make an audience equal a source by many tasks, which share the members by the first hex digits of their IDs.

    ``prepare`` finds or makes the audience, and reads the opt-outs. One task ``plan`` for each partition reads its part
    of the source, and stores a plan. ``verdict`` lets the guards judge all plans as one, and sends the first batch
    alone. One task ``apply`` for each partition sends the rest, and ``report`` compares their sum with the platform's
    count. A task that fails undoes nothing of the others; its retry does its own work only, and the next run goes on
    from there.

    :param partitions: how many there are: 16, 256, or 1 for one task. If the audience was synced with another
        number, ``prepare`` moves its ledgers.
    :param group_id: id of the group, which the ids of its tasks begin with; default ``partitioned_sync``.
    :param max_active_tis_per_dagrun: most tasks of a run that plan, or send, at the same time; None (default) for no
        limit beside those of pools and executors.
    :param sync: arguments of ``AppLovinSyncAudienceOperator``, except ``task_id``, ``plan_only`` and ``partition``.
        Templates of ``source`` and ``rejects_path`` know ``partition``. ``asset`` and ``outlets`` are
        those of ``report``.
    :raises InvalidInputError: ``partitions`` is another number, or an argument is the group's own.
    """
    return _partitioned(
        AUDIENCE_TASKS,
        "applovin_partitioned_sync",
        partitions=partitions,
        group_id=group_id,
        max_active_tis_per_dagrun=max_active_tis_per_dagrun,
        sync=sync,
    )


def applovin_partitioned_suppression_sync(
    *,
    partitions: int,
    group_id: str = "partitioned_suppression_sync",
    max_active_tis_per_dagrun: int | None = None,
    **sync: Any,
) -> TaskGroup:
    """
    Make an app's suppression list equal a source by many tasks, as ``applovin_partitioned_sync`` does for an
    audience. The API does not count, so ``report`` compares with nothing.

    :param partitions: as for ``applovin_partitioned_sync``.
    :param group_id: id of the group; default ``partitioned_suppression_sync``.
    :param max_active_tis_per_dagrun: as for ``applovin_partitioned_sync``.
    :param sync: arguments of ``AppLovinSyncSuppressionOperator``, except ``task_id``, ``plan_only`` and ``partition``;
        templates as for ``applovin_partitioned_sync``.
    :raises InvalidInputError: ``partitions`` is another number, or an argument is the group's own.
    """
    return _partitioned(
        SUPPRESSION_TASKS,
        "applovin_partitioned_suppression_sync",
        partitions=partitions,
        group_id=group_id,
        max_active_tis_per_dagrun=max_active_tis_per_dagrun,
        sync=sync,
    )


def _partitioned(
    tasks: PartitionTasks,
    function: str,
    *,
    partitions: int,
    group_id: str,
    max_active_tis_per_dagrun: int | None,
    sync: Mapping[str, Any],
) -> TaskGroup:
    names = [partition.name for partition in all_partitions(partitions)]
    if own := sorted(_OF_GROUP & set(sync)):
        raise InvalidInputError(f"{function} takes no {', '.join(own)}: the group says so itself")
    shared = {name: value for name, value in sync.items() if name in _SHARED}
    guards = {name: value for name, value in sync.items() if name in GUARDS}
    delivery = {name: value for name, value in shared.items() if not name.startswith(("max_drift", "drift_"))}
    mapped = {"max_active_tis_per_dagrun": max_active_tis_per_dagrun, "map_index_template": "{{ task.partition }}"}
    target_argument = tasks.prepare.target_argument
    with TaskGroup(group_id=group_id) as group:
        prepare = tasks.prepare(
            task_id="prepare",
            partitions=partitions,
            **{name: value for name, value in sync.items() if name not in _OF_READING},
        )
        prepared: Any = prepare.output
        target: dict[str, Any] = {target_argument: prepared[target_argument]}
        plan = tasks.plan.partial(
            task_id="plan",
            opt_outs=prepared["opt_outs"],
            **target,
            **{name: value for name, value in sync.items() if name not in _OF_WHOLE | GUARDS},
            **mapped,
        ).expand(partition=names)
        verdict = tasks.verdict(task_id="verdict", plans=plan.output, count=partitions, **guards, **target, **delivery)
        judged: Any = verdict.output
        apply = tasks.apply.partial(task_id="apply", override_guards=True, **target, **shared, **mapped).expand_kwargs(
            judged
        )
        asset: Any = prepare.asset_of_dag_file
        asset_argument: dict[str, Any] = {} if asset is None else {"asset": asset}
        report = tasks.report(
            task_id="report",
            planned=judged["report"],
            applied=apply.output,
            count=partitions,
            opt_outs=prepared["opt_outs"],
            **target,
            **{name: value for name, value in sync.items() if name in _SHARED | {"initial", "mode", "outlets"}},
            **asset_argument,
        )
        prepare >> plan >> verdict >> apply >> report
    return group


def _approved(
    plan_class: type[Any],
    apply_class: type[Any],
    *,
    group_id: str,
    approval: Mapping[str, Any],
    sync: Mapping[str, Any],
) -> TaskGroup:
    _require_people()
    from airflow_provider_audiences.task_groups.approval import PlanApprovalOperator

    target = plan_class.target_argument
    with TaskGroup(group_id=group_id) as group:
        plan = plan_class(
            task_id="plan",
            plan_only=True,
            **{name: value for name, value in sync.items() if name not in _NOT_OF_PLAN},
        )
        asset = plan.asset_of_dag_file
        approve = PlanApprovalOperator(
            task_id="approve",
            report=plan.output,
            about=sync.get(target) or sync.get("name"),
            target_kind=plan_class.target_kind,
            target=plan.output[target],
            conn_id=plan.applovin_conn_id,
            account=plan.account,
            asset=asset,
            **{
                name: value
                for name, value in {**(sync.get("default_args") or {}), **sync}.items()
                if name in _CALLBACKS
            },
            **approval,
        )
        applied = {name: value for name, value in sync.items() if name in _SHARED | {"asset", "outlets"}}
        apply = apply_class(
            task_id="apply",
            plan_id=plan.output["plan_id"],
            override_guards=True,  # whoever was asked has seen what they say
            **{target: plan.output[target]},
            **applied,
            **({"asset": asset} if asset is not None and "asset" not in applied else {}),
        )
        plan >> approve >> apply
        # The three tell changes of one audience: what the one has told, the others don't tell again, or they take back.
        approve.notified_as = apply.task_id
        if asset is not None or sync.get(target):  # else the plan knows only a name, and the others only the id
            plan.notified_as = apply.task_id
    return group


def _listed(notifiers: Sequence[Callable[[Any], Any]] | Callable[[Any], Any] | None) -> list[Callable[[Any], Any]]:
    return [notifiers] if callable(notifiers) else list(notifiers or [])


def _require_people() -> None:
    """Refuse versions of Airflow that can't ask a person."""
    from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

    version = get_base_airflow_version_tuple()
    if version < (3, 1, 0):
        raise InvalidInputError(
            f"this is Airflow {'.'.join(map(str, version))}, and only 3.1 and newer can ask a person",
            advice="Put a task of your own between a sync with plan_only=True and AppLovinApplyPlanOperator.",
        )
