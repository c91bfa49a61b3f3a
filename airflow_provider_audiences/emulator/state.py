"""Everything the emulator remembers, in one place that can be put back to the start."""

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from .access_keys import AccessKey, make_access_key
from .acs3 import Verifier
from .applovin import AppLovinService
from .clock import Clock, SlidingWindow
from .faults import FaultPlan
from .late import LateCalls, Traffic
from .pai import PaiService
from .pai_billing import Billing
from .recording import RequestLog
from .settings import Settings
from .suppression import SuppressionService


class EmulatorState:
    """
    The state behind all handlers.

    ``lock`` serialises the services; whoever calls them holds it. ``faults``, ``late``, ``traffic``,
    ``verifier`` and ``requests`` belong to the event loop and are touched from nowhere else.

    :param api_key: the one key of both services; None makes one
    :param access_key: the AccessKey pair of the signed dialect; None makes one
    :param settings: the settings to start with and to go back to
    """

    def __init__(
        self, *, api_key: str | None = None, access_key: AccessKey | None = None, settings: Settings | None = None
    ) -> None:
        self.api_key = api_key or secrets.token_urlsafe(24)
        self.access_key = access_key or make_access_key()
        self.start_settings = settings or Settings()
        self.lock = threading.RLock()
        self.faults = FaultPlan()
        self.late = LateCalls()
        self.traffic = Traffic()
        pair = self.access_key
        known = (self.api_key, pair.access_key_id, pair.access_key_secret, pair.security_token or "")
        self.requests = RequestLog(secrets=known)
        self._begin()

    def _begin(self) -> None:
        self.settings = self.start_settings
        self.clock = Clock()
        self.limiter = SlidingWindow()
        self.billing = Billing()
        self.verifier = Verifier(self.access_key)
        self.applovin = AppLovinService(clock=self.clock, settings=lambda: self.settings)
        self.suppression = SuppressionService(clock=self.clock, settings=lambda: self.settings)
        self.pai = PaiService(clock=self.clock, settings=lambda: self.settings)

    def reset_services(self) -> None:
        """Put services, clock, settings and billing back to the start. May wait for a request that runs."""
        with self.lock:
            self.applovin.close()
            self.suppression.close()
            self._begin()

    def reset_records(self) -> None:
        """Forget faults, latencies and recorded requests. To be called on the event loop."""
        self.faults.clear()
        self.requests.clear()

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """
        :param changes: new values by name
        :raises SettingsError: for an unknown name or a value that the setting can't take
        """
        with self.lock:
            self.settings = self.settings.changed(changes)
