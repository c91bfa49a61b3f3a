"""
Drift: how many more members a platform counts in an audience than the ledger has.

A large drift means that the platform's count lags, that it rejects members without saying so, or that somebody else
changes the audience.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import AudienceError, NotFoundError
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.settings import DeliverySettings

log = logging.getLogger(__name__)

_POLL_SECONDS = 10.0


def measured_drift(
    destination: Destination,
    *,
    live: int,
    delivery_settings: DeliverySettings,
    sleep: Callable[[float], None],
    accepts_unknown_members: bool,
    has_sent: bool,
) -> int | None:
    """
    Return the platform's count minus the ledger's; None if the platform does not count, or could not be asked.

    A large drift is logged, but is no error: everything was sent.

    :param destination: the audience.
    :param live: members in the audience, by the ledger.
    :param delivery_settings: how large the drift may be without a warning, and how long to ask again before one.
    :param sleep: sleeps for a number of seconds.
    :param accepts_unknown_members: whether the user has accepted members that no ledger knows, by ``append`` as
        ``initial`` or ``mode``. The platform counts them as well: then only too few are news.
    :param has_sent: whether members were sent just now, so that an audience that is not listed may only lag.
    :raises NotFoundError: there is no such audience.
    """
    patience = float(delivery_settings.drift_patience_seconds)
    try:
        while True:
            count = destination.member_count()
            drift = None if count is None else count - live
            limit = None if delivery_settings.max_drift is None else delivery_settings.max_drift * live
            is_far = drift is not None and limit is not None and abs(drift) > limit
            if drift is not None and drift > 0 and accepts_unknown_members:
                is_far = False
            if not is_far or patience <= 0:
                break
            wait = min(_POLL_SECONDS, patience)
            patience -= wait
            sleep(wait)
    except AudienceError as error:
        if isinstance(error, NotFoundError) and not has_sent:
            raise  # the audience is gone; just after an accepted upload, the list may only lag
        log.warning("The audience's count was not learnt: %s", error)
        return None
    if is_far:
        platform = destination.platform_name
        log.warning(
            "%s counts %s in audience %s, and %s expected. Its count may lag; if that stays so, "
            "somebody else changes this audience, or %s does not take some of its members.",
            platform, counted(count or 0, "member"), destination.address.audience_id, counted(live, "is", "are"),
            platform,
        )  # fmt: skip
    return drift
