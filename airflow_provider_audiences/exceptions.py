"""
Every error that this provider raises, as one tree.

The split is what a caller can do about it: an error below :class:`PermanentError` comes back however
often the same call is repeated; one below :class:`TransientError` may not::

    AudienceApiError
    ├── PermanentError              do not repeat: mend the input, the connection or the platform's side
    │   ├── InvalidInputError       refused here, before the first request (also a ValueError)
    │   ├── BadRequestError         the platform found the request malformed (400 and other 4xx)
    │   ├── AuthenticationError     wrong key, or not allowed (401, 403)
    │   ├── NotFoundError           no such audience, group, table or API (404)
    │   ├── ConflictError           something with the same parameters exists (406), or a name is not unique
    │   ├── GuardError              a sync would change more than its guards allow; nothing was sent
    │   ├── LedgerLostError         what a sync has sent so far can't be told: its ledger is damaged or missing
    │   ├── PlanOutdatedError       a stored plan no longer fits the audience; nothing was sent
    │   ├── GroupRejectedError      PAI checked the group and refused it, or it stayed too small
    │   ├── GroupNotReadyError      PAI has not finished its check of a new group in time
    │   └── UnexpectedReplyError    the answer is not the API's: another server, a proxy, a redirect
    └── TransientError              the client has repeated it already; a later task try may succeed
        ├── RateLimitedError        429 or Throttling
        ├── ServerError             5xx, or the server gave up (408)
        ├── ConnectionFailedError   no connection, no reply in time, or a reply that was cut off
        ├── AudienceBusyError       another sync of the same audience is under way; nothing was sent
        ├── SourceUnavailableError  not the platform: what has the members failed, or they come late
        ├── StateUnavailableError   not the platform: the place where syncs keep their ledgers failed
        ├── TaskStoppedError        not the platform: Airflow has ended the task
        └── WorkspaceUnavailableError   not the platform: this worker's temporary folder is full, or failed

In an Airflow task a permanent error is also an ``AirflowFailException``: it burns no retry.

Neither secrets nor members appear in a message: what the platform wrote is redacted before it gets here.
"""

from __future__ import annotations

from typing import ClassVar, Literal

__all__ = [
    "AudienceApiError",
    "AudienceBusyError",
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


class AudienceApiError(Exception):
    """
    Root of the tree; its text is one line that a person on call can act on.

    :param message: what failed, without secrets and members.
    :param operation: the API's operation, such as ``applovin.update``; None before the first request.
    :param http_status: HTTP status of the last reply; None without one.
    :param api_code: the code in the reply's body, if it had one.
    :param request_id: the platform's id of the last request, for its support.
    :param attempts: how many requests were sent for this call.
    :param maybe_applied: whether the platform may have carried the request out although it failed.
    :param too_large: whether a smaller request may get through: ``likely`` if the platform said so or ran out of
        time, ``maybe`` if it failed or the connection broke, ``no`` if the size has nothing to do with it.
    :param retry_after_seconds: how long the platform asked to wait; None if it did not.
    :param advice: one sentence: what to do; by default what fits errors of this type.
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
        # Whatever it quotes, logs have to write it.
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
        self.landed: str | None = None
        """What the platform had accepted before this failure, for work of more than one request."""

    @property
    def facts(self) -> str:
        """The bracketed facts of the message: status, code, request id, attempts."""
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
        sentences = [text, self.landed, self.advice]
        return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)


class PermanentError(AudienceApiError):
    """Sending the same again can't succeed."""


class InvalidInputError(PermanentError, ValueError):
    """Refused before the first request: the message says what is wrong, where, and what to do."""


class BadRequestError(PermanentError):
    """The platform found the request malformed."""

    default_advice = "Check the parameters of the call."


class AuthenticationError(PermanentError):
    """The key is wrong, or it may not do this."""

    default_advice = "Check the key in the connection's password, and what it may do."


class NotFoundError(PermanentError):
    """The audience, group, table or API does not exist."""

    default_advice = "Check the id: list what exists."


class ConflictError(PermanentError):
    """Something with the same parameters exists, or more than one thing fits."""

    default_advice = "Use another name, or go on with what exists."


class GroupRejectedError(PermanentError):
    """PAI refused the group after its check, or its final size is below what was asked for."""

    default_advice = "Mend the group's source, then create a new group: a rejected one stays rejected."


class GroupNotReadyError(PermanentError):
    """A new group was not ready in time. Making another one is billed, so that is not done by itself."""

    default_advice = "Look at the group in the PAI console; clear the task to make a new one, or raise its timeout."


class GuardError(PermanentError):
    """A sync would change more than its guards allow; no member was sent."""

    default_advice = "Check the source. If the change is meant, override the guard for this run."


class LedgerLostError(PermanentError):
    """The ledger of an audience is damaged, missing, or another audience's; nothing was sent."""

    default_advice = (
        "Restore it from a backup of state_path; or run once with on_lost_ledger='replace' (the audience's whole "
        "content becomes the source) or 'rebuild' (the source is sent, and nobody is removed who is not known)."
    )


class PlanOutdatedError(PermanentError):
    """A stored plan no longer fits the audience; nothing was sent."""

    default_advice = "Make a new plan."


class UnexpectedReplyError(PermanentError):
    """The reply did not come from the API: another server, a login page, a redirect."""

    default_advice = "Check the connection's host, and proxies between this worker and the platform."


class TransientError(AudienceApiError):
    """May succeed later; the client has repeated it as often as its settings allow."""


class RateLimitedError(TransientError):
    """Too many requests; nothing was applied."""

    default_advice = "Try again later, or send fewer requests at once."


class ServerError(TransientError):
    """The platform failed or gave up on the request."""

    default_advice = "Try again later; if it persists, give the request id to the platform's support."


class ConnectionFailedError(TransientError):
    """No connection, no reply in time, or a reply that was cut off."""

    default_advice = "Check that this worker reaches the connection's host, then try again."


class SourceUnavailableError(TransientError):
    """The database or server that has the members failed, or they are not there yet; nothing was sent."""

    default_advice = "Check the source's connection and its database, then try again."


class AudienceBusyError(TransientError):
    """Another sync of the same audience is under way; nothing was sent."""

    default_advice = "Let it end, then try again; max_active_runs=1 on the DAG keeps its own runs apart."


class StateUnavailableError(TransientError):
    """The place where syncs keep their ledgers failed, or was not reached."""

    default_advice = "Check [audiences] state_path, its connection, and that this worker may write there."


class TaskStoppedError(TransientError):
    """Airflow has ended the task, or the worker that ran it; what was begun may still take effect."""

    default_advice = "The task's next try, or the next run, goes on from there."


class WorkspaceUnavailableError(TransientError):
    """The worker has no room left in its temporary folder, no memory, or no open files."""

    default_advice = (
        "Make room there, or set [audiences] temp_folder to a folder on a larger disk; a later try goes on from what "
        "was written down."
    )
