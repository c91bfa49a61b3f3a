"""What a client gives to the transport: one API call, and the settings for timeouts and retries."""

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
Returns whether to give a call up, so that no further request is sent. Called before each request but the first, and
about every second of a wait, with the last request's error; the error is None if the call waits because of other calls.
"""


@dataclass(frozen=True, kw_only=True)
class TransportSettings:
    """
    Timeouts and retries of a client.

    :param connect_timeout_seconds: most seconds to connect.
    :param read_timeout_seconds: most seconds until the reply begins, and between two parts of it.
    :param request_deadline_seconds: most seconds for each request, from the look-up of the host name to the reply's
        last byte; None for each call's own deadline.
    :param max_retries: most repetitions of a call after its first request.
    :param backoff_seconds: seconds to wait before the first repetition; the wait doubles each time (1, 2, 4 s).
    :param jitter: whether to add up to a quarter of the wait by chance, so that many tasks don't repeat at once.
    :param max_retry_after_seconds: longest Retry-After, in seconds, that is waited for. Above this, the error is raised
        with the time that the platform asks for, and the task's own retry comes later.
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
    One API call: what to send, and how to read the reply.

    The HTTP verb does not say whether a call may be repeated: AppLovin creates and deletes by GET.

    :param operation: name of the call in messages, such as ``applovin.update``.
    :param method: HTTP verb.
    :param path: path below the base URL, already percent-encoded.
    :param read: returns the result of a reply, or raises the error that the reply means.
    :param query: query parameters, not yet encoded and without the key.
    :param body: body to send; None for no body. The body is masked, as an error's traceback refers to it.
    :param content_type: content type of the body; None for no such header.
    :param headers: further headers that this call needs.
    :param deadline_seconds: most seconds for each request of this call, if the settings have no deadline.
    :param recover: returns the result of an earlier request that was carried out after all; None if there was none.
        Called before a repetition, and before the call fails, if an earlier request may have been carried out. Needed
        for calls that must not be carried out twice; None for all others.
    :param give_up: returns whether to send no further request and raise the error instead; None for a call that is
        never given up.
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
    def request_target(self) -> str:
        """Path and query as in the request line: a space is written ``%20``, a plus sign ``%2B``."""
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.query.items())
        return f"{self.path}?{pairs}" if pairs else self.path
