"""What AppLovin's APIs share: where they are, how they are called, and what they accept."""

from __future__ import annotations

import math

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


def upload_seconds(deadline_seconds: float | None) -> int:
    """
    Return how long another sync may be in the middle of an upload: until it gives it up, and the second in which one
    that was overtaken may still begin one.

    :param deadline_seconds: the connection's deadline for requests; None if it has none.
    """
    return math.ceil(deadline_seconds or UPLOAD_DEADLINE_SECONDS) + 1


REJECTION_HINT = "is the mobile platform of the audience or app that of these IDs?"

AUDIENCE_LIMITS = DeliveryLimits(
    max_batch_size=None,  # the document asks for blocks of about 100,000, the operators' default, and names no limit
    max_parallel_requests=16,  # the document names no limit; the client keeps enough connections open
    late_effect_seconds=100,  # the server gives up on a request after that
    max_request_seconds=upload_seconds(None),
    default_ttl_seconds=365 * 24 * 3600,
    can_replace=True,
)
