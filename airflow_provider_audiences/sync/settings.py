"""How a sync is to go: arguments, checked before anything else is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.advertising_id import IdCase
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.validation import one_of, ratio, true_or_false, whole_number, whole_seconds

log = logging.getLogger(__name__)

SyncMode = Literal["mirror", "append", "replace"]
Initial = Literal["fail", "append", "replace"]
OnLostLedger = Literal["fail", "replace", "rebuild"]

DEFAULT_TTL_SECONDS = 365 * 24 * 3600
"""What the API's document names as its default."""

MAX_PARALLEL_REQUESTS = 16
"""As many connections as the client keeps open."""

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

        :param mode: ``mirror``, ``append`` or ``replace``.
        :param ttl_seconds: at least 1, or a timedelta; None for the API's default of 365 days.
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
        ttl = DEFAULT_TTL_SECONDS if ttl_seconds is None else whole_seconds("ttl_seconds", ttl_seconds, at_least=1)
        if refresh_before_seconds is None:
            refresh = min(ttl // 10, _LONGEST_REFRESH_SECONDS)
        else:
            refresh = whole_seconds("refresh_before_seconds", refresh_before_seconds, at_least=0)
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
        return cls(
            mode=one_of("mode", mode, get_args(SyncMode)),  # type: ignore[arg-type] # it is one of them
            ttl_seconds=ttl,
            refresh_before_seconds=refresh,
            initial=one_of("initial", initial, get_args(Initial)),  # type: ignore[arg-type]
            on_lost_ledger=one_of("on_lost_ledger", on_lost_ledger, get_args(OnLostLedger)),  # type: ignore[arg-type]
            guards=guards,
            run_date=run_date,
            allow_older_run=true_or_false("allow_older_run", allow_older_run),
            release_held_back=true_or_false("release_held_back", release_held_back),
        )


@dataclass(frozen=True, kw_only=True)
class SendSettings:
    """
    How a plan is sent; use :meth:`checked` to make one.

    :param batch_size: IDs a request, at most.
    :param max_parallel_requests: requests at a time.
    :param id_case: case in which IDs are written.
    :param max_drift: how far the platform's count may be from the ledger's, as a part of it.
    :param drift_patience_seconds: how long to wait for that.
    """

    batch_size: int
    max_parallel_requests: int
    id_case: IdCase
    max_drift: float | None
    drift_patience_seconds: int

    @classmethod
    def checked(
        cls,
        *,
        batch_size: Any,
        max_parallel_requests: Any,
        id_case: Any,
        max_drift: Any,
        drift_patience_seconds: Any,
    ) -> SendSettings:
        """
        Return settings whose arguments have been checked.

        :param batch_size: at least 1.
        :param max_parallel_requests: 1 to 16.
        :param id_case: ``lower`` or ``upper``.
        :param max_drift: 0 or more; None or ``off`` for no warning.
        :param drift_patience_seconds: at least 0, or a timedelta.
        :raises InvalidInputError: an argument is wrong.
        """
        parallel = whole_number("max_parallel_requests", max_parallel_requests, at_least=1)
        if parallel > MAX_PARALLEL_REQUESTS:
            raise InvalidInputError(f"max_parallel_requests must be at most {MAX_PARALLEL_REQUESTS}, not {parallel}")
        return cls(
            batch_size=whole_number("batch_size", batch_size, at_least=1),
            max_parallel_requests=parallel,
            id_case=AdvertisingIds(id_case=id_case).id_case,
            max_drift=ratio("max_drift", max_drift),
            drift_patience_seconds=whole_seconds("drift_patience_seconds", drift_patience_seconds, at_least=0),
        )
