"""Waits until an AppLovin audience exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from airflow_provider_audiences.triggers.applovin import AppLovinAudienceTrigger


class AppLovinAudienceSensor(PollingSensor):
    """
    Wait until an audience is listed, with enough users if that is asked.

    ``user_count`` lags behind uploads, and IDs without a known user may not count: don't wait for an exact number.

    :param audience_id: id of the audience; either this or ``name`` (templated).
    :param name: its exact name (templated).
    :param platform: ``android`` or ``ios``, in any case; None for either (templated).
    :param min_user_count: least number of users; None for any (templated).
    :param applovin_conn_id: id of the connection (templated).
    :param deferrable: wait in the triggerer.
    :param max_poll_failures: transient failures in a row that are borne.
    :return: ``{audience_id, name, package_name, platform, description, user_count}``.
    :raises InvalidInputError: an argument is empty, was rendered to nothing, or is no such value.
    :raises ConflictError: several audiences have the name.
    :raises AirflowSensorTimeout: not there within ``timeout`` seconds.
    """

    template_fields: Sequence[str] = ("audience_id", "name", "platform", "min_user_count", "applovin_conn_id")
    ui_color = "#e3f0f7"

    def __init__(
        self,
        *,
        audience_id: str | None = None,
        name: str | None = None,
        platform: str | None = None,
        min_user_count: int | None = None,
        applovin_conn_id: str = "applovin_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.name = name
        self.platform = platform
        self.min_user_count = min_user_count
        self.applovin_conn_id = applovin_conn_id

    def trigger_of(self, **polling: Any) -> AppLovinAudienceTrigger:
        """Return the trigger that waits."""
        from airflow_provider_audiences.triggers.applovin import AppLovinAudienceTrigger

        return AppLovinAudienceTrigger(
            conn_id=self.applovin_conn_id,
            audience_id=self.audience_id,
            name=self.name,
            platform=self.platform,
            min_user_count=self.min_user_count,
            **polling,
        )
