"""An AppLovin audience as the destination of a sync."""

from __future__ import annotations

from airflow_provider_audiences.exceptions import NotFoundError
from airflow_provider_audiences.http.calls import GiveUp
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.platforms.applovin.defaults import (
    AUDIENCE_LIMITS,
    PLATFORM_NAME,
    REJECTION_HINT,
    with_deadline,
)
from airflow_provider_audiences.sync.destination import AudienceAddress, BatchResult


class AudienceDestination:
    """
    An AppLovin audience; a :class:`~airflow_provider_audiences.sync.destination.Destination`.

    :param client: client of the audience's account.
    :param audience_id: id of the audience.
    :param identifier_kind: advertising IDs, in the case in which they are written.
    """

    platform_name = PLATFORM_NAME
    rejection_hint = REJECTION_HINT
    limits = AUDIENCE_LIMITS

    def __init__(self, client: AppLovinClient, audience_id: str, *, identifier_kind: AdvertisingIds) -> None:
        self._client = client
        self.limits = with_deadline(self.limits, client.request_deadline_seconds)
        self._audience_id = audience_id
        self.identifier_kind = identifier_kind
        self.max_member_bytes = identifier_kind.line_bytes
        self.address = AudienceAddress(api="applovin", host=client.host, audience_id=audience_id)

    @property
    def requests_sent(self) -> int:
        """Number of requests that the client has sent so far."""
        return self._client.requests_sent

    def add(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:
        """Add members, by the API's append."""
        return self._client.append_users(
            audience_id=self._audience_id, advertising_ids=batch.lines(), ttl_seconds=ttl_seconds, give_up=give_up
        )

    def remove(self, batch: MemberBatch, *, give_up: GiveUp) -> BatchResult:
        """Remove members, by an append with a TTL of 0."""
        return self._client.append_users(
            audience_id=self._audience_id, advertising_ids=batch.lines(), ttl_seconds=0, give_up=give_up
        )

    def replace(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:
        """Replace the content, by the API's update."""
        return self._client.update_audience(
            audience_id=self._audience_id, advertising_ids=batch.lines(), ttl_seconds=ttl_seconds, give_up=give_up
        )

    def member_count(self) -> int | None:
        """Return the user count in the account's list of audiences."""
        for audience in self._client.list_audiences():
            if audience.audience_id == self._audience_id:
                return audience.user_count
        raise NotFoundError(f"the account has no audience {self._audience_id}")
