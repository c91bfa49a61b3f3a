"""The tasks of a partitioned sync of an AppLovin audience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_audiences.operators.applovin_delivery_base import AppLovinAudienceOperator
from airflow_provider_audiences.operators.applovin_sync import AppLovinApplyPlanOperator, AppLovinSyncAudienceOperator
from airflow_provider_audiences.operators.partitioned_base import (
    NOT_PREPARED,
    PartitionPlan,
    PartitionsReport,
    PartitionsVerdict,
    PreparePartitions,
)


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
