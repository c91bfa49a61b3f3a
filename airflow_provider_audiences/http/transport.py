"""Sending a call: as many requests as needed, with each failure turned into an error of this package."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import requests

from airflow_provider_audiences.exceptions import AudienceError
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
"""Called after each request with its operation, and its error; None for success."""


class Transport:
    """
    Sends calls to one base URL.

    :param base_url: scheme, host, port and path prefix, without a final slash.
    :param session: pooled session that adds the credentials to each request.
    :param settings: timeouts and retries.
    :param redact: removes secrets and members from texts of the server; None for a redactor that knows neither.
    :param request_id_headers: headers of replies that may have the platform's id of the request, best first.
    :param limiter: delays each request to keep to a rate limit; None for no limit.
    :param sleep: sleeps for the given number of seconds between attempts; tests may shorten it.
    :param observe: called after each request with its operation and its error, which is None for success.
    :param error_budget: the account's error budget; None for a new budget without a limit.
    """

    def __init__(
        self,
        *,
        base_url: str,
        session: requests.Session,
        settings: TransportSettings,
        redact: Redactor | None = None,
        request_id_headers: Sequence[str] = ("x-request-id",),
        limiter: RateLimiter | None = None,
        sleep: Callable[[float], None] = time.sleep,
        observe: Observer | None = None,
        error_budget: ErrorBudget | None = None,
    ) -> None:
        self.base_url = base_url
        self.settings = settings
        self._session = session
        self._redact = redact or Redactor(None, ())
        self._request_id_headers = request_id_headers
        self._limiter = limiter
        self._sleep = sleep
        self._observe = observe or (lambda _operation, _error: None)
        self._error_budget = error_budget or ErrorBudget(AccountErrors(), max_errors=None)
        self._requests_sent = 0
        self._lock = threading.Lock()

    @property
    def requests_sent(self) -> int:
        """Number of requests sent so far by all threads, repetitions included."""
        return self._requests_sent

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def send(self, call: Call[T]) -> T:
        """
        Send a call until it succeeds, fails permanently, or was repeated as often as allowed.

        :param call: the call to send.
        :return: result of the call's ``read`` for the reply.
        :raises AudienceError: the call failed. The frames in the error's traceback hold no local variables.
        """
        with forgetting_locals():
            return self._send_with_recovery(call)

    def _send_with_recovery(self, call: Call[T]) -> T:
        repetition = Repetition(call, settings=self.settings, error_budget=self._error_budget, sleep=self._sleep)
        try:
            result: T = repetition.retrying()(self._attempt, call, repetition)
        except AudienceError as error:
            if error.operation is None:
                # This request was not sent, but an earlier request of the call may have been carried out.
                error.operation, error.attempts = call.operation, repetition.attempts
                error.maybe_applied = repetition.maybe_applied
                raise
            # An error of another operation comes from ``recover`` itself, so calling it again makes no sense.
            found = self._recover(call, repetition) if error.operation == call.operation else None
            if found is not None:
                return found
            raise
        else:
            return result

    def _attempt(self, call: Call[T], repetition: Repetition) -> T:
        repetition.begin_attempt()
        found = self._recover(call, repetition)
        if found is not None:
            return found
        with self._error_budget.admit(
            call.operation,
            waits_for_others=self.settings.max_retries > 0,
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
        except AudienceError as error:
            self._observe(call.operation, error)
            repetition.failed(error)
            raise
        except BaseException as error:
            # For example a task's timeout: the request may have been sent.
            self._observe(call.operation, error)
            raise
        self._observe(call.operation, None)
        return result

    def _recover(self, call: Call[T], repetition: Repetition) -> T | None:
        """Return the result of an earlier request that was carried out although it failed; None if there is none."""
        if call.recover is None or not repetition.maybe_applied:
            return None
        try:
            return call.recover()
        except AudienceError as error:
            error.maybe_applied = True
            error.so_far = f"An earlier {call.operation} may have been carried out, and could not be looked up."
            raise

    def _exchange(self, call: Call[T], repetition: Repetition) -> Reply:
        with self._lock:
            self._requests_sent += 1
        exchange = Exchange(
            deadline_seconds=self.settings.request_deadline_seconds or call.deadline_seconds,
            connect_timeout_seconds=self.settings.connect_timeout_seconds,
            silence_seconds=self.settings.read_timeout_seconds,
        )
        failure: AudienceError
        handled_by_caller = sys.exception()
        try:
            with under_way(exchange), self._response(call) as response:
                return Reply.from_response(
                    response,
                    body=whole_body(response),
                    redact=self._redact,
                    request_id_headers=self._request_id_headers,
                    attempts=repetition.attempts,
                    after_lost_try=repetition.maybe_applied,
                )
        except AudienceError as error:
            # The session's credentials could not be read, or the reply's body was refused.
            failure = error.with_traceback(None)
        except REQUEST_ERRORS as error:
            failure = connection_failure(error, exchange)
            forget_locals(error, until=handled_by_caller)
        # The failure is raised outside the handler: otherwise its context would be the library's error, which holds
        # the request. The name is deleted, as a frame that refers to its own error would keep the body in memory.
        try:
            raise failure
        finally:
            del failure

    @contextmanager
    def _response(self, call: Call[T]) -> Iterator[requests.Response]:
        """Send a request; the block reads the reply. A reply that is not read to its end costs the connection."""
        response = self._session.request(
            call.method,
            self.base_url + call.request_target,
            data=call.body or None,  # requests would send an empty body in chunks
            headers={**call.headers, **({"Content-Type": call.content_type} if call.content_type else {})},
            timeout=(self.settings.connect_timeout_seconds, self.settings.read_timeout_seconds),
            allow_redirects=False,
            stream=True,
        )
        try:
            yield response
        finally:
            response.close()
