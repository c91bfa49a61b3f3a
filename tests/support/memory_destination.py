"""A platform in memory, and its audience as a destination of syncs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from airflow_provider_audiences.exceptions import NotFoundError, ServerError
from airflow_provider_audiences.http.calls import GiveUp
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds, IdentifierKind
from airflow_provider_audiences.sync.destination import AudienceAddress, BatchResult, DeliveryLimits

WITH_TTL = DeliveryLimits(
    max_batch_size=None,
    max_parallel_requests=16,
    late_effect_seconds=100,
    max_request_seconds=0,
    default_ttl_seconds=31_536_000,
    can_replace=True,
)
WITHOUT_TTL = DeliveryLimits(
    max_batch_size=None,
    max_parallel_requests=16,
    late_effect_seconds=100,
    max_request_seconds=0,
    default_ttl_seconds=None,
    can_replace=False,
)
_ADDRESS = AudienceAddress(api="memory", host="here", audience_id="a")
_KIND = AdvertisingIds()


@dataclass
class Post:
    """A request with members: ``update``, ``append`` or ``remove``."""

    operation: str
    ids: list[str]
    ttl_seconds: int | None
    status: int | None = None
    """Of the reply, over HTTP; None without one."""


@dataclass
class MemoryPlatform:
    """Holds one audience; its clock is that of the syncs too."""

    limits: DeliveryLimits = WITH_TTL
    counts_members: bool = True
    is_missing: bool = False
    is_down: bool = False
    _expiries: dict[str, float] = field(default_factory=dict)
    _shift_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        return time.time() + self._shift_seconds

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self._shift_seconds += seconds

    def copied(self) -> MemoryPlatform:
        """Return a platform with the same members, and the same time."""
        with self._lock:
            return replace(self, _expiries=dict(self._expiries), _lock=threading.Lock())

    def members(self) -> list[str]:
        """Who lives."""
        now = self.now()
        with self._lock:
            return sorted(member for member, expiry in self._expiries.items() if expiry > now)

    def carry_out(self, operation: str, ids: Iterable[str], ttl_seconds: int | None) -> None:
        """Change the audience, as a request does."""
        is_for_good = self.limits.default_ttl_seconds is None or ttl_seconds is None
        until = float("inf") if is_for_good else self.now() + (ttl_seconds or 0)
        with self._lock:
            if operation == "update":
                self._expiries.clear()
            for member in ids:
                if operation == "remove":
                    self._expiries.pop(member, None)
                else:
                    self._expiries[member] = until


@dataclass
class MemoryDestination:
    """
    The audience as one client sees it.

    ``before`` and ``after`` act around each request: one that raises ends it, before it is carried out or with its
    reply lost.
    """

    platform: MemoryPlatform = field(default_factory=MemoryPlatform)
    platform_name: str = "Memory"
    rejection_hint: str = "are they known there?"
    address: AudienceAddress = _ADDRESS
    identifier_kind: IdentifierKind = _KIND
    requests_sent: int = 0
    posts: list[Post] = field(default_factory=list)
    before: Callable[[Post], None] = lambda _post: None
    after: Callable[[Post], None] = lambda _post: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def limits(self) -> DeliveryLimits:
        return self.platform.limits

    @property
    def max_member_bytes(self) -> int:
        return self.identifier_kind.line_bytes

    def clear(self) -> None:
        """Forget the posts and the hooks."""
        self.posts.clear()
        self.before = self.after = lambda _post: None

    def _post(self, operation: str, batch: MemberBatch, ttl_seconds: int | None) -> BatchResult:
        post = Post(operation, batch.texts(), ttl_seconds)
        with self._lock:
            self.requests_sent += 1
        self.before(post)
        with self._lock:
            self.posts.append(post)
        self.platform.carry_out(operation, post.ids, ttl_seconds)
        post.status = 200
        self.after(post)
        return BatchResult(valid=len(post.ids), invalid=0, body_bytes=len(batch.lines()))

    def add(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        return self._post("append", batch, ttl_seconds)

    def remove(self, batch: MemberBatch, *, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        return self._post("remove", batch, 0)

    def replace(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        assert self.limits.can_replace
        return self._post("update", batch, ttl_seconds)

    def member_count(self) -> int | None:
        with self._lock:
            self.requests_sent += 1
        if self.platform.is_down:
            raise ServerError("the platform is down")
        if self.platform.is_missing:
            raise NotFoundError("there is no such audience")
        return len(self.platform.members()) if self.platform.counts_members else None
