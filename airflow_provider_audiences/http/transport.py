"""One call, as many requests as it takes, and what the failure of a request means."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests

from airflow_provider_audiences.exceptions import AudienceApiError
from airflow_provider_audiences.http.bodies import whole_body
from airflow_provider_audiences.http.calls import Call, TransportSettings
from airflow_provider_audiences.http.connection_failures import REQUEST_ERRORS, connection_failure
from airflow_provider_audiences.http.error_budget import AccountErrors, ErrorBudget
from airflow_provider_audiences.http.exchange import Exchange, under_way
from airflow_provider_audiences.http.rate_limiter import RateLimiter
from airflow_provider_audiences.http.repetition import Repetition
from airflow_provider_audiences.http.replies import Reply
from airflow_provider_audiences.redaction import Redactor, forget_locals, forgetting_locals

T = TypeVar("T")
Observer = Callable[[str, BaseException | None], None]
"""Told the operation of each request, and the error that it came to; None for success."""


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
        repetition = Repetition(call, settings=self.settings, errors=self._errors, sleep=self._sleep)
        try:
            result: T = repetition.retrying()(self._attempt, call, repetition)
        except AudienceApiError as error:
            if error.operation is None:
                # This one was not sent; those before it may have been carried out.
                error.operation, error.attempts = call.operation, repetition.attempts
                error.maybe_applied = repetition.maybe_applied
                raise
            # An error of another operation comes from the look itself, which has just failed.
            found = self._recovered(call, repetition) if error.operation == call.operation else None
            if found is not None:
                return found
            raise
        else:
            return result

    def _attempt(self, call: Call[T], repetition: Repetition) -> T:
        repetition.begin_attempt()
        found = self._recovered(call, repetition)
        if found is not None:
            return found
        with self._errors.turn(
            call.operation,
            is_patient=self.settings.max_retries > 0,
            is_wanted=repetition.is_wanted,
            pause=self._sleep,
        ):
            if self._limiter:
                self._limiter.acquire()
            return self._one_request(call, repetition)

    def _one_request(self, call: Call[T], repetition: Repetition) -> T:
        repetition.attempts += 1
        try:
            result = call.read(self._exchange(call, repetition))
        except AudienceApiError as error:
            self._observe(call.operation, error)
            repetition.failed(error)
            raise
        except BaseException as error:
            # Such as a task's timeout: the request may have been sent.
            self._observe(call.operation, error)
            raise
        self._observe(call.operation, None)
        return result

    def _recovered(self, call: Call[T], repetition: Repetition) -> T | None:
        """Return the result of an earlier request that was carried out after all; None if there is none."""
        if call.recover is None or not repetition.maybe_applied:
            return None
        try:
            return call.recover()
        except AudienceApiError as error:
            error.maybe_applied = True
            error.landed = f"An earlier {call.operation} may have been carried out, and could not be looked up."
            raise

    def _exchange(self, call: Call[T], repetition: Repetition) -> Reply:
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
                    attempts=repetition.attempts,
                    after_lost_try=repetition.maybe_applied,
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
            self.base_url + call.target,
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
