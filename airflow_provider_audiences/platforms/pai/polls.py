"""Polls of PAI groups: of one group, of many, and of new groups of a name."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import GroupRejectedError, InvalidInputError, NotFoundError
from airflow_provider_audiences.platforms.pai.billing import GET, BillableCalls
from airflow_provider_audiences.platforms.pai.groups import checked_group_id
from airflow_provider_audiences.platforms.pai.listing import list_once, list_query
from airflow_provider_audiences.validation import a_type
from airflow_provider_audiences.waiting.polls import Poll, PollResult, PollState, Request
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.dialects import PaiDialect
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule

_NAMED = 3
"""Most groups that a message names; there may be thousands."""

_PLATFORM_ZONE = timezone(timedelta(hours=8))
"""PAI writes times in UTC+8, without an offset."""


def group_ids_of(value: object) -> list[str]:
    """
    Return distinct group ids from a list, or from a list as text (as templates render it).

    :param value: list, or text of a list.
    :raises InvalidInputError: the value is not a list, is empty, or has an item that is no id.
    """
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise InvalidInputError(
                "group_ids is text and no list of ids: give a list, or group_id for a single group"
            ) from None
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidInputError(f"group_ids is {a_type(value)}: give a list of ids")
    items = enumerate(value, start=1)
    ids = list(dict.fromkeys(checked_group_id(f"group_ids, item {number},", item) for number, item in items))
    if not ids:
        raise InvalidInputError("group_ids is empty: there is no group to wait for")
    return ids


class PaiPoll(Poll):
    """
    Base class of polls of groups. A successful GetGroup is billed, and shows the History; ListGroups is free.

    :param rule: decides when a group is ready.
    """

    failure_type = GroupRejectedError

    def __init__(self, rule: ReadinessRule) -> None:
        self._rule = rule
        self._billable = BillableCalls(GET)

    @property
    def billable_calls(self) -> dict[str, int]:
        """Number of GetGroups so far that PAI may bill."""
        return self._billable.counts()

    def __call__(self, client: PaiClient) -> Generator[Request, Any, PollResult]:
        """Poll once: yield the requests, and return what their replies mean."""
        self.price_per_call = client.price_per_call
        return self._steps(client)

    @abstractmethod
    def _steps(self, client: PaiClient) -> Generator[Request, Any, PollResult]: ...

    def _get(self, client: PaiClient, group_id: str) -> Generator[Request, Any, AudienceGroup]:
        group: AudienceGroup = yield Request(send=partial(self._send_get, client, group_id))
        return group

    def _send_get(self, client: PaiClient, group_id: str) -> AudienceGroup:
        try:
            return self._billable.counted(GET, partial(client.get_group, group_id))
        except NotFoundError as error:
            error.message = f"group {group_id}: {error.message}"
            raise


class GroupPoll(PaiPoll):
    """
    Polls one group, by GetGroup.

    :param group_id: id of the group.
    :param rule: decides when the group is ready.
    """

    def __init__(self, group_id: object, rule: ReadinessRule) -> None:
        super().__init__(rule)
        self._group_id = checked_group_id("group_id", group_id)

    def _steps(self, client: PaiClient) -> Generator[Request, Any, PollResult]:
        group = yield from self._get(client, self._group_id)
        result = self._rule.assess(group, client.dialect)
        return replace(result, reason=f"group {group.id}: {result.reason}", seen=group.public())


class GroupsPoll(PaiPoll):
    """
    Polls many groups, with few requests.

    It lists groups, a hundred a page, as long as that may need fewer requests than a GetGroup for each. Groups that are
    ready are not polled again. For a rejected group, GetGroup tells the reason.

    :param group_ids: ids of the groups, each once.
    :param rule: decides when a group is ready.
    """

    def __init__(self, group_ids: Sequence[str], rule: ReadinessRule) -> None:
        super().__init__(rule)
        self._ids = list(group_ids)
        self._ready: dict[str, dict[str, Any]] = {}
        self._others: dict[str, tuple[AudienceGroup, PollResult]] = {}

    def _steps(self, client: PaiClient) -> Generator[Request, Any, PollResult]:
        self._others = {}
        missing = [group_id for group_id in self._ids if group_id not in self._ready]
        listing = yield from list_once(client.list_page, is_enough=partial(_costs_more, missing))
        listed = {group_id for group_id in missing if group_id in listing.groups}
        for group_id in missing:
            if group_id in listed:
                self._assess(group_id, listing.groups[group_id], client.dialect)
        for group_id in missing:
            if group_id not in listed and not self._failed():
                yield from self._get_and_assess(client, group_id)
        while failed := self._failed():
            group, _ = self._others[failed[0]]
            if failed[0] not in listed or group.status not in self._rule.failed_in(client.dialect):
                return self._failure(failed)
            # The list does not show the History, and may lag behind: GetGroup decides.
            listed.remove(failed[0])
            yield from self._get_and_assess(client, failed[0])
        return self._progress()

    def _get_and_assess(self, client: PaiClient, group_id: str) -> Generator[Request, Any, None]:
        group = yield from self._get(client, group_id)
        self._assess(group_id, group, client.dialect)

    def _assess(self, group_id: str, group: AudienceGroup, dialect: PaiDialect) -> None:
        result = self._rule.assess(group, dialect)
        self._others.pop(group_id, None)
        if result.state is PollState.READY:
            self._ready[group_id] = _small(group)
        else:
            self._others[group_id] = (group, result)

    def _failed(self) -> list[str]:
        """Return the ids of failed groups, in the given order."""
        return [
            group_id
            for group_id in self._ids
            if group_id in self._others and self._others[group_id][1].state is PollState.FAILED
        ]

    def _failure(self, failed: Sequence[str]) -> PollResult:
        (group, result), *others = [self._others[group_id] for group_id in failed]
        rest = [other for other, _ in others]
        also = f" Failed too: {_names(rest)}." if rest else ""
        return PollResult(
            state=PollState.FAILED,
            reason=f"group {group.id} ({group.name}): {result.reason.rstrip('.')}.{also}",
            seen=[_small(found) for found in (group, *rest)],
        )

    def _progress(self) -> PollResult:
        reason = f"{len(self._ready)} of {counted(len(self._ids), 'group is', 'groups are')} ready"
        if len(self._ready) == len(self._ids):
            return PollResult(
                state=PollState.READY, reason=reason, seen=[self._ready[group_id] for group_id in self._ids]
            )
        waiting = [self._others[group_id] for group_id in self._ids if group_id in self._others]
        unknown = [(group, result) for group, result in waiting if result.unknown_status]
        named = unknown or waiting
        waiting_for = f"; waiting for {_names([group for group, _ in named])}: {named[0][1].reason}" if named else ""
        return PollResult(state=PollState.WAITING, reason=f"{reason}{waiting_for}", unknown_status=bool(unknown))


class NewGroupsPoll(PaiPoll):
    """
    Polls for groups of a name that have become ready since the last poll, by ListGroups, which is free.

    :param name: exact name of the groups.
    :param rule: decides when a group is ready.
    :param since_epoch_seconds: groups that were ready before this time are ignored; seconds since 1970 (UTC).
    """

    def __init__(self, name: str, rule: ReadinessRule, *, since_epoch_seconds: float) -> None:
        super().__init__(rule)
        self._name = name
        self._since_epoch_seconds = since_epoch_seconds
        self._waiting: set[str] = set()
        self._reported: set[str] = set()

    def _steps(self, client: PaiClient) -> Generator[Request, Any, PollResult]:
        # If the list shifts and a group is missed, the next poll finds it.
        listing = yield from list_once(partial(client.list_page, query=list_query(name=self._name)))
        named = [group for group in listing.groups.values() if group.name == self._name]
        newly_ready = self._newly_ready(named, client.dialect)
        return PollResult(
            state=PollState.READY if newly_ready else PollState.WAITING,
            reason=f"{counted(len(named), 'group is', 'groups are')} named {self._name!r}",
            seen=[_small(group) for group in newly_ready],
        )

    def _newly_ready(self, groups: Iterable[AudienceGroup], dialect: PaiDialect) -> list[AudienceGroup]:
        """Return the groups that are ready and were not at the last poll, the oldest first."""
        newly_ready = []
        for group in groups:
            if group.id in self._reported:
                continue
            if self._rule.assess(group, dialect).state is not PollState.READY:
                self._waiting.add(group.id)
            else:
                self._reported.add(group.id)
                if group.id in self._waiting or self._is_recent(group):
                    newly_ready.append(group)
        return sorted(newly_ready, key=lambda group: (group.updated_time, group.id))

    def _is_recent(self, group: AudienceGroup) -> bool:
        updated_at = epoch_seconds(group.updated_time) or epoch_seconds(group.created_time)
        # A group without a readable time is reported: once too often is better than never.
        return updated_at is None or updated_at >= self._since_epoch_seconds


def epoch_seconds(written: str) -> float | None:
    """
    Return a time of the platform in seconds since 1970 (UTC); None if the text is not a time.

    :param written: time as ``YYYY-MM-DD HH:MM:SS`` in UTC+8.
    """
    try:
        return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_PLATFORM_ZONE).timestamp()
    except ValueError:
        return None


def _costs_more(missing: Sequence[str], groups: Mapping[str, AudienceGroup], pages_left: float) -> bool:
    """Return whether further pages may take more requests than a GetGroup for each group not seen yet."""
    return pages_left > sum(group_id not in groups for group_id in missing)


def _names(groups: Sequence[AudienceGroup]) -> str:
    named = [f"{group.name!r} ({group.id})" if group.name else group.id for group in groups[:_NAMED]]
    more = len(groups) - _NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _small(group: AudienceGroup) -> dict[str, Any]:
    return {"id": group.id, "name": group.name, "status": group.status, "amount": group.amount}
