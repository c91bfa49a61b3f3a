"""
What the operators share that make an AppLovin audience equal a source.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_audiences.common.busy import DEFAULT_WAIT_SECONDS
from airflow_provider_audiences.operators.applovin_base import DEFAULT_BATCH_SIZE, AppLovinOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
    from airflow_provider_audiences.sync.audience_sync import AudienceSync
    from airflow_provider_audiences.sync.destination import DeliveryLimits, Destination
    from airflow_provider_audiences.sync.report import SyncReport
    from airflow_provider_audiences.sync.settings import SendSettings


class AppLovinPlanOperator(AppLovinOperator):
    """
    What the operators share that carry plans out: how they send, and what comes of it.

    :param batch_size: IDs a request.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16.
    :param id_case: case in which IDs are sent.
    :param max_drift: warn if AppLovin's count differs by more than this part; None for no warning.
    :param drift_patience_seconds: how long to look again before the warning, in seconds or as a timedelta.
    :param wait_for_audience_seconds: how long to wait for another sync of the audience, in seconds or as a timedelta.
    """

    limits = frozenset(
        {"max_removed_ratio", "max_added_ratio", "max_removed", "max_added", "max_malformed_ratio", "max_drift"}
    )

    def __init__(
        self,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        max_parallel_requests: int = 4,
        id_case: Literal["lower", "upper"] = "lower",
        max_drift: float | None = 0.05,
        drift_patience_seconds: int | timedelta = 60,
        wait_for_audience_seconds: int | str | timedelta = DEFAULT_WAIT_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_audience_seconds = wait_for_audience_seconds
        self.batch_size = batch_size
        self.max_parallel_requests = max_parallel_requests
        self.id_case = id_case
        self.max_drift = max_drift
        self.drift_patience_seconds = drift_patience_seconds

    def send_settings(self) -> SendSettings:
        """Return how plans are sent; whatever is wrong is told here, before the first request."""
        from airflow_provider_audiences.common.state import check_state_path
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.settings import SendSettings

        staging_settings()
        check_state_path(self)
        self.kind  # noqa: B018 - it may be wrong
        self._wait_seconds  # noqa: B018 - it may be wrong
        return SendSettings.checked(
            limits=self.delivery_limits,
            batch_size=self.batch_size,
            max_parallel_requests=self.max_parallel_requests,
            max_drift=self.max_drift,
            drift_patience_seconds=self.drift_patience_seconds,
        )

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """What the platform takes: here, of an audience."""
        from airflow_provider_audiences.platforms.applovin.audience_destination import AUDIENCE_LIMITS

        return AUDIENCE_LIMITS

    @property
    def kind(self) -> AdvertisingIds:
        """What members are, and how they are written."""
        from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

        return AdvertisingIds(id_case=self.id_case)

    @property
    def _wait_seconds(self) -> float:
        from airflow_provider_audiences.validation import seconds

        return seconds("wait_for_audience_seconds", self.wait_for_audience_seconds)

    @contextmanager
    def open_sync(
        self,
        context: Context,
        destination: Destination,
        send: SendSettings,
        *,
        may_reschedule: bool = True,
    ) -> Iterator[AudienceSync]:
        """
        Hold an audience, and yield what syncs it.

        :param context: the task's context.
        :param destination: of the audience.
        :param send: how plans are sent.
        :param may_reschedule: whether the task has done nothing yet that would have to be done again.
        :raises AudienceBusyError: another sync of it is under way.
        """
        from airflow_provider_audiences.common.busy import wait_for_audience
        from airflow_provider_audiences.common.progress import progress_of
        from airflow_provider_audiences.common.state import holder_of, state_folder
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.audience_sync import AudienceSync
        from airflow_provider_audiences.sync.held import held_audience

        with held_audience(
            destination,
            state_folder(*destination.address.folders),
            holder=holder_of(context),
            wait=wait_for_audience(context, seconds=self._wait_seconds, may_reschedule=may_reschedule),
            staging=staging_settings(),
        ) as held:
            yield AudienceSync(held, send=send, on_progress=progress_of(context))

    def shown(self, report: SyncReport) -> dict[str, Any]:
        """
        Log a report, and return it as what the task returns.

        :param report: of a sync.
        """
        for line in report.lines():
            self.log.info("%s", line)
        return report.as_dict()
