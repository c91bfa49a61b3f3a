"""How a sync is to go: arguments, checked before anything else is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sync.destination import DeliveryLimits
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.validation import one_of, ratio, true_or_false, whole_number, whole_seconds

log = logging.getLogger(__name__)

SyncMode = Literal["mirror", "append", "replace"]
Initial = Literal["fail", "append", "replace"]
OnLostLedger = Literal["fail", "replace", "rebuild"]

_LONGEST_REFRESH_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    """
    How an audience is to equal its source; use :meth:`checked` to make one.

    :param mode: ``mirror``, ``append`` or ``replace``.
    :param ttl_seconds: how long members stay.
    :param refresh_before_seconds: members that expire sooner than this are sent again.
    :param initial: what to do about members of unknown origin when an audience is synced for the first time.
    :param on_lost_ledger: what to do if the ledger can't be read.
    :param guards: limits of what a plan may change.
    :param run_date: of the run; None if it has none.
    :param allow_older_run: whether the run may change what a newer one has made.
    :param release_held_back: add members again whom somebody has removed by hand.
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
        Return settings whose arguments have been checked.

        :param limits: of the platform.
        :param mode: ``mirror``, ``append``, or ``replace`` where the platform can.
        :param ttl_seconds: at least 1, or a timedelta; None for the platform's default.
        :param refresh_before_seconds: at least 0, or a timedelta; None for a tenth of the TTL, and at most 7 days.
        :param next_run_seconds: until the next run, which must not come too late for any member; None if unknown.
        :param initial: ``fail``, ``append`` or ``replace``.
        :param on_lost_ledger: ``fail``, ``replace`` or ``rebuild``.
        :param guards: limits of what a plan may change.
        :param run_date: of the run; None if it has none.
        :param allow_older_run: True or False.
        :param release_held_back: True or False.
        :raises InvalidInputError: an argument is wrong.
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


def _refresh_seconds(ttl: int, given: Any, next_run_seconds: float | None) -> int:
    """Return how long before they expire members are sent again."""
    if given is None:
        refresh = min(ttl // 10, _LONGEST_REFRESH_SECONDS)
    else:
        refresh = whole_seconds("refresh_before_seconds", given, at_least=0)
    if next_run_seconds is not None:
        if next_run_seconds >= ttl:
            log.warning(
                "ttl_seconds=%d ends before the next run, in %.0f s: members will be missing in between.",
                ttl, next_run_seconds,
            )  # fmt: skip
        # The next run may begin late, and takes its time.
        refresh = max(refresh, int(next_run_seconds + max(3600, next_run_seconds / 10)))
    if refresh >= ttl:
        log.warning("Members live for %d s, and are due %d s before: each run sends all of them.", ttl, refresh)
    return refresh


@dataclass(frozen=True, kw_only=True)
class SendSettings:
    """
    How a plan is sent; use :meth:`checked` to make one.

    :param batch_size: members a request, at most.
    :param max_parallel_requests: requests at a time.
    :param max_drift: how far the platform's count may be from the ledger's, as a part of it.
    :param drift_patience_seconds: how long to wait for that.
    """

    batch_size: int
    max_parallel_requests: int
    max_drift: float | None
    drift_patience_seconds: int

    @classmethod
    def checked(
        cls,
        *,
        limits: DeliveryLimits,
        batch_size: Any,
        max_parallel_requests: Any,
        max_drift: Any,
        drift_patience_seconds: Any,
    ) -> SendSettings:
        """
        Return settings whose arguments have been checked.

        :param limits: of the platform.
        :param batch_size: at least 1.
        :param max_parallel_requests: from 1 to what the platform takes.
        :param max_drift: 0 or more; None or ``off`` for no warning.
        :param drift_patience_seconds: at least 0, or a timedelta.
        :raises InvalidInputError: an argument is wrong.
        """
        return cls(
            batch_size=whole_number("batch_size", batch_size, at_least=1),
            max_parallel_requests=parallel_requests(max_parallel_requests, limits=limits),
            max_drift=ratio("max_drift", max_drift),
            drift_patience_seconds=whole_seconds("drift_patience_seconds", drift_patience_seconds, at_least=0),
        )


def parallel_requests(given: Any, *, limits: DeliveryLimits) -> int:
    """
    Return how many requests may be under way at the same time.

    :param given: the argument ``max_parallel_requests``.
    :param limits: of the platform.
    :raises InvalidInputError: it is no whole number, or not from 1 to what the platform takes.
    """
    parallel = whole_number("max_parallel_requests", given, at_least=1)
    if parallel > limits.max_parallel_requests:
        raise InvalidInputError(f"max_parallel_requests must be at most {limits.max_parallel_requests}, not {parallel}")
    return parallel
