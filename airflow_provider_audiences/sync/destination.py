"""
The interface between a sync and a platform: what a sync needs of any platform that has audiences.

A sync knows sets, plans and ledgers; a destination knows one audience at one platform. It writes batches of members as
its API takes them, sends them, and returns how the platform counted them. There is no registry: an operator makes its
destination, and passes it to the sync.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from airflow_provider_audiences.http.calls import GiveUp
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind

NO_EXPIRY_SECONDS = 2**32
"""Stands for a TTL where members stay until they are removed: beyond the latest time that a ledger can hold."""


_OF_ACCOUNT = " account "


@dataclass(frozen=True, kw_only=True)
class AudienceAddress:
    """
    Identifies an audience among all platforms, hosts and accounts.

    :param api: API that the audience belongs to, such as ``applovin`` or ``applovin-suppression``.
    :param host: host of the API, without scheme.
    :param audience_id: id of the audience at that host.
    :param account: what tells accounts apart that have the same id; empty if an id is one account's.
    """

    api: str
    host: str
    audience_id: str
    account: str = ""

    @property
    def folders(self) -> tuple[str, str, str]:
        """Names of the nested folders in which the audience's state is stored."""
        # No host has a space in it, so no host and account read as others do.
        place = f"{self.host}{_OF_ACCOUNT}{self.account}" if self.account else self.host
        return self.api, place, self.audience_id

    @classmethod
    def from_folders(cls, api: str, place: str, audience_id: str) -> Self:
        """
        Return the address that has these :attr:`folders`.

        :param api: name of the first folder.
        :param place: name of the second folder: host, and account if there is one.
        :param audience_id: name of the third folder.
        """
        host, _, account = place.partition(_OF_ACCOUNT)
        return cls(api=api, host=host, audience_id=audience_id, account=account)


@dataclass(frozen=True, kw_only=True)
class DeliveryLimits:
    """
    What a platform accepts, and what it can do.

    :param max_batch_size: most members in one request; None if the platform names no limit.
    :param max_parallel_requests: most requests at the same time.
    :param late_effect_seconds: longest time that a request may still take effect after the platform has received all of
        it, or the client has given it up.
    :param max_request_seconds: longest time from the beginning of a request until the client gives it up. It counts if
        another process may be in the middle of one.
    :param default_ttl_seconds: how long members stay if a request gives no TTL. None if members stay until they are
        removed: then no request has a TTL, and members are never refreshed.
    :param can_replace: whether one request can replace the audience's whole content.
    :param min_split_size: most members of a batch that is never halved. Larger ones are, if the platform can't finish
        them in time. Default 1,000, which is less than 100 kB: a platform that gives up on so few has other troubles,
        and halving on would only turn one failure into thousands of requests.
    """

    max_batch_size: int | None
    max_parallel_requests: int
    late_effect_seconds: int
    max_request_seconds: int
    default_ttl_seconds: int | None
    can_replace: bool
    min_split_size: int = 1_000

    @property
    def orphan_effect_seconds(self) -> int:
        """Longest time that requests of a process may still take effect after another one has taken over from it."""
        return self.max_request_seconds + self.late_effect_seconds

    @property
    def ttl_seconds(self) -> int:
        """
        How long members stay that are sent without a TTL; :data:`NO_EXPIRY_SECONDS` if they stay until they are
        removed.
        """
        return NO_EXPIRY_SECONDS if self.default_ttl_seconds is None else self.default_ttl_seconds


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """
    What became of one batch that the platform has accepted.

    :param valid: number of its members that the platform counts as valid; None if it does not say.
    :param invalid: number of its members that the platform rejected; None if it does not say.
    :param body_bytes: size of the request's body, in bytes.
    :param after_lost_try: whether an earlier request with the same body may have been carried out too, or may still be.
    """

    valid: int | None
    invalid: int | None
    body_bytes: int
    after_lost_try: bool = False


class Destination(Protocol):
    """
    One audience at one platform. All methods may be called by several threads at once.

    A request that returns is carried out: the ledger takes its members as added or removed. An API that only accepts a
    job, and may still fail afterwards, needs a client that waits for the job before it returns. Members whom the
    platform rejects, and counts in the result, are taken as added too: sent again, they would be rejected again.

    All requests are set operations, so sending one twice has the effect of sending it once. A failed method raises an
    error of :mod:`airflow_provider_audiences.exceptions`; its ``maybe_applied`` says whether the platform may have
    carried the request out.

    :ivar platform_name: name of the platform, for messages.
    :ivar rejection_hint: question to ask about members that the platform rejects although they are well formed, for
        the log.
    :ivar limits: what the platform accepts, and what it can do.
    """

    platform_name: str
    rejection_hint: str
    limits: DeliveryLimits

    @property
    def address(self) -> AudienceAddress:
        """Identifies the audience; its state is stored under this address."""

    @property
    def identifier_kind(self) -> IdentifierKind:
        """The identifier kind of the audience's members."""

    @property
    def max_member_bytes(self) -> int:
        """Most bytes that a member takes in a request's body."""

    @property
    def requests_sent(self) -> int:
        """Number of requests sent so far through this destination's client, repetitions included."""

    def add(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:
        """
        Add members. For those who are in the audience already, their TTL begins again.

        :param batch: members to add.
        :param ttl_seconds: how long the members stay; None for the platform's default. Ignored if members have no TTL.
        :param give_up: called before a repetition, and while it is waited for; if it returns true, there is no
            repetition.
        """

    def remove(self, batch: MemberBatch, *, give_up: GiveUp) -> BatchResult:
        """
        Remove members. Members who are not in the audience are no error.

        :param batch: members to remove.
        :param give_up: as for :meth:`add`.
        """

    def replace(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:
        """
        Replace the audience's whole content; only called if the limits say ``can_replace``.

        :param batch: all members to have; empty to empty the audience.
        :param ttl_seconds: as for :meth:`add`.
        :param give_up: as for :meth:`add`.
        """

    def member_count(self) -> int | None:
        """
        Return the number of members that the platform counts, which may lag behind; None if the platform does not say.

        :raises NotFoundError: the account has no such audience.
        """
