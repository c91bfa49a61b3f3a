"""A PAI audience group as a value: what the API shows of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_audiences.platforms.pai.group_spec import api_name, without_query
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.validation import api_integer, api_text, not_longer, path_id

MAX_ID_CHARACTERS = 1000
"""What the document allows a GetGroup request to hold."""


def checked_group_id(name: str, value: object) -> str:
    """
    Return the id of a group.

    :param name: the argument, for the message.
    :param value: what the caller gave; a whole number is taken as its text.
    :raises InvalidInputError: it is not text, blank, a relative path, or longer than the API takes.
    """
    return not_longer(name, path_id(name, value), than=MAX_ID_CHARACTERS, whose="PAI")


Rank = tuple[str, int, tuple[int, int, str, str]]
"""A group's place in the order that everybody sees alike."""


def rank_of(created_time: str, generation: int, group_id: str) -> Rank:
    """
    Return the place of a group among others: of two groups, the later one has the higher rank.

    The order follows from what the platform shows alone, so that everybody sees it alike, and no two groups have one
    rank.

    :param created_time: as the platform writes it, in seconds; the first thing that counts.
    :param generation: of the group's mark; it counts within a second.
    :param group_id: it counts last; one that is a number is compared as a number, and before those that are text.
    """
    if group_id.isascii() and group_id.isdecimal():
        number = group_id.lstrip("0")
        return created_time, generation, (0, len(number), number, group_id)
    return created_time, generation, (1, 0, group_id, group_id)


@dataclass(frozen=True, kw_only=True)
class AudienceGroup:
    """
    A group as the API shows it. Times are ``YYYY-MM-DD HH:MM:SS`` in UTC+8, as the API writes them.

    :param id: the group's id.
    :param status: 0 checking (or ready, in the Bearer document), 1 passed, 2 rejected; None if not shown.
    :param amount: estimated number of people; 0 while it is checked.
    :param text: masked by the platform, and personal data nevertheless: not in the repr or the dict.
    :param history: why a review failed; only GetGroup shows it.
    :param remark: as the user wrote it, without the mark.
    :param marker: the mark at the end of the remark; None for groups that no task of ours made.
    """

    id: str
    name: str
    status: int | None
    amount: int
    source: int | None
    phone_number: bool | None
    project: str
    table: str
    column: str
    filter: str
    algorithm: str
    inference_job_id: str
    remark: str
    uri: str = field(repr=False)
    text: str = field(repr=False)
    campaign_id: str
    history: str
    created_time: str
    updated_time: str
    marker: GroupMarker | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> AudienceGroup:
        """
        Read a group's JSON object.

        :param data: ``Data`` of create and get, or an entry of ``Groups``.
        """
        values = {
            item.name: api_text(data.get(api_name(item.name)))
            for item in fields(cls)
            if item.name not in {"status", "amount", "source", "phone_number", "marker"}
        }
        values["remark"], marker = GroupMarker.read(values["remark"])
        phone_number = data.get("PhoneNumber")
        return cls(
            **values,
            marker=marker,
            status=api_integer(data.get("Status")),
            amount=api_integer(data.get("Amount")) or 0,
            source=api_integer(data.get("Source")),
            phone_number=phone_number if isinstance(phone_number, bool) else None,
        )

    @property
    def rank(self) -> Rank:
        """Its place in the order of groups: the later one has the higher rank."""
        return rank_of(self.created_time, self.marker.generation if self.marker else 0, self.id)

    def public(self) -> dict[str, Any]:
        """Return it as small JSON, without mark and personal data: no text, and the uri without its query."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in {"text", "marker"}}
        values["uri"] = without_query(self.uri)
        return values
