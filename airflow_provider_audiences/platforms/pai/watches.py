"""What a look at PAI groups asks, and what it makes of the answers: at one group, or at many at once."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import InvalidInputError, NotFoundError
from airflow_provider_audiences.platforms.pai.groups import checked_group_id
from airflow_provider_audiences.validation import a_type
from airflow_provider_audiences.waiting.looks import Request, Sighting, Steps

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_audiences.platforms.pai.client import PaiClient
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
    from airflow_provider_audiences.platforms.pai.readiness import Readiness, ReadinessRule

GET = "get"
"""What a successful GetGroup goes on the bill as."""

_MAX_PAGES = 1000
_NAMED = 3
"""How many groups a message names; there may be thousands."""


@dataclass(frozen=True, kw_only=True)
class ReadyWhen:
    """
    When a group counts as ready; what is None is as the connection's dialect has it.

    :param min_amount: least number of people.
    :param ready_statuses: statuses that are ready.
    :param failed_statuses: statuses that never become ready.
    """

    min_amount: int = 1
    ready_statuses: Sequence[int] | None = None
    failed_statuses: Sequence[int] | None = None

    def rule(self, client: PaiClient) -> ReadinessRule:
        """
        Return the rule in a client's dialect.

        :param client: of the connection.
        :raises InvalidInputError: a value is not a whole number.
        """
        return client.readiness_rule(
            min_amount=self.min_amount, ready_statuses=self.ready_statuses, failed_statuses=self.failed_statuses
        )


def group_ids_of(value: object) -> list[str]:
    """
    Return group ids from a list, or from the text that a template makes of one; each once.

    :param value: as it was rendered.
    :raises InvalidInputError: it is no list, it is empty, or one of it is no id.
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


class GroupWatch:
    """
    Looks at one group by GetGroup, which is billed and tells the History.

    :param group_id: the group's id.
    :param ready_when: when it counts as ready.
    """

    def __init__(self, group_id: object, ready_when: ReadyWhen) -> None:
        self._group_id = checked_group_id("group_id", group_id)
        self._ready_when = ready_when

    def __call__(self, client: PaiClient) -> Steps:
        """
        Look once.

        :param client: of the connection.
        """
        rule = self._ready_when.rule(client)
        group = yield Request(send=partial(client.get_group, self._group_id), billed_as=GET)
        readiness = rule.assess(group)
        return Sighting(
            state=readiness.state.value,
            reason=f"group {group.id}: {readiness.reason}",
            seen=group.public(),
            unknown_status=readiness.unknown_status,
        )


@dataclass(kw_only=True)
class _Seen:
    """What the look under way has seen of those that were not ready before."""

    waiting: dict[str, tuple[AudienceGroup, Readiness]] = field(default_factory=dict)
    failed: dict[str, tuple[AudienceGroup, Readiness]] = field(default_factory=dict)


class GroupsWatch:
    """
    Looks at many groups: by ListGroups, which is free and shows a hundred a page, as long as that is no more calls than
    GetGroup for each. Those that are ready are not looked at again; of one that is rejected, GetGroup tells why.

    :param group_ids: their ids, each once.
    :param ready_when: when one counts as ready.
    """

    def __init__(self, group_ids: Sequence[str], ready_when: ReadyWhen) -> None:
        self._ids = list(group_ids)
        self._ready_when = ready_when
        self._ready: dict[str, dict[str, Any]] = {}
        self._calls_by_list = 1
        """What looking by list has cost the last time; at first, that a page shows all."""

    def __call__(self, client: PaiClient) -> Steps:
        """
        Look once at those that were not ready yet.

        :param client: of the connection.
        """
        rule = self._ready_when.rule(client)
        seen = _Seen()
        missing = {group_id: None for group_id in self._ids if group_id not in self._ready}
        by_list = self._calls_by_list <= len(missing)
        calls = 0
        if by_list:
            calls = yield from self._list(client, rule, missing, seen)
        for group_id in missing:
            if seen.failed:
                break
            calls += 1
            self._assess(group_id, (yield from _get(client, group_id)), rule, seen)
        if by_list:
            self._calls_by_list = calls
        while seen.failed:
            failure = yield from self._failure(client, rule, seen)
            if failure is not None:
                return failure
        return self._sighting(seen)

    def _list(
        self, client: PaiClient, rule: ReadinessRule, missing: dict[str, None], seen: _Seen
    ) -> Generator[Request, Any, int]:
        """Take those that pages show out of what is missing, while a page costs less than what it may save."""
        page_number = pages = 1
        while True:
            groups, total = yield Request(send=partial(client.list_page, page_number))
            if page_number == 1 and groups:
                # The platform may give smaller pages than were asked for. Without a total, the next page may be one.
                pages = 1 if total is None else -(-total // len(groups))
            for group in groups:
                if group.id in missing:
                    del missing[group.id]
                    self._assess(group.id, group, rule, seen)
            left = pages - page_number
            if not groups or left <= 0 or left > len(missing):
                return page_number
            page_number += 1

    def _assess(self, group_id: str, group: AudienceGroup, rule: ReadinessRule, seen: _Seen) -> None:
        readiness = rule.assess(group)
        if readiness.state == "ready":
            self._ready[group_id] = _small(group)
        elif readiness.state == "failed":
            seen.failed[group_id] = (group, readiness)
        else:
            seen.waiting[group_id] = (group, readiness)

    def _failure(self, client: PaiClient, rule: ReadinessRule, seen: _Seen) -> Generator[Request, Any, Sighting | None]:
        """Return what to say of the first that failed, in the order given; None if a closer look takes that back."""
        group_id, *others = [group_id for group_id in self._ids if group_id in seen.failed]
        group, readiness = seen.failed[group_id]
        if group.status in rule.failed_statuses and not group.history:
            # The list does not show the History.
            group = yield from _get(client, group_id)
            readiness = rule.assess(group)
            if readiness.state != "failed":
                del seen.failed[group_id]
                self._assess(group_id, group, rule, seen)
                return None
        rest = [seen.failed[other][0] for other in others]
        also = f" Failed too: {_names(rest)}." if rest else ""
        return Sighting(
            state="failed",
            reason=f"group {group.id} ({group.name}): {readiness.reason.rstrip('.')}.{also}",
            seen=[_small(found) for found in (group, *rest)],
        )

    def _sighting(self, seen: _Seen) -> Sighting:
        counted = f"{len(self._ready)} of {len(self._ids)} groups are ready"
        if len(self._ready) == len(self._ids):
            return Sighting(state="ready", reason=counted, seen=[self._ready[group_id] for group_id in self._ids])
        waiting = [seen.waiting[group_id] for group_id in self._ids if group_id in seen.waiting]
        unknown = [(group, readiness) for group, readiness in waiting if readiness.unknown_status]
        told = unknown or waiting
        named = _names([group for group, _ in told])
        return Sighting(
            state="waiting",
            reason=f"{counted}; waiting for {named}: {told[0][1].reason}" if told else counted,
            unknown_status=bool(unknown),
        )


def list_all(client: PaiClient, name: str) -> Generator[Request, Any, list[AudienceGroup]]:
    """
    List the groups of exactly that name, page after page, for nothing.

    :param client: of the connection.
    :param name: the name; the platform's own filter may match parts.
    """
    groups: dict[str, AudienceGroup] = {}
    for page_number in range(1, _MAX_PAGES + 1):
        page, total = yield Request(send=partial(client.list_page, page_number, name=name))
        known = len(groups)
        groups.update((group.id, group) for group in page)
        # A page without a new group is the list shifting, or its end; what it hides, the next look shows.
        if len(groups) == known or (total is not None and len(groups) >= total):
            break
    return [group for group in groups.values() if group.name == name]


def _get(client: PaiClient, group_id: str) -> Generator[Request, Any, AudienceGroup]:
    try:
        group: AudienceGroup = yield Request(send=partial(client.get_group, group_id), billed_as=GET)
    except NotFoundError as error:
        error.message = f"group {group_id}: {error.message}"
        raise
    return group


def _names(groups: Sequence[AudienceGroup]) -> str:
    named = [f"{group.name!r} ({group.id})" if group.name else group.id for group in groups[:_NAMED]]
    more = len(groups) - _NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _small(group: AudienceGroup) -> dict[str, Any]:
    return {"id": group.id, "name": group.name, "status": group.status, "amount": group.amount}
