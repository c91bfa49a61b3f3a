"""What AppLovin's APIs share: where they are, how they are called, and what they accept."""

from __future__ import annotations

import math
from dataclasses import replace

from airflow_provider_audiences.http.calls import TransportSettings
from airflow_provider_audiences.sync.destination import DeliveryLimits

PLATFORM_NAME = "AppLovin"

DEFAULT_BASE_URL = "https://api.applovin.com"
DEFAULT_CONTENT_TYPE = "application/x-www-form-urlencoded"
"""The type that the document's own ``curl --data-binary`` sends: the only one known to be accepted."""

DEFAULT_SETTINGS = TransportSettings(read_timeout_seconds=120.0)
"""The server gives up after 100 s; a slightly longer wait lets its own error arrive first."""

UPLOAD_DEADLINE_SECONDS = 150.0
"""Longest time of an upload: the server's 100 s, and time to send the body."""

_BEGINNING_SECONDS = 1
"""In this time, a sync that was overtaken may still begin a request."""

REJECTION_HINT = "is the mobile platform of the audience or app that of these IDs?"

AUDIENCE_LIMITS = DeliveryLimits(
    max_batch_size=None,  # the document asks for blocks of about 100,000, the operators' default, and names no limit
    max_parallel_requests=16,  # the document names no limit; the client keeps enough connections open
    late_effect_seconds=100,  # the server gives up on a request after that
    max_request_seconds=math.ceil(UPLOAD_DEADLINE_SECONDS) + _BEGINNING_SECONDS,
    default_ttl_seconds=365 * 24 * 3600,
    can_replace=True,
)


def with_deadline(limits: DeliveryLimits, seconds: float | None) -> DeliveryLimits:
    """
    Return limits for a connection, whose own deadline says how long a request may be under way.

    :param limits: limits of one of the APIs.
    :param seconds: the connection's deadline for each request; None if it has none.
    """
    return limits if seconds is None else replace(limits, max_request_seconds=math.ceil(seconds) + _BEGINNING_SECONDS)
