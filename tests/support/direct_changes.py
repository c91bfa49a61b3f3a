"""Direct changes of an audience in a test, as the operators for single changes make them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.sync.delivery.direct_delivery import DirectDelivery
from airflow_provider_audiences.sync.recorded_delivery import RecordedDelivery
from airflow_provider_audiences.sync.report import DirectDeliveryReport
from support.kinds import ID_KIND
from support.synced import SyncedAudience


def change_directly(
    synced: SyncedAudience,
    mode: str,
    ids: Iterable[str],
    *,
    key: str = "hand/run/task",
    try_number: int = 1,
    **settings: Any,
) -> DirectDeliveryReport:
    """
    Change a synced audience directly, in batches of two.

    :param synced: the audience.
    :param mode: ``append``, ``remove`` or ``replace``.
    :param ids: whom to add or remove.
    :param key: identifies the task.
    :param try_number: number of the task's try.
    :param settings: ``ttl``, and other settings of a delivery.
    """
    delivery = DirectDelivery.checked(
        audience_id=synced.audience_id,
        limits=AUDIENCE_LIMITS,
        mode=mode,
        batch_size=2,
        ttl_seconds=None if mode == "remove" else settings.pop("ttl", synced.ttl_seconds),
        max_parallel_requests=1,
        **settings,
    )
    with (
        stage(ValuesInput(chunks=[list(ids)]), rules=StagingRules(), identifier_kind=ID_KIND) as staged,
        synced.open_audience(key=key, try_number=try_number) as audience,
    ):
        return RecordedDelivery(audience).run(delivery, staged)
