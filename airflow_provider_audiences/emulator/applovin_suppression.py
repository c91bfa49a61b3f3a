"""The rules of AppLovin's suppression service, version 1.1, without HTTP: one list of users for each app."""

from collections.abc import Callable, Mapping

from .clock import Clock
from .members import MemberStore, ParsedIds, to_ms
from .replies import BAD_REQUEST, TOO_LARGE, ApiError
from .settings import LATEST_SECONDS, Settings

FOR_GOOD_MS = int(LATEST_SECONDS * 1000)
"""Expiry of members of suppression lists, far in the future: they stay until they are removed."""


class SuppressionService:
    """
    The suppression lists of one account. A list exists once somebody was added to it. Callers must hold the state's
    lock.

    :param clock: clock of the emulator.
    :param settings: function that returns the present settings.
    """

    def __init__(self, *, clock: Clock, settings: Callable[[], Settings]) -> None:
        self._clock = clock
        self._settings = settings
        self.lists: dict[str, MemberStore] = {}

    def close(self) -> None:
        """Forget all lists, and free their memory."""
        for members in self.lists.values():
            members.close()
        self.lists.clear()

    def add(self, params: Mapping[str, str], parsed: ParsedIds) -> None:
        """
        Add users to an app's list.

        :param params: decoded query with ``package_name``.
        :param parsed: body of the call.
        :raises ApiError: 400 or 413.
        """
        package_name = self._checked(params, parsed)
        self.lists.setdefault(package_name, MemberStore()).put(parsed.ids, expires_ms=FOR_GOOD_MS)

    def delete(self, params: Mapping[str, str], parsed: ParsedIds) -> None:
        """
        Remove users from an app's list; users who are not on it are ignored.

        :param params: decoded query with ``package_name``.
        :param parsed: body of the call.
        :raises ApiError: 400 or 413.
        """
        package_name = self._checked(params, parsed)
        if package_name in self.lists:
            self.lists[package_name].remove(parsed.ids)

    def page(self, package_name: str, *, after: bytes, limit: int) -> list[tuple[bytes, int]]:
        """
        Return a page of an app's list, sorted, each user with an expiry; nothing if there is no such list.

        :param package_name: package name or bundle ID of the app.
        :param after: last ID of the page before; empty for the first page.
        :param limit: most users to return.
        """
        members = self.lists.get(package_name)
        return members.page(after=after, now_ms=to_ms(self._clock.now()), limit=limit) if members else []

    def _checked(self, params: Mapping[str, str], parsed: ParsedIds) -> str:
        package_name = params.get("package_name", "")
        if not package_name.strip():
            raise ApiError(BAD_REQUEST, "Missing parameter: package_name")
        limit = self._settings().max_body_ids
        if limit is not None and parsed.line_count > limit:
            raise ApiError(TOO_LARGE, f"The body has more than {limit} lines")
        if not parsed.line_count:
            raise ApiError(BAD_REQUEST, "Missing data: list of advertising ids")
        return package_name
