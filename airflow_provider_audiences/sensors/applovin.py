"""Sensor that waits until an AppLovin audience exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_audiences.common.task_arguments import SensorArguments
from airflow_provider_audiences.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from airflow_provider_audiences.triggers.applovin import AppLovinAudienceTrigger


class AppLovinAudienceSensor(PollingSensor):
    """
    Wait until AppLovin lists an audience, and until it has enough users if ``min_user_count`` is given.

    ``user_count`` lags behind uploads, and IDs of unknown users may not count: don't wait for an exact number.

    :param audience_id: id of the audience; give either this or ``name`` (templated).
    :param name: exact name of the audience (templated).
    :param platform: ``android`` or ``ios``, in any case; None (default) for both (templated).
    :param min_user_count: least number of users; None (default) for any (templated).
    :param applovin_conn_id: Airflow connection of the type ``applovin``; default ``applovin_default`` (templated).
    :param deferrable: wait in the triggerer, without a worker slot; default Airflow's ``[operators]
        default_deferrable``.
    :param max_poll_failures: how many polls in a row may fail for a passing reason, such as a server error; default 5.
    :return: ``{audience_id, name, package_name, platform, description, user_count}``.
    :raises InvalidInputError: an argument is empty, was rendered to nothing, or has an impossible value.
    :raises ConflictError: several audiences have the name.
    :raises AirflowSensorTimeout: the audience was not there within ``timeout`` seconds.
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
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.name = name
        self.platform = platform
        self.min_user_count = min_user_count
        self.applovin_conn_id = applovin_conn_id

    def trigger_of(self, **polling: Any) -> AppLovinAudienceTrigger:
        """
        Return the trigger that polls for this sensor.

        :param polling: arguments of :class:`~airflow_provider_audiences.triggers.polling.PollingTrigger`, except the
            connection.
        """
        from airflow_provider_audiences.triggers.applovin import AppLovinAudienceTrigger

        return AppLovinAudienceTrigger(
            conn_id=self.applovin_conn_id,
            audience_id=self.audience_id,
            name=self.name,
            platform=self.platform,
            min_user_count=self.min_user_count,
            **polling,
        )
