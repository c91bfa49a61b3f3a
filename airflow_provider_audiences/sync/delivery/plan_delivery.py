"""How a plan goes out: what has not landed of it, in order, and each request written down when it has landed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from airflow_provider_audiences.exceptions import AudienceApiError, TransientError
from airflow_provider_audiences.http.transport import GiveUp
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient, UploadCounts
from airflow_provider_audiences.redaction import MaskedBytes
from airflow_provider_audiences.sync.delivery.sending import Leg, Sender, Tally
from airflow_provider_audiences.sync.ledger import LATEST_EFFECT_SECONDS
from airflow_provider_audiences.sync.plan import Plan
from airflow_provider_audiences.sync.settings import SendSettings
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.lease import Lease

log = logging.getLogger(__name__)


class PlanDelivery:
    """
    Sends what has not landed of a plan, and writes down what lands.

    :param client: of the account.
    :param state: of the audience; the plan was begun.
    :param lease: of the audience.
    :param plan: the plan.
    :param settings: how it is sent.
    """

    def __init__(
        self,
        client: AppLovinClient,
        state: AudienceState,
        lease: Lease,
        plan: Plan,
        settings: SendSettings,
    ) -> None:
        self._client = client
        self._state = state
        self._lease = lease
        self._plan = plan
        self._settings = settings
        self._kind = AdvertisingIds(id_case=settings.id_case)
        self._lock = threading.Lock()
        self.request_seconds = 0.0
        """What all requests took together."""

    def send_all(self, tally: Tally, *, sleep: Callable[[float], None]) -> None:
        """
        Add first and remove then, so that the audience is never smaller than both before and after.

        :param tally: of what is sent.
        :param sleep: waits.
        :raises AudienceApiError: a request failed for good.
        """
        sender = Sender(
            tally, batch_size=self._settings.batch_size, max_parallel_requests=self._settings.max_parallel_requests
        )
        plan, landings = self._plan, self._state.landings
        if plan.replaces and not landings.additions:
            sender.send_first(self._leg("additions", [(0, plan.additions.count)], replaces=True))
        if self._state.landings.is_update_repeated:
            # Should the platform carry it out once more, it would wipe out what comes after it.
            log.warning("The update may have been sent more than once: waiting %d s for it.", LATEST_EFFECT_SECONDS)
            sleep(LATEST_EFFECT_SECONDS)
        missing = self._state.landings.additions.missing(plan.additions.count)
        sender.send(self._leg("additions", missing))
        sender.send(self._leg("removals", self._state.landings.removals.missing(plan.removals.count)))
        tally.say_totals()

    def _leg(
        self, name: Literal["additions", "removals"], ranges: list[tuple[int, int]], *, replaces: bool = False
    ) -> Leg:
        keys = self._plan.additions if name == "additions" else self._plan.removals
        ttl_seconds = self._plan.ttl_seconds if name == "additions" else 0
        call = self._client.update_audience if replaces else self._client.append_users

        def lines(first: int, count: int) -> bytes:
            return self._kind.lines(keys.slice(first, count))

        def gives_up(error: TransientError, give_up: GiveUp) -> bool:
            try:
                self._lease.check()
            except AudienceApiError:
                return True
            return give_up(error)

        def send(body: MaskedBytes, give_up: GiveUp) -> UploadCounts:
            self._lease.check()
            try:
                return call(
                    audience_id=self._state.address.audience_id,
                    advertising_ids=body,
                    ttl_seconds=ttl_seconds,
                    give_up=partial(gives_up, give_up=give_up),
                )
            except TransientError:
                self._lease.check()  # to have lost it weighs more
                raise

        def landed(first: int, end: int, seconds: float, is_repeated: bool) -> None:
            with self._lock:
                self.request_seconds += seconds
            self._state.landed(name, first, end, seconds=seconds, is_repeated=is_repeated, is_update=replaces)

        return Leg(lines=lines, ranges=ranges, send=send, landed=landed)
