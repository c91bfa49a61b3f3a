"""Trigger that waits for an AppLovin audience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.triggers.polling import PollingTrigger

if TYPE_CHECKING:
    from airflow_provider_audiences.hooks.applovin import AppLovinHook
    from airflow_provider_audiences.platforms.applovin.polls import AudiencePoll


class AppLovinAudienceTrigger(PollingTrigger):
    """
    Polls AppLovin's list until the audience is in it, with enough users.

    The other arguments are those of :class:`~airflow_provider_audiences.triggers.polling.PollingTrigger`.

    :param audience_id: id of the audience; give either this or ``name``.
    :param name: exact name of the audience.
    :param platform: ``android`` or ``ios``; None (default) for both.
    :param min_user_count: least number of users; None (default) for any.
    """

    arguments: ClassVar[Sequence[str]] = ("audience_id", "name", "platform", "min_user_count")

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

    @staticmethod
    def hook_class() -> type[AppLovinHook]:
        """Return the class of AppLovin's hook."""
        from airflow_provider_audiences.hooks.applovin import AppLovinHook

        return AppLovinHook

    def poll(self) -> AudiencePoll:
        """
        Return the poll of AppLovin's list.

        :raises InvalidInputError: an argument is wrong.
        """
        from airflow_provider_audiences.platforms.applovin.polls import AudiencePoll

        return AudiencePoll(
            audience_id=self.audience_id, name=self.name, platform=self.platform, min_user_count=self.min_user_count
        )
