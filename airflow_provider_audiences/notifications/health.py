"""The state of an audience from run to run, and which changes of it are news. Knows neither Airflow nor files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any, Literal, get_args

StateName = Literal["ok", "stopped", "failed"]


class Change(Enum):
    """What has changed, as a word for templates."""

    OK = "ok"
    STOPPED = "stopped"
    FAILED = "failed"
    DRIFT_BEGAN = "drift_began"
    DRIFT_ENDED = "drift_ended"
    EXPIRY_NEAR = "expiry_near"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """
    What one run has shown. None stands for what is not known.

    :param state: how the run has ended: ``ok``, ``stopped`` by a guard, or ``failed``.
    :param guard: name of the guard that stopped it; None if none did.
    :param at: end of the run, in seconds since 1970 (UTC).
    :param drift: the platform's count minus ``live``.
    :param live: members that are there, by the ledger.
    :param first_expiry: when the first members begin to expire, in seconds since 1970 (UTC).
    """

    state: StateName
    guard: str | None
    at: int
    drift: int | None = None
    live: int | None = None
    first_expiry: int | None = None


@dataclass(frozen=True, kw_only=True)
class NotificationThresholds:
    """
    Thresholds from which a change is notified. None for never.

    :param drift_beyond: drift as a share of the members that are there.
    :param expiry_within_seconds: time before members begin to expire.
    """

    drift_beyond: float | None
    expiry_within_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class AudienceHealth:
    """
    The state of an audience after a run.

    :param state: how its last run has ended.
    :param guard: name of the guard that stopped the last run; None if none did.
    :param since: time of the first run with this state and guard, in seconds since 1970 (UTC).
    :param is_drifting: whether the platform's count was too far off when it was last known.
    :param first_expiry: when the first members begin to expire, by the last run that was ok; None if it is not known.
    :param is_expiry_near: whether members begin to expire soon, and runs don't succeed.
    """

    state: StateName
    guard: str | None
    since: int
    is_drifting: bool = False
    first_expiry: int | None = None
    is_expiry_near: bool = False

    @classmethod
    def after(
        cls, before: AudienceHealth | None, observation: Observation, thresholds: NotificationThresholds
    ) -> AudienceHealth:
        """
        Return the state after a run.

        :param before: state before the run; None if it is not known.
        :param observation: what the run has shown.
        :param thresholds: thresholds from which a change is notified.
        """
        is_same = before is not None and (before.state, before.guard) == (observation.state, observation.guard)
        first_expiry = observation.first_expiry
        if observation.state != "ok" and before is not None:
            first_expiry = before.first_expiry
        return cls(
            state=observation.state,
            guard=observation.guard,
            since=before.since if before is not None and is_same else observation.at,
            is_drifting=_is_drifting(observation, thresholds, before=before is not None and before.is_drifting),
            first_expiry=first_expiry,
            # A run that is ok has sent again whoever must stay: whoever expires after it is not wanted any more.
            is_expiry_near=(
                observation.state != "ok"
                and first_expiry is not None
                and thresholds.expiry_within_seconds is not None
                and first_expiry - observation.at < thresholds.expiry_within_seconds
            ),
        )

    @classmethod
    def of_json(cls, value: Any) -> AudienceHealth | None:
        """
        Return a state that was stored; None if it is none, as of another version.

        :param value: what :meth:`as_json` has returned, or anything else.
        """
        if not isinstance(value, Mapping) or not {"state", "guard", "since"} <= set(value):
            return None
        if value["state"] not in get_args(StateName):
            return None
        names = {field.name for field in fields(cls)}
        return cls(**{name: value[name] for name in names & set(value)})

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return asdict(self)


def changes(before: AudienceHealth | None, now: AudienceHealth) -> list[Change]:
    """
    Return what is news of a state, the most important first.

    :param before: the state that was told last; None if none was: then, to be ok is no news.
    :param now: the state now.
    """
    found = []
    was = before or AudienceHealth(state="ok", guard=None, since=now.since)
    if (was.state, was.guard) != (now.state, now.guard):
        found.append(Change(now.state))
    if now.is_expiry_near and not was.is_expiry_near:
        found.append(Change.EXPIRY_NEAR)
    if now.is_drifting != was.is_drifting:
        found.append(Change.DRIFT_BEGAN if now.is_drifting else Change.DRIFT_ENDED)
    return found


def _is_drifting(observation: Observation, thresholds: NotificationThresholds, *, before: bool) -> bool:
    if thresholds.drift_beyond is None:
        return False
    if observation.drift is None or observation.live is None:
        return before
    return abs(observation.drift) > thresholds.drift_beyond * observation.live
