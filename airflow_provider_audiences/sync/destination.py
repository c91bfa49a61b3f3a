"""
The seam between a sync and a platform: what a sync needs of whatever holds an audience.

A sync knows sets, plans and ledgers; a destination knows one audience at one platform. It takes bodies (members in
their written form, one a line), and says how the platform counted them. Nothing is registered anywhere: an operator
makes the destination, and hands it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airflow_provider_audiences.http.transport import GiveUp
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.redaction import MaskedBytes

NO_EXPIRY_SECONDS = 2**32
"""In place of a TTL, where members stay until they are removed: longer than any ledger can say."""


@dataclass(frozen=True, kw_only=True)
class AudienceAddress:
    """
    Which audience it is, in all the world.

    :param platform: the kind of audience, such as ``applovin``.
    :param host: of the API, without scheme.
    :param audience_id: its id there.
    """

    platform: str
    host: str
    audience_id: str

    @property
    def folders(self) -> tuple[str, str, str]:
        """Names of the folders, one within the other, in which its state lies."""
        return self.platform, self.host, self.audience_id


@dataclass(frozen=True, kw_only=True)
class DeliveryLimits:
    """
    What a platform takes, and what it can do.

    :param max_parallel_requests: requests under way at the same time, at most.
    :param late_effect_seconds: how long after it was sent a request may still take effect.
    :param default_ttl_seconds: how long members stay unless a request says otherwise; None where they stay until they
        are removed: no request has a TTL then, and nobody is ever refreshed.
    :param can_replace: whether one request can replace the whole content.
    """

    max_parallel_requests: int
    late_effect_seconds: int
    default_ttl_seconds: int | None
    can_replace: bool

    @property
    def ttl_seconds(self) -> int:
        """How long members stay that are sent without a TTL."""
        return NO_EXPIRY_SECONDS if self.default_ttl_seconds is None else self.default_ttl_seconds


@dataclass(frozen=True, kw_only=True)
class UploadCounts:
    """
    How the platform counted one body.

    :param valid: members that it took.
    :param invalid: members that it refused.
    :param after_lost_try: whether an earlier request with them may have been carried out as well, or may still be.
    """

    valid: int
    invalid: int
    after_lost_try: bool = False


class Destination(Protocol):
    """
    One audience at one platform. All methods may be called by several threads at once.

    A request that is sent twice does what one does: each of them is a set operation. What fails raises an error of
    :mod:`airflow_provider_audiences.exceptions`, which says whether it may have been carried out all the same.

    :ivar platform_name: of the platform, for messages.
    :ivar limits: what the platform takes.
    """

    platform_name: str
    limits: DeliveryLimits

    @property
    def address(self) -> AudienceAddress:
        """Which audience it is."""

    @property
    def kind(self) -> IdentifierKind:
        """What its members are, and how they are written."""

    @property
    def requests_sent(self) -> int:
        """Requests sent so far to this platform's account, repetitions included."""

    def add(self, body: MaskedBytes, *, ttl_seconds: int | None, give_up: GiveUp) -> UploadCounts:
        """
        Add members; the time of those who are there begins again.

        :param body: members, one a line.
        :param ttl_seconds: how long they stay; None for the platform's default. Ignored where members have no TTL.
        :param give_up: asked before the request is repeated, and while it waits for that.
        """

    def remove(self, body: MaskedBytes, *, give_up: GiveUp) -> UploadCounts:
        """
        Remove members; those who are not there are no error.

        :param body: members, one a line.
        :param give_up: as for :meth:`add`.
        """

    def replace(self, body: MaskedBytes, *, ttl_seconds: int | None, give_up: GiveUp) -> UploadCounts:
        """
        Make some members the whole content; only called if the limits say that it can.

        :param body: members, one a line; empty for nobody.
        :param ttl_seconds: as for :meth:`add`.
        :param give_up: as for :meth:`add`.
        """

    def member_count(self) -> int | None:
        """
        Return how many members the platform counts, which may lag; None if it does not say.

        :raises NotFoundError: the account has no such audience.
        """
