"""The tasks of a partitioned sync of an AppLovin audience, and of an app's suppression list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_audiences.operators.applovin_delivery_base import (
    AppLovinAudienceOperator,
    AppLovinSuppressionListOperator,
)
from airflow_provider_audiences.operators.applovin_suppression import (
    AppLovinApplySuppressionPlanOperator,
    AppLovinSyncSuppressionOperator,
)
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.partitioned_base import (
    NOT_PREPARED,
    PartitionPlan,
    PartitionsReport,
    PartitionsVerdict,
    PreparePartitions,
)


@dataclass(frozen=True, kw_only=True)
class PartitionTasks:
    """
    The operators of a partitioned sync, one for each of its tasks.

    :param prepare: finds or makes what is synced, and reads the opt-outs.
    :param plan: plans one partition.
    :param verdict: judges all plans as one, and sends the first batch.
    :param apply: sends the rest of one partition's plan.
    :param report: sums up.
    """

    prepare: type[PreparePartitions]
    plan: type[PartitionPlan]
    verdict: type[PartitionsVerdict]
    apply: type[AppLovinApplyPlanOperator | AppLovinApplySuppressionPlanOperator]
    report: type[PartitionsReport]


class PreparePartitionsOperator(PreparePartitions, AppLovinSyncAudienceOperator):
    """Prepare a partitioned sync; :class:`PreparePartitions` has the arguments."""

    template_fields: Sequence[str] = tuple(
        name for name in AppLovinSyncAudienceOperator.template_fields if name not in NOT_PREPARED
    )


class PartitionPlanOperator(PartitionPlan, AppLovinSyncAudienceOperator):
    """Plan one partition; :class:`PartitionPlan` has the arguments."""

    template_fields: Sequence[str] = (*AppLovinSyncAudienceOperator.template_fields, "opt_outs")


class PartitionVerdictOperator(AppLovinAudienceOperator, PartitionsVerdict):
    """
    Judge the plans of all partitions, and send the first batch; :class:`PartitionsVerdict` has the other arguments.

    :param audience_id: id of the audience (templated).
    """

    template_fields: Sequence[str] = ("audience_id", *PartitionsVerdict.template_fields, "applovin_conn_id")

    def __init__(self, *, audience_id: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id


class PartitionApplyOperator(AppLovinApplyPlanOperator):
    """Send the rest of one partition's plan; :class:`PartitionReportOperator` tells what all of them have done."""

    publishes_outcome = False


class PartitionReportOperator(AppLovinAudienceOperator, PartitionsReport):
    """
    Sum up what the partitions have sent; :class:`PartitionsReport` has the other arguments.

    :param audience_id: id of the audience (templated).
    """

    template_fields: Sequence[str] = ("audience_id", *PartitionsReport.template_fields, "applovin_conn_id")

    def __init__(self, *, audience_id: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.name_outlet()


class PrepareSuppressionPartitionsOperator(PreparePartitions, AppLovinSyncSuppressionOperator):
    """Prepare a partitioned sync of a suppression list; :class:`PreparePartitions` has the arguments."""

    template_fields: Sequence[str] = tuple(
        name for name in AppLovinSyncSuppressionOperator.template_fields if name not in NOT_PREPARED
    )


class SuppressionPartitionPlanOperator(PartitionPlan, AppLovinSyncSuppressionOperator):
    """Plan one partition of a suppression list; :class:`PartitionPlan` has the arguments."""

    template_fields: Sequence[str] = (*AppLovinSyncSuppressionOperator.template_fields, "opt_outs")


class SuppressionPartitionVerdictOperator(AppLovinSuppressionListOperator, PartitionsVerdict):
    """
    As :class:`PartitionVerdictOperator`, for a suppression list.

    :param package_name: package name or bundle ID of the app (templated).
    """

    template_fields: Sequence[str] = ("package_name", *PartitionsVerdict.template_fields, "applovin_conn_id")

    def __init__(self, *, package_name: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name


class SuppressionPartitionApplyOperator(AppLovinApplySuppressionPlanOperator):
    """As :class:`PartitionApplyOperator`, for a suppression list."""

    publishes_outcome = False


class SuppressionPartitionReportOperator(AppLovinSuppressionListOperator, PartitionsReport):
    """
    As :class:`PartitionReportOperator`, for a suppression list.

    :param package_name: package name or bundle ID of the app (templated).
    """

    template_fields: Sequence[str] = ("package_name", *PartitionsReport.template_fields, "applovin_conn_id")

    def __init__(self, *, package_name: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.package_name = package_name
        self.name_outlet()


AUDIENCE_TASKS = PartitionTasks(
    prepare=PreparePartitionsOperator,
    plan=PartitionPlanOperator,
    verdict=PartitionVerdictOperator,
    apply=PartitionApplyOperator,
    report=PartitionReportOperator,
)
SUPPRESSION_TASKS = PartitionTasks(
    prepare=PrepareSuppressionPartitionsOperator,
    plan=SuppressionPartitionPlanOperator,
    verdict=SuppressionPartitionVerdictOperator,
    apply=SuppressionPartitionApplyOperator,
    report=SuppressionPartitionReportOperator,
)
