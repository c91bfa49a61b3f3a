"""The rules of AppLovin's audience service, without HTTP."""

import hashlib
import re
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .clock import Clock
from .members import MemberStore, ParsedIds, to_ms
from .replies import BAD_REQUEST, NOT_ACCEPTABLE, NOT_FOUND, TOO_LARGE, ApiError
from .settings import Settings

DEFAULT_TTL_SECONDS = 365 * 24 * 3600
# The document calls ttl_seconds a Long.
MAX_TTL_SECONDS = 2**63 - 1
MAX_REMEMBERED_COUNTS = 10_000
PLATFORMS = ("android", "ios")
AUDIENCE_TYPES = ("ua", "retargeting")

_NAME = re.compile(r"[A-Za-z0-9_\-+ ]+")
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, kw_only=True)
class AudienceKey:
    """The parameters that no two active audiences may have in common."""

    name: str
    platform: str
    package_name: str
    audience_type: str


@dataclass(kw_only=True)
class Audience:
    """
    One audience with its members.

    :param counts: history of the live count, as (milliseconds since the epoch, count), kept only while the setting
        ``user_count_lag_seconds`` is on.
    """

    audience_id: str
    key: AudienceKey
    description: str
    created_at: float
    members: MemberStore = field(default_factory=MemberStore)
    counts: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MAX_REMEMBERED_COUNTS))


def _required(params: Mapping[str, str], name: str) -> str:
    value = params.get(name, "")
    if not value.strip():
        raise ApiError(BAD_REQUEST, f"Missing parameter: {name}")
    return value


def read_audience_key(params: Mapping[str, str]) -> AudienceKey:
    """
    Return the parameters that make an audience unique.

    :param params: decoded query of a create call.
    :raises ApiError: 400, with the name of the parameter that is missing or invalid.
    """
    name = _required(params, "name")
    if not _NAME.fullmatch(name):
        raise ApiError(BAD_REQUEST, "Invalid parameter: name")
    platform = _required(params, "platform").lower()
    if platform not in PLATFORMS:
        raise ApiError(BAD_REQUEST, "Invalid parameter: platform")
    audience_type = params.get("audience_type", "retargeting")
    if audience_type not in AUDIENCE_TYPES:
        raise ApiError(BAD_REQUEST, "Invalid parameter: audience_type")
    package_name = params.get("package_name", "")
    if audience_type == "retargeting":
        package_name = _required(params, "package_name")
    return AudienceKey(name=name, platform=platform, package_name=package_name, audience_type=audience_type)


def read_ttl_seconds(params: Mapping[str, str]) -> int:
    """
    Return how many seconds the members of a request live; 365 days if the request doesn't say.

    :param params: decoded query of an update or append call.
    :raises ApiError: 400, since the value is not an integer of at least 0.
    """
    text = params.get("ttl_seconds")
    if text is None:
        return DEFAULT_TTL_SECONDS
    if not _DIGITS.fullmatch(text) or int(text) > MAX_TTL_SECONDS:
        raise ApiError(BAD_REQUEST, "Invalid parameter: ttl_seconds")
    return int(text)


def itunes_id(package_name: str) -> str:
    """Return a made-up iTunes ID, nine digits that are always the same for one bundle ID."""
    digest = hashlib.sha256(package_name.encode()).digest()
    return str(100_000_000 + int.from_bytes(digest[:8]) % 900_000_000)


class AppLovinService:
    """
    The audiences of one account. Callers must hold the state's lock.

    :param clock: clock of the emulator.
    :param settings: function that returns the present settings.
    """

    def __init__(self, *, clock: Clock, settings: Callable[[], Settings]) -> None:
        self._clock = clock
        self._settings = settings
        self.audiences: dict[str, Audience] = {}

    def close(self) -> None:
        """Forget all audiences, and free their memory."""
        for audience in self.audiences.values():
            audience.members.close()
        self.audiences.clear()

    def create(self, params: Mapping[str, str]) -> str:
        """
        Create an audience, and return its id, 32 hex digits.

        :param params: decoded query of the call.
        :raises ApiError: 400 for bad parameters, 406 if an active audience has the same ones.
        """
        key = read_audience_key(params)
        if any(audience.key == key for audience in self.audiences.values()):
            raise ApiError(NOT_ACCEPTABLE, "An active audience with the same parameters exists")
        audience = Audience(
            audience_id=uuid.uuid4().hex,
            key=key,
            description=params.get("description", ""),
            created_at=self._clock.now(),
        )
        self.audiences[audience.audience_id] = audience
        return audience.audience_id

    def find(self, params: Mapping[str, str]) -> Audience:
        """
        Return an audience.

        :param params: decoded query with ``audience_id``.
        :raises ApiError: 400 without an id, 404 for an unknown id.
        """
        audience = self.audiences.get(_required(params, "audience_id"))
        if audience is None:
            raise ApiError(NOT_FOUND, "Audience not found: audience_id")
        return audience

    def delete(self, params: Mapping[str, str]) -> None:
        """
        Delete an audience.

        :param params: decoded query with ``audience_id``.
        :raises ApiError: 400 without an id, 404 for an unknown id.
        """
        audience = self.find(params)
        del self.audiences[audience.audience_id]
        audience.members.close()

    def check_body(self, parsed: ParsedIds) -> None:
        """
        Refuse a body that the settings don't allow.

        :param parsed: body of an update or append call.
        :raises ApiError: 413 for too many lines, 400 for a body without lines if that is forbidden.
        """
        settings = self._settings()
        if settings.max_body_ids is not None and parsed.line_count > settings.max_body_ids:
            raise ApiError(TOO_LARGE, f"The body has more than {settings.max_body_ids} lines")
        if not parsed.line_count and not settings.allow_empty_body:
            raise ApiError(BAD_REQUEST, "Missing body: list of advertising ids")

    def update(self, params: Mapping[str, str], parsed: ParsedIds) -> str:
        """
        Make the IDs the only members; with a TTL of 0 nobody is left. Return the audience's id.

        :param params: decoded query with ``audience_id``, and optionally ``ttl_seconds``.
        :param parsed: body of the call.
        :raises ApiError: 400, 404 or 413.
        """
        ttl_seconds = read_ttl_seconds(params)
        audience = self.find(params)
        self.check_body(parsed)
        ids = parsed.ids if ttl_seconds > 0 else []
        audience.members.replace(ids, expires_ms=to_ms(self._clock.now() + ttl_seconds))
        self._remember_count(audience)
        return audience.audience_id

    def append(self, params: Mapping[str, str], parsed: ParsedIds) -> str:
        """
        Add the IDs, and restart the TTL of those that are members; a TTL of 0 removes them. Return the audience's id.

        :param params: decoded query with ``audience_id``, and optionally ``ttl_seconds``.
        :param parsed: body of the call.
        :raises ApiError: 400, 404 or 413.
        """
        ttl_seconds = read_ttl_seconds(params)
        audience = self.find(params)
        self.check_body(parsed)
        if ttl_seconds > 0:
            audience.members.put(parsed.ids, expires_ms=to_ms(self._clock.now() + ttl_seconds))
        else:
            audience.members.remove(parsed.ids)
        self._remember_count(audience)
        return audience.audience_id

    def _remember_count(self, audience: Audience) -> None:
        # Counting reads every member, so it is done only for those who asked for the lag.
        if self._settings().user_count_lag_seconds > 0:
            now_ms = to_ms(self._clock.now())
            audience.counts.append((now_ms, audience.members.live(now_ms).count))

    def user_count(self, audience: Audience) -> int:
        """Return the number of live members as the list shows it, which may be the number of a while ago."""
        lag_seconds = self._settings().user_count_lag_seconds
        moment_ms = to_ms(self._clock.now() - lag_seconds)
        if lag_seconds > 0 and audience.counts and audience.counts[-1][0] > moment_ms:
            past = [count for changed_ms, count in audience.counts if changed_ms <= moment_ms]
            return past[-1] if past else 0
        # The members have not changed since that moment, so they can be counted as of then.
        return audience.members.live(moment_ms).count

    def entries(self) -> list[dict[str, str]]:
        """Return all audiences as the list shows them, oldest first."""
        shows_itunes_id = self._settings().ios_list_shows_itunes_id
        result = []
        for audience in self.audiences.values():
            key = audience.key
            swaps = shows_itunes_id and key.platform == "ios" and key.package_name
            entry = {
                "audience_id": audience.audience_id,
                "name": key.name,
                "package_name": itunes_id(key.package_name) if swaps else key.package_name,
                "platform": key.platform,
                "description": audience.description,
                # A string, as in the document's sample, although its table says Long.
                "user_count": str(self.user_count(audience)),
            }
            result.append(entry)
        return result

    def inspect(self, audience: Audience) -> dict[str, Any]:
        """
        Return an audience as the control API shows it, with expiries in seconds since the epoch.

        :param audience: audience of this service.
        """
        live = audience.members.live(to_ms(self._clock.now()))
        return {
            "audience_id": audience.audience_id,
            "name": audience.key.name,
            "platform": audience.key.platform,
            "package_name": audience.key.package_name,
            "audience_type": audience.key.audience_type,
            "description": audience.description,
            "created_at": audience.created_at,
            "count": live.count,
            "expires_min": None if live.expires_min_ms is None else live.expires_min_ms / 1000,
            "expires_max": None if live.expires_max_ms is None else live.expires_max_ms / 1000,
            "stored": audience.members.stored_count(),
        }
