"""
All pages of a list of groups that others change meanwhile.

A group that is deleted between two pages moves those behind it to the front: one slips from a page that is still to
come to one that was read. What is overlooked would be made, and billed, a second time.
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

log = logging.getLogger(__name__)

ReadPage = Callable[[int], tuple[list[AudienceGroup], int | None]]
"""From a page's number to its groups, and how many there are on all pages, if the platform says it."""

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
    Return the filters of ListGroups as it takes them. None is no filter; what is empty is refused: it would list all.

    :param name: text.
    :param remark: text.
    :param phone_number: a bool or its text.
    :param source: the source's number or its text.
    :param status: the review status or its text.
    :raises InvalidInputError: a filter is empty, or no such value.
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
    What the pages of a list showed.

    :param groups: each group once, by id.
    :param total: how many there are on all pages, by the last page that was read; None if the platform does not say.
    :param is_whole: whether nothing speaks for a group that was overlooked.
    """

    groups: dict[str, AudienceGroup]
    total: int | None
    is_whole: bool


def list_once(
    read_page: ReadPage, *, is_enough: Callable[[Mapping[str, AudienceGroup], float], bool] = lambda *_: False
) -> Generator[Request, Any, Listing]:
    """
    Ask for page after page of a list that others may change meanwhile.

    :param read_page: asks for a page.
    :param is_enough: given the groups so far, and how many pages may be left (infinity if the platform gives no
        total): whether to stop there.
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
        # One page of known groups may be the list shifting; two are a server that repeats its last page.
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
    Return each group once; from the first page again if the list changed meanwhile, up to three times in all.

    If it changed each time, a group that was seen in any of them is returned, also one that was deleted since.

    :param read_page: asks for a page.
    """
    groups: dict[str, AudienceGroup] = {}
    for _ in range(_MAX_PASSES):
        listing = answered(list_once(read_page))
        if listing.is_whole:
            return list(listing.groups.values())
        groups.update(listing.groups)
    log.warning(
        "PAI speaks of %s groups and listed %d: they changed meanwhile, each of %d times; one may be missing.",
        listing.total,
        len(listing.groups),
        _MAX_PASSES,
    )
    return list(groups.values())
