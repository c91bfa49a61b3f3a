"""PAI audience groups, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_audiences.platforms.pai.group_spec import api_name, without_query
from airflow_provider_audiences.platforms.pai.marker import GroupMarker
from airflow_provider_audiences.validation import api_integer, api_text, not_longer, path_id

MAX_ID_CHARACTERS = 1000
"""Longest GetGroup request that the document allows, in characters."""


def checked_group_id(name: str, value: object) -> str:
    """
    Return the id of a group, after checking it.

    :param name: name of the argument, for the message.
    :param value: value that the user gave; a whole number becomes text.
    :raises InvalidInputError: the value is not text, blank, a relative path, or longer than the API takes.
    """
    return not_longer(name, path_id(name, value), than=MAX_ID_CHARACTERS, whose="PAI")


Rank = tuple[str, int, tuple[int, int, str, str]]
"""The place of a group in an order that is the same for everybody."""


def rank_of(created_time: str, sequence: int, group_id: str) -> Rank:
    """
    Return the rank of a group; of two groups, the later one has the higher rank.

    Ranks depend only on data that the platform shows, so they are the same for everybody; no two groups have the same.

    :param created_time: created time, in seconds, as the platform writes it; it decides first.
    :param sequence: sequence in the group's marker; it decides within a second.
    :param group_id: id of the group; it decides last. Numbers are compared as numbers, and come before other text.
    """
    if group_id.isascii() and group_id.isdecimal():
        number = group_id.lstrip("0")
        return created_time, sequence, (0, len(number), number, group_id)
    return created_time, sequence, (1, 0, group_id, group_id)


@dataclass(frozen=True, kw_only=True)
class AudienceGroup:
    """
    A group, as the API shows it. Times are ``YYYY-MM-DD HH:MM:SS`` in UTC+8, as the API writes them.

    :param id: id of the group.
    :param status: 0 checking (with an API key, possibly ready), 1 passed, 2 rejected; None if it is not shown.
    :param amount: estimated number of people; 0 while the group is checked.
    :param text: phone numbers, masked by the platform, but still personal data: not in the repr or the dict.
    :param history: why a review failed; only GetGroup shows it.
    :param remark: remark as the user wrote it, without the marker.
    :param marker: marker at the end of the remark; None for groups that this provider has not made.
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
        Return the group of a JSON object.

        :param data: ``Data`` of the reply to create or get, or an entry of ``Groups`` in that to list.
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
        """Rank among the groups: the later one has the higher rank."""
        return rank_of(self.created_time, self.marker.sequence if self.marker else 0, self.id)

    def public(self) -> dict[str, Any]:
        """Return the group as JSON, without the marker, the text, and the query of its uri."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in {"text", "marker"}}
        values["uri"] = without_query(self.uri)
        return values
