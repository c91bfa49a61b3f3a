"""Waits for an AppLovin audience in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.triggers.polling import PollingTrigger
from airflow_provider_audiences.waiting.looks import Request, Sighting, Steps, Watch

if TYPE_CHECKING:
    from airflow_provider_audiences.common.connections import ConnectionLike
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient


def open_client(connection: ConnectionLike) -> AppLovinClient:
    """
    Open a client that sends each request once: waiting is the repetition.

    :param connection: the Airflow connection.
    """
    from airflow_provider_audiences.hooks.applovin import AppLovinHook

    return AppLovinHook.client_of(connection, max_retries=0)


class AppLovinAudienceTrigger(PollingTrigger):
    """
    Polls the list until the audience is in it, with enough users.

    :param conn_id: id of the AppLovin connection.
    :param audience_id: id of the audience; or None, to look by name.
    :param name: its exact name.
    :param platform: ``android`` or ``ios``; None for either.
    :param min_user_count: least number of users; None for any.
    :param poll_interval_seconds: wait between the first two looks; it doubles from look to look.
    :param max_poll_interval_seconds: the wait grows to this; None to keep it as it is.
    :param deadline_epoch_seconds: when to give up, in seconds since 1970 (UTC).
    :param max_poll_failures: transient failures in a row that are borne.
    :param first_look_epoch_seconds: no look before that; 0: at once.
    :param jitter: make each wait up to a fifth longer, so that triggers that began together don't look together.
    :param passed_on: small JSON that the event carries back to the operator.
    """

    open_client = staticmethod(open_client)

    def __init__(
        self,
        *,
        audience_id: str | None = None,
        name: str | None = None,
        platform: str | None = None,
        min_user_count: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience_id = audience_id
        self.name = name
        self.platform = platform
        self.min_user_count = min_user_count

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as JSON."""
        return (
            "airflow_provider_audiences.triggers.applovin.AppLovinAudienceTrigger",
            {
                **self.polling_arguments(),
                "audience_id": self.audience_id,
                "name": self.name,
                "platform": self.platform,
                "min_user_count": self.min_user_count,
            },
        )

    def watch(self) -> Watch:
        """
        Return what looks at the list.

        :raises InvalidInputError: an argument is wrong.
        """
        from airflow_provider_audiences.platforms.applovin.presence import PresenceRule

        rule = PresenceRule.of(
            audience_id=self.audience_id,
            name=self.name,
            platform=self.platform,
            min_user_count=self.min_user_count,
        )

        def look(client: AppLovinClient) -> Steps:
            presence = rule.assess((yield Request(send=client.list_audiences)))
            return Sighting(
                state="ready" if presence.is_ready else "waiting",
                reason=presence.reason,
                seen=presence.audience.as_dict() if presence.audience else None,
            )

        return look
