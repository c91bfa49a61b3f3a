"""The poll of AppLovin's list of audiences: whether an audience is there, with enough users."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import ConflictError, InvalidInputError
from airflow_provider_audiences.platforms.applovin.audiences import Audience, MobilePlatform, audience_id_of
from airflow_provider_audiences.validation import exact_text, one_of, whole_number
from airflow_provider_audiences.waiting.polls import Poll, PollResult, PollState, Request

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.applovin.client import AppLovinClient


class AudiencePoll(Poll):
    """
    Polls the list for one audience.

    :param audience_id: id of the audience; give either this or ``name``.
    :param name: exact name of the audience.
    :param platform: ``android`` or ``ios``, in any case; None for either. Only used with ``name``.
    :param min_user_count: fewest users that the audience must have to be ready; None for no condition.
    :raises InvalidInputError: neither or both of id and name were given, or a value is not of that form.
    """

    def __init__(
        self, *, audience_id: object = None, name: object = None, platform: object = None, min_user_count: object = None
    ) -> None:
        if (audience_id is None) == (name is None):
            raise InvalidInputError("give either audience_id or name (with platform, if names repeat)")
        self._audience_id = None if audience_id is None else audience_id_of(audience_id)
        self._name = None if name is None else exact_text("name", name)
        self._platform = None if platform is None else one_of("platform", platform, MobilePlatform)
        self._min_user_count = (
            None if min_user_count is None else whole_number("min_user_count", min_user_count, at_least=0)
        )

    def __call__(self, client: AppLovinClient) -> Generator[Request, Any, PollResult]:
        """Poll once: request the list."""
        return self.assess((yield Request(send=client.list_audiences)))

    def assess(self, audiences: Sequence[Audience]) -> PollResult:
        """
        Return whether the audience is ready, by the list.

        :param audiences: all audiences of the account.
        :raises ConflictError: several audiences have the name.
        """
        found = [audience for audience in audiences if self._matches(audience)]
        wanted = f"audience {self._audience_id or self._name!r}"
        if not found:
            return PollResult(state=PollState.WAITING, reason=f"{wanted} is not listed")
        if len(found) > 1:
            ids = ", ".join(f"{audience.audience_id} ({audience.platform})" for audience in found)
            raise ConflictError(f"several audiences have this name: {ids}", advice="Give the audience_id.")
        users = found[0].user_count
        enough = self._min_user_count is None or (users is not None and users >= self._min_user_count)
        return PollResult(
            state=PollState.READY if enough else PollState.WAITING,
            reason=f"{wanted} is listed with {'an unknown number of' if users is None else users} users",
            seen=found[0].as_dict(),
        )

    def _matches(self, audience: Audience) -> bool:
        if self._audience_id is not None:
            return audience.audience_id == self._audience_id
        return audience.name == self._name and self._platform in {None, audience.platform}
