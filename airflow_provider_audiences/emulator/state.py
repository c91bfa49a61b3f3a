"""Everything the emulator remembers, in one place that can be put back to the start."""

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from .applovin import AppLovinService
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

    ``lock`` serialises the services; whoever calls them holds it. ``faults``, ``late``, ``traffic`` and
    ``requests`` belong to the event loop and are touched from nowhere else.

    :param api_key: the one key of both services; None makes one
    :param settings: the settings to start with and to go back to
    """

    def __init__(self, *, api_key: str | None = None, settings: Settings | None = None) -> None:
        self.api_key = api_key or secrets.token_urlsafe(24)
        self.start_settings = settings or Settings()
        self.lock = threading.RLock()
        self.faults = FaultPlan()
        self.late = LateCalls()
        self.traffic = Traffic()
        self.requests = RequestLog(api_key=self.api_key)
        self._begin()

    def _begin(self) -> None:
        self.settings = self.start_settings
        self.clock = Clock()
        self.limiter = SlidingWindow()
        self.billing = Billing()
        self.applovin = AppLovinService(clock=self.clock, settings=lambda: self.settings)
        self.pai = PaiService(clock=self.clock, settings=lambda: self.settings)

    def reset_services(self) -> None:
        """Put services, clock, settings and billing back to the start. May wait for a request that runs."""
        with self.lock:
            self.applovin.close()
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
