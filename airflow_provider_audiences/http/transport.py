"""
One request, as often as it takes: retries, Retry-After, timeouts and what a failure means.

What may be repeated is a property of the call, not of its HTTP verb (AppLovin creates and deletes by GET).
The retry loop asks the error's type only; whether a request whose fate is unknown may go out again is the
call's ``recover``: it looks whether the first one was carried out after all.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Self, TypeVar
from urllib.parse import quote

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_audiences.exceptions import (
    AudienceApiError,
    RateLimitedError,
    TransientError,
)
from airflow_provider_audiences.http.bodies import whole_body
from airflow_provider_audiences.http.connection_failures import REQUEST_ERRORS, connection_failure
from airflow_provider_audiences.http.error_budget import AccountErrors, ErrorBudget
from airflow_provider_audiences.http.exchange import Exchange, under_way
from airflow_provider_audiences.http.rate_limiter import RateLimiter
from airflow_provider_audiences.http.replies import Reply
from airflow_provider_audiences.redaction import MaskedBytes, Redactor, forget_locals, forgetting_locals

log = logging.getLogger(__name__)

T = TypeVar("T")
GiveUp = Callable[[TransientError | None], bool]
"""Asked before each request of a call but the first, and every second of the wait for it, whether there is none: with
the error of the last one, or None if it waits because of other calls."""
Observer = Callable[[str, BaseException | None], None]
"""Told the operation of each request, and the error that it came to; None for success."""

_MOST_DOUBLINGS = 10

_RETRIES_WHEN_LIMITED = 1
"""How often a request is repeated that came too soon, if the platform does not say when it would not."""

_PAUSE_SECONDS = 1.0
"""How often a wait looks whether it is still wanted."""


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


@dataclass
class _Progress:
    attempts: int = 0
    maybe_applied: bool = False
    error: TransientError | None = None
    limited: int = 0
    """Requests that were too many, and nobody said for how long."""
    failures_before: int = 0
    """Of the account, in a row, when the call began."""


def _says_not_when(error: TransientError) -> bool:
    return isinstance(error, RateLimitedError) and error.retry_after_seconds is None


class Transport:
    """
    Sends calls to one base URL.

    :param base_url: scheme, host, port and path prefix, without a final slash.
    :param session: a pooled session that authenticates by itself.
    :param settings: timeouts and retries.
    :param redact: cleans what a server writes into headers; without, one that knows no secret and no member.
    :param limiter: asked for a turn before each request.
    :param sleep: waits between attempts; tests may shorten it.
    :param observe: told the outcome of each request: the operation, and the error or None.
    :param errors: the account's budget for errors; without, one of its own for any number.
    """

    def __init__(
        self,
        *,
        base_url: str,
        session: requests.Session,
        settings: TransportSettings,
        redact: Redactor | None = None,
        limiter: RateLimiter | None = None,
        sleep: Callable[[float], None] = time.sleep,
        observe: Observer | None = None,
        errors: ErrorBudget | None = None,
    ) -> None:
        self.base_url = base_url
        self.settings = settings
        self._session = session
        self._redact = redact or Redactor(None, ())
        self._limiter = limiter
        self._sleep = sleep
        self._observe = observe or (lambda _operation, _error: None)
        self._errors = errors or ErrorBudget(AccountErrors(), max_errors=None)
        self._requests_sent = 0
        self._lock = threading.Lock()

    @property
    def requests_sent(self) -> int:
        """Requests sent so far by all threads, repetitions included."""
        return self._requests_sent

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def send(self, call: Call[T]) -> T:
        """
        Send a call until it succeeds, fails for good, or its retries are used up.

        :param call: what to send.
        :return: what the call's ``read`` made of the reply.
        :raises AudienceApiError: what the reply, or the lack of one, means; the frames it has passed are empty.
        """
        with forgetting_locals():
            return self._sent(call)

    def _sent(self, call: Call[T]) -> T:
        progress = _Progress(failures_before=self._errors.failures_in_a_row)
        # Retrying refers to itself, and stays until the garbage collector comes: it must not hold the call's body.
        retrying = Retrying(
            retry=retry_if_exception(partial(self._may_repeat, operation=call.operation, progress=progress)),
            stop=stop_after_attempt(1 + self.settings.max_retries),
            wait=partial(self._wait_seconds, progress=progress),
            sleep=partial(self._pause, give_up=call.give_up, progress=progress),
            reraise=True,
        )
        try:
            result: T = retrying(self._attempt, call, progress)
        except AudienceApiError as error:
            if error.operation is None:
                # This one was not sent; those before it may have been carried out.
                error.operation, error.attempts = call.operation, progress.attempts
                error.maybe_applied = progress.maybe_applied
                raise
            # An error of another operation comes from the look itself, which has just failed.
            found = self._recovered(call, progress) if error.operation == call.operation else None
            if found is not None:
                return found
            raise
        else:
            return result

    def _attempt(self, call: Call[T], progress: _Progress) -> T:
        progress.error = None  # one that is kept keeps its traceback, and so the body
        found = self._recovered(call, progress)
        if found is not None:
            return found
        with self._errors.turn(
            call.operation,
            is_patient=self.settings.max_retries > 0,
            is_wanted=lambda: call.give_up is None or not call.give_up(None),
            pause=self._sleep,
        ):
            if self._limiter:
                self._limiter.acquire()
            return self._one_request(call, progress)

    def _one_request(self, call: Call[T], progress: _Progress) -> T:
        progress.attempts += 1
        try:
            result = call.read(self._exchange(call, progress))
        except AudienceApiError as error:
            self._observe(call.operation, error)
            # A call within this one, such as a look at the list, has put its own name on its error, and says
            # nothing about what became of this one.
            if error.operation in {None, call.operation}:
                error.operation = call.operation
                error.attempts = progress.attempts
                progress.maybe_applied |= error.maybe_applied
            error.maybe_applied = progress.maybe_applied
            if isinstance(error, TransientError):
                progress.error = error
                progress.limited += _says_not_when(error)
                if error.operation == call.operation and self.settings.max_retries:
                    self._errors.failed(self._backoff_seconds(error, progress))
            raise
        except BaseException as error:
            # Such as a task's timeout: the request may have been sent.
            self._observe(call.operation, error)
            raise
        self._observe(call.operation, None)
        return result

    def _recovered(self, call: Call[T], progress: _Progress) -> T | None:
        if call.recover is None or not progress.maybe_applied:
            return None
        try:
            return call.recover()
        except AudienceApiError as error:
            error.maybe_applied = True
            error.landed = f"An earlier {call.operation} may have been carried out, and could not be looked up."
            raise

    def _may_repeat(self, error: BaseException, operation: str, progress: _Progress) -> bool:
        # A call within this one has used its own retries up.
        if not isinstance(error, TransientError) or error.operation != operation:
            return False
        if (error.retry_after_seconds or 0) > self.settings.max_retry_after_seconds:
            return False
        # Of one that does not say when: nobody knows when it would be taken, and asking makes it worse.
        if _says_not_when(error) and progress.limited > _RETRIES_WHEN_LIMITED:
            return False
        # What other threads have tried meanwhile, this one need not find out again.
        return self._failures(progress) <= self.settings.max_retries

    def _failures(self, progress: _Progress) -> int:
        """Return how often the account has failed in a row since a call began, in whichever thread."""
        return max(progress.attempts, self._errors.failures_in_a_row - progress.failures_before)

    def _pause(self, seconds: float, give_up: GiveUp | None, progress: _Progress) -> None:
        """Wait for the repetition, or raise the last error if there is to be none: the only place that asks."""
        _raise_if_given_up(progress.error, give_up)
        # As text: a handler that keeps records would keep the error, its traceback, and so the body.
        log.warning("%s Trying again in %.1f s.", str(progress.error), seconds)
        step = _PAUSE_SECONDS if give_up else seconds
        while seconds > 0:
            self._sleep(min(seconds, step))
            seconds -= step
            _raise_if_given_up(progress.error, give_up)

    def _wait_seconds(self, state: RetryCallState, progress: _Progress) -> float:
        error = state.outcome.exception() if state.outcome else None
        wait = self._backoff_seconds(error, progress)
        # Chance for spreading load, not for secrets.
        return wait + (random.uniform(0, wait / 4) if self.settings.jitter else 0.0)  # noqa: S311

    def _backoff_seconds(self, error: BaseException | None, progress: _Progress) -> float:
        backoff: float = self.settings.backoff_seconds * 2 ** (min(self._failures(progress), _MOST_DOUBLINGS) - 1)
        asked = error.retry_after_seconds if isinstance(error, TransientError) else None
        return max(backoff, min(asked or 0.0, self.settings.max_retry_after_seconds))

    def _exchange(self, call: Call[T], progress: _Progress) -> Reply:
        with self._lock:
            self._requests_sent += 1
        exchange = Exchange(
            deadline_seconds=self.settings.request_deadline_seconds or call.deadline_seconds,
            connect_timeout_seconds=self.settings.connect_timeout_seconds,
            silence_seconds=self.settings.read_timeout_seconds,
        )
        failure: AudienceApiError
        handled_by_caller = sys.exception()
        try:
            with under_way(exchange), self._response(call) as response:
                return Reply.from_response(
                    response,
                    body=whole_body(response),
                    redact=self._redact,
                    attempts=progress.attempts,
                    after_lost_try=progress.maybe_applied,
                )
        except AudienceApiError as error:
            # Of the credentials, or of the body.
            failure = error.with_traceback(None)
        except REQUEST_ERRORS as error:
            failure = connection_failure(error, exchange)
            forget_locals(error, until=handled_by_caller)
        # Raised outside the handler: requests' error would be its context, with the request in it. A frame that
        # held on to the error would be a circle, and keep the body.
        try:
            raise failure
        finally:
            del failure

    @contextmanager
    def _response(self, call: Call[T]) -> Iterator[requests.Response]:
        """Send a request; the block reads the reply, and what it does not read is gone with its connection."""
        response = self._session.request(
            call.method,
            self.base_url + call.path + encode_query(call.query),
            data=call.body or None,  # an empty one is none: requests would send it in chunks
            headers={**call.headers, **({"Content-Type": call.content_type} if call.content_type else {})},
            timeout=(self.settings.connect_timeout_seconds, self.settings.read_timeout_seconds),
            allow_redirects=False,
            stream=True,
        )
        try:
            yield response
        finally:
            response.close()


class ApiClient:
    """
    What the clients of both APIs share: a transport, closed with the client.

    :param transport: sends the calls.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, repetitions included."""
        return self._transport.requests_sent

    @property
    def host(self) -> str:
        """Host, port and path prefix that requests go to."""
        return self._transport.base_url.partition("://")[2]


def _raise_if_given_up(error: TransientError | None, give_up: GiveUp | None) -> None:
    if error and give_up and give_up(error):
        raise error


def encode_query(query: Mapping[str, str]) -> str:
    """
    Encode parameters as AppLovin and Alibaba expect it: a space as ``%20``, a plus as ``%2B``.

    :param query: names and values.
    :return: the query with its question mark, or nothing.
    """
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    return f"?{pairs}" if pairs else ""
