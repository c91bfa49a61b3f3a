"""
What the AppLovin operators share that send members: how they send, and to what.

Nothing heavy is imported here: DAG files are parsed all the time.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_audiences.common.busy import DEFAULT_WAIT_SECONDS
from airflow_provider_audiences.operators.applovin_base import DEFAULT_BATCH_SIZE, AppLovinOperator

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
    from airflow_provider_audiences.platforms.applovin.suppression import AppLovinSuppressionClient
    from airflow_provider_audiences.sync.destination import DeliveryLimits, Destination


class AppLovinDeliveryOperator(AppLovinOperator):
    """
    Base of the operators that send advertising IDs. :class:`ToAudience` and :class:`ToSuppressionList` say where to.

    :param batch_size: IDs a request, at least 1; default 100,000, about which AppLovin's document asks for.
    :param max_parallel_requests: requests that are under way at the same time, from 1 to 16; default 4.
    :param id_case: case in which IDs are sent: ``lower`` (default) or ``upper``.
    :param wait_for_audience_seconds: how long to wait for another task that changes the same members, in seconds or as
        a timedelta; 0 fails at once.
    """

    target_argument: ClassVar[str]
    """Name of the argument that says where the members go."""

    def __init__(
        self,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        max_parallel_requests: int = 4,
        id_case: Literal["lower", "upper"] = "lower",
        wait_for_audience_seconds: int | str | timedelta = DEFAULT_WAIT_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_size = batch_size
        self.max_parallel_requests = max_parallel_requests
        self.id_case = id_case
        self.wait_for_audience_seconds = wait_for_audience_seconds

    @property
    @abstractmethod
    def delivery_limits(self) -> DeliveryLimits:
        """What the platform takes."""

    @abstractmethod
    def checked_target(self) -> str:
        """
        Return the argument that says where the members go.

        :raises InvalidInputError: it is no such id; nothing was sent.
        """

    @abstractmethod
    def connected(self) -> AbstractContextManager[Any]:
        """Return a client; it is closed with the block."""

    @abstractmethod
    def destination_at(self, client: Any, target: str) -> Destination:
        """
        Return where the members go.

        :param client: from :meth:`connected`.
        :param target: from :meth:`checked_target`.
        """

    @property
    def kind(self) -> AdvertisingIds:
        """
        What members are, and how they are written.

        :raises InvalidInputError: ``id_case`` is neither of both.
        """
        from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

        return AdvertisingIds(id_case=self.id_case)

    @property
    def wait_seconds(self) -> float:
        """
        The argument ``wait_for_audience_seconds``.

        :raises InvalidInputError: it is no such time.
        """
        from airflow_provider_audiences.validation import seconds

        return seconds("wait_for_audience_seconds", self.wait_for_audience_seconds)


class ToAudience(AppLovinDeliveryOperator):
    """For operators whose members go to an audience."""

    target_argument = "audience_id"
    audience_id: str | None

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """What AppLovin takes of an audience."""
        from airflow_provider_audiences.platforms.applovin.audience_destination import AUDIENCE_LIMITS

        return AUDIENCE_LIMITS

    def checked_target(self) -> str:
        """Return the audience's id."""
        from airflow_provider_audiences.validation import audience_id_of

        return audience_id_of(self.audience_id)

    def connected(self) -> AppLovinClient:
        """Return a client of the Audience API."""
        return self.hook.get_conn()

    def destination_at(self, client: AppLovinClient, target: str) -> Destination:
        """Return the audience."""
        from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination

        return AudienceDestination(client, target, kind=self.kind)


class ToSuppressionList(AppLovinDeliveryOperator):
    """For operators whose members go to an app's suppression list."""

    target_argument = "package_name"
    package_name: str

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """What AppLovin takes of a suppression list."""
        from airflow_provider_audiences.platforms.applovin.suppression import SUPPRESSION_LIMITS

        return SUPPRESSION_LIMITS

    def checked_target(self) -> str:
        """Return the app's package name or bundle ID."""
        from airflow_provider_audiences.platforms.applovin.suppression import package_name_of

        return package_name_of(self.package_name)

    def connected(self) -> AppLovinSuppressionClient:
        """Return a client of the Suppression API."""
        return self.hook.get_suppression_conn()

    def destination_at(self, client: AppLovinSuppressionClient, target: str) -> Destination:
        """Return the list."""
        from airflow_provider_audiences.platforms.applovin.suppression import SuppressionDestination

        return SuppressionDestination(client, target, kind=self.kind)
