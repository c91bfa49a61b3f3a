"""
Reading all pages of a list of groups that may change meanwhile.

If a group is deleted between two pages, those after it move forward: one of them may move from a page not yet read to
one that was read, and is overlooked. An overlooked group would be created, and billed, a second time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_audiences.platforms.pai.group_spec import parse_source
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.validation import exact_text, true_or_false, whole_number
from airflow_provider_audiences.waiting.polls import Request, answered
from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)

ReadPage = Callable[[int], tuple[list[AudienceGroup], int | None]]
"""Takes the number of a page; returns its groups, and the number of groups on all pages, None if that is not known."""

_MAX_PAGES = 1000
_MAX_PASSES = 3


def list_query(
    *,
    name: object = None,
    remark: object = None,
    phone_number: object = None,
    source: object = None,
    status: object = None,
) -> dict[str, str]:
    """
    Return the query parameters of ListGroups. None is no filter; an empty filter is refused, as it would list all
    groups.

    :param name: text that the name has in it.
    :param remark: text that the remark has in it.
    :param phone_number: True or False, also as text (as templates render it).
    :param source: number of the source, also as text.
    :param status: review status as a number, also as text.
    :raises InvalidInputError: a filter is empty, or not of that form.
    """
    query: dict[str, str] = {}
    if name is not None:
        query["Name"] = exact_text("name", name)
    if remark is not None:
        query["Remark"] = exact_text("remark", remark)
    if phone_number is not None:
        query["PhoneNumber"] = str(true_or_false("phone_number", phone_number)).lower()
    if source is not None:
        query["Source"] = str(parse_source(source).value)
    if status is not None:
        query["Status"] = str(whole_number("status", status, at_least=0))
    return query


@dataclass(frozen=True, kw_only=True)
class Listing:
    """
    The result of reading a list once.

    :param groups: the groups by id.
    :param total: number of groups on all pages, by the last page read; None if the platform does not say.
    :param is_whole: whether there is no sign that a group was overlooked.
    """

    groups: dict[str, AudienceGroup]
    total: int | None
    is_whole: bool


def list_once(
    read_page: ReadPage, *, is_enough: Callable[[Mapping[str, AudienceGroup], float], bool] = lambda *_: False
) -> Generator[Request, Any, Listing]:
    """
    Request one page after the other of a list that may change meanwhile, as the requests of a poll.

    :param read_page: function that requests one page.
    :param is_enough: called after each page with the groups so far and the number of pages that may be left (infinity
        if that is not known); if it returns true, no further page is requested.
    """
    groups: dict[str, AudienceGroup] = {}
    totals: list[int | None] = []
    stale_pages = page_size = 0
    for page_number in range(1, _MAX_PAGES + 1):
        page, total = yield Request(send=partial(read_page, page_number))
        totals.append(total)
        known = len(groups)
        for group in page:
            groups.setdefault(group.id, group)
        # The platform may give smaller pages than were asked for.
        page_size = page_size or len(page)
        # One page without new groups may be a shifted list; two mean that the server repeats its last page.
        stale_pages = 0 if len(groups) > known else stale_pages + 1
        if not page or stale_pages > 1 or (total is not None and len(groups) >= total):
            break
        if is_enough(groups, math.inf if total is None else math.ceil((total - len(groups)) / page_size)):
            break
    else:
        log.warning("Stopped listing PAI groups after %d pages: there may be more.", _MAX_PAGES)
        return Listing(groups=groups, total=None, is_whole=True)
    is_whole = len(set(totals)) == 1 and (total is None or len(groups) >= total)
    return Listing(groups=groups, total=total, is_whole=is_whole)


def list_all_pages(read_page: ReadPage) -> list[AudienceGroup]:
    """
    Return the groups of all pages, each once. If the list changed meanwhile, read it again, up to three times in all.

    If it changed each time, the result has all groups seen at any time, even if some were deleted in the meantime.

    :param read_page: function that requests one page.
    """
    groups: dict[str, AudienceGroup] = {}
    for _ in range(_MAX_PASSES):
        listing = answered(list_once(read_page))
        if listing.is_whole:
            return list(listing.groups.values())
        groups.update(listing.groups)
    spoken_of = "an unknown number of groups" if listing.total is None else counted(listing.total, "group")
    log.warning(
        "PAI speaks of %s and listed %d: they changed meanwhile, each of %d times; one may be missing.",
        spoken_of,
        len(listing.groups),
        _MAX_PASSES,
    )
    return list(groups.values())
