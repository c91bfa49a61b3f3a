"""When does an AppLovin audience count as there? When the list shows it, with enough users if that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import ConflictError, InvalidInputError
from airflow_provider_audiences.platforms.applovin.audiences import Audience, Platform
from airflow_provider_audiences.validation import audience_id_of, exact_text, one_of, whole_number


@dataclass(frozen=True, kw_only=True)
class Presence:
    """
    What a look at the list says.

    :param is_ready: it is there, with enough users.
    :param reason: the same in words.
    :param audience: its entry; None if it is not there.
    """

    is_ready: bool
    reason: str
    audience: Audience | None


@dataclass(frozen=True, kw_only=True)
class PresenceRule:
    """
    Which audience, and how many users.

    :param audience_id: id of the audience; or None, to look by name.
    :param name: its exact name.
    :param platform: ``android`` or ``ios``; None for either.
    :param min_user_count: least number of users; None for any.
    """

    audience_id: str | None
    name: str | None
    platform: str | None
    min_user_count: int | None

    @classmethod
    def of(
        cls,
        *,
        audience_id: str | None = None,
        name: str | None = None,
        platform: str | None = None,
        min_user_count: int | None = None,
    ) -> PresenceRule:
        """
        Return a checked rule.

        :param audience_id: id of the audience; either this or ``name``.
        :param name: its exact name.
        :param platform: ``android`` or ``ios``, in any case; None for either.
        :param min_user_count: least number of users; None for any.
        :raises InvalidInputError: neither or both of id and name, or no whole number.
        """
        if (audience_id is None) == (name is None):
            raise InvalidInputError("give either audience_id or name (with platform, if names repeat)")
        return cls(
            audience_id=None if audience_id is None else audience_id_of(audience_id),
            name=None if name is None else exact_text("name", name),
            platform=None if platform is None else one_of("platform", platform, Platform),
            min_user_count=None
            if min_user_count is None
            else whole_number("min_user_count", min_user_count, at_least=0),
        )

    def assess(self, audiences: Sequence[Audience]) -> Presence:
        """
        Say whether the audience is there.

        :param audiences: the list.
        :raises ConflictError: several audiences have the name.
        """
        found = [audience for audience in audiences if self._matches(audience)]
        wanted = f"audience {self.audience_id or self.name!r}"
        if not found:
            return Presence(is_ready=False, reason=f"{wanted} is not listed", audience=None)
        if len(found) > 1:
            ids = ", ".join(f"{audience.audience_id} ({audience.platform})" for audience in found)
            raise ConflictError(f"several audiences have this name: {ids}", advice="Give the audience_id.")
        users = found[0].user_count
        reason = f"{wanted} is listed with {'an unknown number of' if users is None else users} users"
        enough = self.min_user_count is None or (users is not None and users >= self.min_user_count)
        return Presence(is_ready=enough, reason=reason, audience=found[0])

    def _matches(self, audience: Audience) -> bool:
        if self.audience_id is not None:
            return audience.audience_id == self.audience_id
        return audience.name == self.name and self.platform in {None, audience.platform}
