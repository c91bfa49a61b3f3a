"""Settings of a sync: the operators' arguments, checked before any other work."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sync.destination import DeliveryLimits
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.validation import (
    Checked,
    Rules,
    one_of,
    ratio,
    true_or_false,
    whole_number,
    whole_seconds,
)

log = logging.getLogger(__name__)

SyncMode = Literal["mirror", "append", "replace"]
Initial = Literal["fail", "append", "replace"]
OnLostLedger = Literal["fail", "replace", "rebuild"]

_MAX_REFRESH_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    """
    Settings that decide what a sync changes; :meth:`checked` makes them from a user's arguments.

    :param mode: ``mirror`` (add and remove), ``append`` (add only) or ``replace`` (send everything).
    :param ttl_seconds: time that a member stays in the audience after it was sent, in seconds.
    :param refresh_before_seconds: members that expire within this time are sent again, in seconds.
    :param initial: what to do about members of unknown origin at the first sync: ``fail``, ``append`` or ``replace``.
    :param on_lost_ledger: what to do if the ledger can't be read: ``fail``, ``replace`` or ``rebuild``.
    :param guards: limits of what a plan may change.
    :param run_date: dates of the run; None if it has none.
    :param allow_older_run: whether the run may undo changes of a newer run.
    :param release_held_back: whether to add members again that were removed directly.
    """

    mode: SyncMode
    ttl_seconds: int
    refresh_before_seconds: int
    initial: Initial
    on_lost_ledger: OnLostLedger
    guards: Guards
    run_date: RunDate | None = None
    allow_older_run: bool = False
    release_held_back: bool = False

    @classmethod
    def checked(
        cls,
        *,
        limits: DeliveryLimits,
        mode: Any,
        ttl_seconds: Any,
        refresh_before_seconds: Any,
        next_run_seconds: float | None,
        initial: Any,
        on_lost_ledger: Any,
        guards: Guards,
        run_date: RunDate | None = None,
        allow_older_run: Any = False,
        release_held_back: Any = False,
    ) -> SyncSettings:
        """
        Return the settings of a user's arguments after checking them.

        :param limits: what the platform accepts, and what it can do.
        :param mode: ``mirror``, ``append``, or ``replace`` if the platform can replace.
        :param ttl_seconds: seconds, at least 1, or a timedelta; None for the platform's default.
        :param refresh_before_seconds: seconds, at least 0, or a timedelta; None for a tenth of the TTL, and at most 7
            days.
        :param next_run_seconds: seconds until the next run; members that would expire before it are refreshed. None if
            that is not known.
        :param initial: ``fail``, ``append`` or ``replace``.
        :param on_lost_ledger: ``fail``, ``replace`` or ``rebuild``.
        :param guards: limits of what a plan may change.
        :param run_date: dates of the run; None if it has none.
        :param allow_older_run: True or False, also as text (as templates render it).
        :param release_held_back: True or False, also as text (as templates render it).
        :raises InvalidInputError: an argument is not of that form.
        """
        ttl, refresh = limits.ttl_seconds, 0
        if limits.default_ttl_seconds is not None:
            ttl = ttl if ttl_seconds is None else whole_seconds("ttl_seconds", ttl_seconds, at_least=1)
            refresh = _refresh_seconds(ttl, refresh_before_seconds, next_run_seconds)
        elif ttl_seconds is not None or refresh_before_seconds is not None:
            raise InvalidInputError("members of this audience have no TTL: leave out what says how long they stay")

        def without_replace(words: Any) -> tuple[str, ...]:
            return tuple(word for word in get_args(words) if limits.can_replace or word != "replace")

        return cls(
            mode=one_of("mode", mode, without_replace(SyncMode)),  # type: ignore[arg-type] # it is one of them
            ttl_seconds=ttl,
            refresh_before_seconds=refresh,
            initial=one_of("initial", initial, without_replace(Initial)),  # type: ignore[arg-type]
            on_lost_ledger=one_of("on_lost_ledger", on_lost_ledger, without_replace(OnLostLedger)),  # type: ignore[arg-type]
            guards=guards,
            run_date=run_date,
            allow_older_run=true_or_false("allow_older_run", allow_older_run),
            release_held_back=true_or_false("release_held_back", release_held_back),
        )

    @property
    def accepts_unknown_members(self) -> bool:
        """Whether the user accepts that members stay in the audience whom no ledger knows."""
        return "append" in {self.initial, self.mode}


def _refresh_seconds(ttl: int, given: Any, next_run_seconds: float | None) -> int:
    """Return the time before a member's expiry at which the member is sent again, in seconds."""
    if given is None:
        refresh = min(ttl // 10, _MAX_REFRESH_SECONDS)
    else:
        refresh = whole_seconds("refresh_before_seconds", given, at_least=0)
    if next_run_seconds is not None:
        if next_run_seconds >= ttl:
            log.warning(
                "ttl_seconds=%d ends before the next run, in %.0f s: members will be missing in between.",
                ttl, next_run_seconds,
            )  # fmt: skip
        # The next run may begin late, and takes some time.
        refresh = max(refresh, int(next_run_seconds + max(3600, next_run_seconds / 10)))
    if refresh >= ttl:
        log.warning("Members live for %d s, and are due %d s before: each run sends all of them.", ttl, refresh)
    return refresh


@dataclass(frozen=True, kw_only=True)
class DeliverySettings(Checked):
    """
    Settings that decide how a plan is sent.

    :param batch_size: most members in one request; at least 1.
    :param max_parallel_requests: most requests at the same time; at least 1.
    :param max_drift: largest difference between the platform's count and the ledger's count without a warning, as a
        ratio of the ledger's count; at least 0. None or ``off`` for no warning.
    :param drift_patience_seconds: time to wait for the counts to agree, in whole seconds or as a timedelta; at least 0.
    :raises InvalidInputError: an argument is wrong.
    """

    RULES: ClassVar[Rules] = {
        "batch_size": partial(whole_number, at_least=1),
        "max_parallel_requests": partial(whole_number, at_least=1),
        "max_drift": ratio,
        "drift_patience_seconds": partial(whole_seconds, at_least=0),
    }

    batch_size: int
    max_parallel_requests: int
    max_drift: float | None
    drift_patience_seconds: int

    def within(self, limits: DeliveryLimits) -> DeliverySettings:
        """
        Return these settings after checking them against the platform's limits.

        :param limits: what the platform accepts.
        :raises InvalidInputError: the platform does not accept so many requests at the same time.
        """
        members_a_request(self.batch_size, limits=limits)
        parallel_requests(self.max_parallel_requests, limits=limits)
        return self


def members_a_request(given: Any, *, limits: DeliveryLimits) -> int:
    """
    Return how many members one request may have, after checking the argument.

    :param given: value of the operator's argument ``batch_size``.
    :param limits: what the platform accepts, and what it can do.
    :raises InvalidInputError: the value is not a whole number from 1 to the platform's limit.
    """
    size = whole_number("batch_size", given, at_least=1)
    if limits.max_batch_size is not None and size > limits.max_batch_size:
        raise InvalidInputError(f"batch_size must be at most {limits.max_batch_size}, not {size}")
    return size


def parallel_requests(given: Any, *, limits: DeliveryLimits) -> int:
    """
    Return how many requests may be sent at the same time, after checking the argument.

    :param given: value of the operator's argument ``max_parallel_requests``.
    :param limits: what the platform accepts, and what it can do.
    :raises InvalidInputError: the value is not a whole number from 1 to the platform's limit.
    """
    parallel = whole_number("max_parallel_requests", given, at_least=1)
    if parallel > limits.max_parallel_requests:
        raise InvalidInputError(f"max_parallel_requests must be at most {limits.max_parallel_requests}, not {parallel}")
    return parallel
