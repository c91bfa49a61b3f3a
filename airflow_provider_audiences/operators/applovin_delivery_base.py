"""
Base classes of the AppLovin operators that send members: one says how they are sent, two say where to.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
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
    Base of the operators that send advertising IDs.

    A concrete operator takes its target from :class:`ToAudience` or :class:`ToSuppressionList`.

    :param batch_size: most IDs in one request, at least 1; default 100,000, which AppLovin recommends. A batch that
        AppLovin can't finish in time is halved, and so are the batches after it.
    :param max_parallel_requests: requests in flight at the same time, from 1 to 16; default 4.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    :param wait_for_audience_seconds: longest wait for another task that is changing the same members, in seconds or as
        a timedelta; default one hour, 0 fails at once.
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
        """Limits of the platform for this kind of target, such as the most requests at the same time."""

    @abstractmethod
    def checked_target(self) -> str:
        """
        Return the id of the target: the audience's id, or the app's package name.

        :raises InvalidInputError: the argument is no such id; nothing was sent.
        """

    @abstractmethod
    def connected(self) -> AbstractContextManager[Any]:
        """Return a client of the target's API, as a context manager that closes it."""

    @abstractmethod
    def destination_at(self, client: Any, target: str) -> Destination:
        """
        Return the destination that members are sent to.

        :param client: client that :meth:`connected` opened.
        :param target: id that :meth:`checked_target` returned.
        """

    @property
    def kind(self) -> AdvertisingIds:
        """
        Identifier kind of the members: advertising IDs, written in the letter case of ``id_case``.

        :raises InvalidInputError: ``id_case`` is neither ``lower`` nor ``upper``.
        """
        from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

        return AdvertisingIds(id_case=self.id_case)

    @property
    def wait_seconds(self) -> float:
        """
        ``wait_for_audience_seconds`` as a number of seconds.

        :raises InvalidInputError: the argument is negative, or not a length of time.
        """
        from airflow_provider_audiences.validation import seconds

        return seconds("wait_for_audience_seconds", self.wait_for_audience_seconds)


class ToAudience(AppLovinDeliveryOperator):
    """Mixin for operators that send members to an audience."""

    target_argument = "audience_id"
    audience_id: str | None

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """Limits of AppLovin's Audience API."""
        from airflow_provider_audiences.platforms.applovin.audience_destination import AUDIENCE_LIMITS

        return AUDIENCE_LIMITS

    def checked_target(self) -> str:
        """Return the audience's id."""
        from airflow_provider_audiences.validation import audience_id_of

        return audience_id_of(self.audience_id)

    def connected(self) -> AppLovinClient:
        """Return a client of the Audience API, as a context manager that closes it."""
        return self.hook.get_conn()

    def destination_at(self, client: AppLovinClient, target: str) -> Destination:
        """Return the audience as a destination."""
        from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination

        return AudienceDestination(client, target, kind=self.kind)


class ToSuppressionList(AppLovinDeliveryOperator):
    """Mixin for operators that send members to an app's suppression list."""

    target_argument = "package_name"
    package_name: str

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """Limits of AppLovin's Suppression API."""
        from airflow_provider_audiences.platforms.applovin.suppression import SUPPRESSION_LIMITS

        return SUPPRESSION_LIMITS

    def checked_target(self) -> str:
        """Return the app's package name or bundle ID."""
        from airflow_provider_audiences.platforms.applovin.suppression import package_name_of

        return package_name_of(self.package_name)

    def connected(self) -> AppLovinSuppressionClient:
        """Return a client of the Suppression API, as a context manager that closes it."""
        return self.hook.get_suppression_conn()

    def destination_at(self, client: AppLovinSuppressionClient, target: str) -> Destination:
        """Return the suppression list as a destination."""
        from airflow_provider_audiences.platforms.applovin.suppression import SuppressionDestination

        return SuppressionDestination(client, target, kind=self.kind)
