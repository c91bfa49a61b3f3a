"""The whole state of the emulator, in one place that can be reset."""

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from .access_keys import AccessKey, make_access_key
from .acs3 import Verifier
from .applovin import AppLovinService
from .applovin_suppression import SuppressionService
from .clock import Clock, SlidingWindow
from .faults import FaultPlan
from .late import LateCalls, Traffic
from .pai import PaiService
from .pai_billing import Billing
from .recording import RequestLog
from .settings import Settings


class EmulatorState:
    """
    The state behind all handlers.

    Callers of the services must hold ``lock``. ``faults``, ``late``, ``traffic``, ``verifier`` and ``requests`` belong
    to the event loop, and must not be used anywhere else.

    :param api_key: API key of both services; None (default) for a random one.
    :param access_key: AccessKey pair of the signed dialect; None (default) for a random one.
    :param settings: settings to start with, and to return to on reset; None (default) for the defaults.
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
        """Reset services, clock, settings and billing. This may wait for a request that is running."""
        with self.lock:
            self.applovin.close()
            self.suppression.close()
            self._begin()

    def reset_records(self) -> None:
        """Forget faults, latencies and recorded requests. Call it on the event loop."""
        self.faults.clear()
        self.requests.clear()

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """
        Change settings.

        :param changes: new values by name.
        :raises SettingsError: a setting does not exist, or can't have the value.
        """
        with self.lock:
            self.settings = self.settings.changed(changes)
