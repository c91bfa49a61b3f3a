"""
Base classes of the AppLovin operators that send members: what a member is, and where members go.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_audiences.common.targets import AUDIENCE, SUPPRESSION_LIST
from airflow_provider_audiences.operators.applovin_base import AppLovinOperator
from airflow_provider_audiences.operators.delivery_base import DeliveryOperator

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
    from airflow_provider_audiences.platforms.applovin.suppression import AppLovinSuppressionClient
    from airflow_provider_audiences.sync.destination import DeliveryLimits, Destination

DEFAULT_BATCH_SIZE = 100_000
"""AppLovin's document asks for blocks of about 100,000 users a request."""


class AppLovinDeliveryOperator(AppLovinOperator, DeliveryOperator):
    """
    Base of the operators that send advertising IDs.

    A concrete operator takes its target from :class:`AppLovinAudienceOperator` or
    :class:`AppLovinSuppressionListOperator`, and what it does from
    :class:`~airflow_provider_audiences.operators.sync_base.SyncOperator`,
    :class:`~airflow_provider_audiences.operators.stateful_base.StoredPlanOperator` or
    :class:`~airflow_provider_audiences.operators.direct_delivery_base.DirectDeliveryOperator`.

    :param batch_size: most IDs in one request, at least 1; default 100,000.
    :param id_case: letter case of the IDs that are sent: ``lower`` (default) or ``upper``.
    """

    def __init__(
        self, *, batch_size: int = DEFAULT_BATCH_SIZE, id_case: Literal["lower", "upper"] = "lower", **kwargs: Any
    ) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        self.id_case = id_case

    @property
    def identifier_kind(self) -> AdvertisingIds:
        """
        Identifier kind of the members: advertising IDs, written in the letter case of ``id_case``.

        :raises InvalidInputError: ``id_case`` is neither ``lower`` nor ``upper``.
        """
        from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

        return AdvertisingIds(id_case=self.id_case)


class AppLovinAudienceOperator(AppLovinDeliveryOperator):
    """Base of the operators that send members to an audience."""

    target_argument = "audience_id"
    target_kind = AUDIENCE
    target_arguments: ClassVar[tuple[str, ...]] = ("audience_id",)
    audience_id: str | None

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """Limits of AppLovin's Audience API."""
        from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS

        return AUDIENCE_LIMITS

    def target_id(self) -> str:
        """Return the audience's id."""
        from airflow_provider_audiences.platforms.applovin.audiences import audience_id_of

        return audience_id_of(self.audience_id)

    def open_client(self, *, notes_errors: bool = True) -> AppLovinClient:
        """Return a client of the Audience API, as a context manager that closes it."""
        return self.hook.get_conn(notes_errors=notes_errors)

    def destination_at(self, client: AppLovinClient, target: str) -> Destination:
        """Return the audience as a destination."""
        from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination

        return AudienceDestination(client, target, identifier_kind=self.identifier_kind)


class AppLovinSuppressionListOperator(AppLovinDeliveryOperator):
    """Base of the operators that send members to an app's suppression list."""

    target_argument = "package_name"
    target_kind = SUPPRESSION_LIST
    target_arguments = ("package_name",)
    package_name: str

    @property
    def delivery_limits(self) -> DeliveryLimits:
        """Limits of AppLovin's Suppression API."""
        from airflow_provider_audiences.platforms.applovin.suppression import SUPPRESSION_LIMITS

        return SUPPRESSION_LIMITS

    def target_id(self) -> str:
        """Return the app's package name or bundle ID."""
        from airflow_provider_audiences.platforms.applovin.audiences import package_name_of

        return package_name_of(self.package_name)

    def open_client(self, *, notes_errors: bool = True) -> AppLovinSuppressionClient:
        """Return a client of the Suppression API, as a context manager that closes it."""
        return self.hook.get_suppression_conn(notes_errors=notes_errors)

    def destination_at(self, client: AppLovinSuppressionClient, target: str) -> Destination:
        """Return the suppression list as a destination."""
        from airflow_provider_audiences.platforms.applovin.suppression import SuppressionDestination

        return SuppressionDestination(client, target, identifier_kind=self.identifier_kind, account=self.account)
