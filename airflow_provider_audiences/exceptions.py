"""
Every error that this provider raises, as one tree.

The tree is split by what a caller can do. If a call raised a :class:`PermanentError`, repeating it raises the same
error again; after a :class:`TransientError`, a later try may succeed::

    AudienceError
    ├── PermanentError              do not repeat: first mend the input, the connection, or something at the platform
    │   ├── InvalidInputError       refused by this package, before the first request (also a ValueError)
    │   ├── BadRequestError         the platform found the request malformed (400 and other 4xx)
    │   ├── AuthenticationError     wrong key, or not allowed (401, 403)
    │   ├── NotFoundError           no such audience, group, table or API (404)
    │   ├── ConflictError           something with the same parameters exists (406), or several have the name
    │   ├── GuardError              a sync would change more than its guards allow; nothing was sent
    │   ├── LedgerLostError         it is not known what syncs have sent so far: the ledger is damaged or missing
    │   ├── PlanOutdatedError       a stored plan no longer fits the audience; nothing was sent
    │   ├── GroupRejectedError      PAI checked the group and refused it, or it stayed too small
    │   ├── GroupNotReadyError      PAI did not finish its check of a new group in time
    │   └── UnexpectedReplyError    the reply is not from the API: another server, a proxy, a redirect
    └── TransientError              the client has repeated the call already; a later try of the task may succeed
        ├── RateLimitedError        429 or Throttling
        ├── ServerError             5xx, or the server gave up (408)
        ├── ConnectionFailedError   no connection, no reply in time, or a reply that was cut off
        ├── AudienceBusyError       another sync of the same audience is under way; nothing was sent
        ├── SourceUnavailableError  not the platform: the source's database or server failed, or its data is late
        ├── StateUnavailableError   not the platform: the place where ledgers are stored failed
        ├── TaskStoppedError        not the platform: Airflow has ended the task
        └── WorkspaceUnavailableError   not the platform: this worker has no room, memory or open files left

In an Airflow task, a permanent error is also an ``AirflowFailException``, so the task fails without further retries.

No message has secrets or members in it: text of the platform is redacted before it is put into an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

__all__ = [
    "AudienceBusyError",
    "AudienceError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "ConnectionFailedError",
    "GroupNotReadyError",
    "GroupRejectedError",
    "GuardError",
    "InvalidInputError",
    "LedgerLostError",
    "NotFoundError",
    "PermanentError",
    "PlanOutdatedError",
    "RateLimitedError",
    "ServerError",
    "SourceUnavailableError",
    "StateUnavailableError",
    "TaskStoppedError",
    "TransientError",
    "UnexpectedReplyError",
    "WorkspaceUnavailableError",
]


class AudienceError(Exception):
    """
    Base class of all errors. Its text is one line with everything that a person on call needs.

    :param message: what failed, without secrets and members.
    :param operation: operation of the API, such as ``applovin.update``; None if no request was sent.
    :param http_status: HTTP status of the last reply; None if there was no reply.
    :param api_code: code in the reply's body; None if it has none.
    :param request_id: the platform's id of the last request, for its support; None if there is none.
    :param attempts: number of requests that were sent for this call.
    :param maybe_applied: whether the platform may have carried the request out although it failed.
    :param too_large: whether a smaller request may succeed: ``likely`` if the platform said so or ran out of time,
        ``maybe`` if it failed or the connection broke, ``no`` if the failure has nothing to do with the size.
    :param retry_after_seconds: how long the platform asked to wait; None if it did not ask.
    :param advice: what to do, in a sentence; None for the advice of the error's type.
    """

    default_advice: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        http_status: int | None = None,
        api_code: int | str | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        maybe_applied: bool = False,
        too_large: Literal["no", "maybe", "likely"] = "no",
        retry_after_seconds: float | None = None,
        advice: str | None = None,
    ) -> None:
        # Lone surrogates in quoted text would break logging.
        message = message.encode("utf-8", errors="backslashreplace").decode()
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.http_status = http_status
        self.api_code = api_code
        self.request_id = request_id
        self.attempts = attempts
        self.maybe_applied = maybe_applied
        self.too_large = too_large
        self.retry_after_seconds = retry_after_seconds
        self.advice = advice or self.default_advice
        self.so_far: str | None = None
        """
        What was done before this failure, as a sentence, such as how many batches were accepted; None if there is
        nothing to say, as after a single request.
        """

    @property
    def facts(self) -> str:
        """The facts in brackets at the end of the message: HTTP status, code, request id, attempts."""
        named = {
            "HTTP": self.http_status,
            "code": self.api_code if self.api_code != self.http_status else None,
            "request id": self.request_id,
            "attempts": self.attempts or None,
        }
        return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)

    def __str__(self) -> str:
        text = f"{self.operation}: {self.message}" if self.operation else self.message
        if self.facts:
            text += f" [{self.facts}]"
        sentences = [text, self.so_far, self.advice]
        return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)


class PermanentError(AudienceError):
    """Repeating the same call can't succeed."""


class InvalidInputError(PermanentError, ValueError):
    """The input was refused before the first request; the message says what is wrong, where, and what to do."""


class BadRequestError(PermanentError):
    """The platform rejected the request as malformed."""

    default_advice = "Check the parameters of the call."


class AuthenticationError(PermanentError):
    """The key is wrong, or does not permit the call."""

    default_advice = "Check the key in the connection's password, and what it may do."


class NotFoundError(PermanentError):
    """The audience, group, table or API does not exist."""

    default_advice = "Check the id: list what exists."


class ConflictError(PermanentError):
    """Something with the same parameters exists, or several things fit."""

    default_advice = "Use another name, or go on with what exists."


class GroupRejectedError(PermanentError):
    """PAI rejected the group after its check, or fewer people are in it than were asked for."""

    default_advice = "Mend the group's source, then create a new group: a rejected one stays rejected."


class GroupNotReadyError(PermanentError):
    """A new group was not ready in time. Making another one would be billed, so the task does not retry by itself."""

    default_advice = "Look at the group in the PAI console; clear the task to make a new one, or raise its timeout."


class GuardError(PermanentError):
    """
    A sync would change more than its guards allow; no member was sent.

    :ivar guard: name of the operator's argument that stopped it; None if it is none of the limits.
    :ivar report: the plan's counts and all verdicts, as JSON; None if no plan was made.
    """

    guard: str | None = None
    report: Mapping[str, Any] | None = None

    default_advice = "Check the source. If the change is meant, override the guard for this run."


class LedgerLostError(PermanentError):
    """The ledger of an audience is damaged or missing, or is another audience's; nothing was sent."""

    default_advice = (
        "Restore it from a backup of state_path; or run once with on_lost_ledger='rebuild' (the source is sent, and "
        "nobody is removed who is not known) or, where the platform can replace the content, 'replace' (the source "
        "becomes the audience's whole content)."
    )


class PlanOutdatedError(PermanentError):
    """A stored plan no longer fits the audience; nothing was sent."""

    default_advice = "Make a new plan."


class UnexpectedReplyError(PermanentError):
    """The reply did not come from the API, but from another server, a login page, or a redirect."""

    default_advice = "Check the connection's host, and proxies between this worker and the platform."


class TransientError(AudienceError):
    """A later try may succeed; the client has repeated the call as often as its settings allow."""


class RateLimitedError(TransientError):
    """There were too many requests; this one was not carried out."""

    default_advice = "Try again later, or send fewer requests at once."


class ServerError(TransientError):
    """The platform failed, or gave up on the request."""

    default_advice = "Try again later; if it persists, give the request id to the platform's support."


class ConnectionFailedError(TransientError):
    """There was no connection, no reply in time, or a reply that was cut off."""

    default_advice = "Check that this worker reaches the connection's host, then try again."


class SourceUnavailableError(TransientError):
    """The source's database or server failed, or its data is not there yet; nothing was sent."""

    default_advice = "Check the source's connection and its database, then try again."


class AudienceBusyError(TransientError):
    """Another sync of the same audience is under way; nothing was sent."""

    default_advice = "Let it end, then try again; max_active_runs=1 on the DAG keeps its own runs apart."


class StateUnavailableError(TransientError):
    """The place where ledgers and plans are stored failed, or could not be reached."""

    default_advice = "Check [audiences] state_path, its connection, and that this worker may write there."


class TaskStoppedError(TransientError):
    """Airflow has ended the task, or the worker that ran it; requests in flight may still take effect."""

    default_advice = "The task's next try, or the next run, goes on from there."


class WorkspaceUnavailableError(TransientError):
    """The worker has no room left in its temporary folder, no memory, or no open files."""

    default_advice = (
        "Make room there, or set [audiences] temp_folder to a folder on a larger disk; a later try goes on from what "
        "was written down."
    )
