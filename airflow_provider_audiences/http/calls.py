"""What a client asks of the transport: one API call, and how patient to be with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

from airflow_provider_audiences.exceptions import TransientError
from airflow_provider_audiences.http.replies import Reply
from airflow_provider_audiences.redaction import MaskedBytes

T = TypeVar("T")

GiveUp = Callable[[TransientError | None], bool]
"""
Asked before each request of a call but the first, and every second of the wait for it, whether there is none: with the
error of the last one, or None if it waits because of other calls.
"""


@dataclass(frozen=True, kw_only=True)
class TransportSettings:
    """
    How patient a client is.

    :param connect_timeout_seconds: for the connection to be made.
    :param read_timeout_seconds: for the reply to begin, and between two parts of it.
    :param request_deadline_seconds: for each request as a whole, from the look-up of the host's name to the last byte
        of the reply; None for what each call has by itself.
    :param max_retries: how often a call is repeated after its first request.
    :param backoff_seconds: wait before the first repetition; it doubles each time (1, 2, 4 s).
    :param jitter: add up to a quarter of the wait by chance, so that many tasks don't come back at once.
    :param max_retry_after_seconds: a Retry-After above this is not slept through: the error is raised, with
        what the platform asked for, and the task's own retry comes later.
    """

    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 120.0
    request_deadline_seconds: float | None = None
    max_retries: int = 3
    backoff_seconds: float = 1.0
    jitter: bool = True
    max_retry_after_seconds: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """
    One API call: what to send, and how to read the answer.

    What may be repeated is a property of the call, not of its HTTP verb: AppLovin creates and deletes by GET.

    :param operation: its name in messages, such as ``applovin.update``.
    :param method: HTTP verb.
    :param path: below the base URL, already percent-encoded.
    :param read: turns a reply into the result, or raises the error that it means.
    :param query: parameters, not yet encoded; the key is not among them.
    :param body: what to send, or None; masked, since it hangs on frames that an error keeps.
    :param content_type: of the body.
    :param headers: that this call needs besides.
    :param deadline_seconds: for each request of this call as a whole, if the settings don't say it.
    :param recover: for a call that must not be sent twice. Called before a repetition, and before giving
        up, when an earlier request may have been applied: returns its result if it was, None if not.
    :param give_up: true: there is no further request, and the error is raised. For a caller who knows better what to
        do, or has to stop.
    """

    operation: str
    method: str
    path: str
    read: Callable[[Reply], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: MaskedBytes | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline_seconds: float = 60.0
    recover: Callable[[], T | None] | None = None
    give_up: GiveUp | None = None

    @property
    def target(self) -> str:
        """Path and query, as they stand in the request line: a space is ``%20``, a plus ``%2B``."""
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.query.items())
        return f"{self.path}?{pairs}" if pairs else self.path
