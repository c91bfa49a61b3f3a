"""The rules of PAI's audience group service, without HTTP."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from .clock import Clock
from .pai_files import MISSING, FileCounter, FileError, FileSource, place_of
from .pai_rules import (
    MAX_ID_CHARACTERS,
    SOURCE_ALGORITHM,
    SOURCE_CSV,
    SOURCE_MAXCOMPUTE,
    SOURCE_TEXT,
    CreateParameters,
    ListParameters,
    bucket_of,
    invalid,
    is_phone_number,
    mask_text,
    read_create_body,
    text_lines,
)
from .replies import BAD_REQUEST, FORBIDDEN, NOT_FOUND, ApiError
from .settings import Settings

STATUS_CHECKING = 0
STATUS_REJECTED = 2
# The service writes the time of Beijing, without saying so.
SERVICE_ZONE = timezone(timedelta(hours=8))
GROUP_NOT_FOUND = "Audience group not found"
TABLE_NOT_FOUND = "MaxCompute project or table not found"
NOT_AUTHORISED = "No access to the {}: one-click authorization is not complete"


def format_time(epoch_seconds: float) -> str:
    """Return a time as the service writes it: in UTC+8, without a zone."""
    moment = datetime.fromtimestamp(epoch_seconds, UTC).astimezone(SERVICE_ZONE)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


@dataclass(kw_only=True)
class Group:
    """
    One audience group. Its final state is decided when it is made, and shown once it was processed.

    :param text: text of source 0, masked; the numbers themselves are not kept.
    :param people: the Amount after processing.
    :param final_status: the Status after processing.
    :param history: reason why it is rejected; empty if it is not.
    :param created_at: when it was made, in seconds since the epoch.
    :param checked_at: when processing ends, in seconds since the epoch.
    """

    group_id: str
    source: int
    phone_number: bool
    strings: Mapping[str, str]
    text: str
    people: int
    final_status: int
    history: str
    created_at: float
    checked_at: float
    deleted: bool = False

    def status(self, now: float) -> int:
        """Return the Status at a time in seconds since the epoch."""
        return self.final_status if now >= self.checked_at else STATUS_CHECKING

    def as_data(self, now: float) -> dict[str, Any]:
        """Return the group as create and list return it."""
        checked = now >= self.checked_at
        return {
            **self.strings,
            "Amount": self.people if checked else 0,
            "CreatedTime": format_time(self.created_at),
            "Id": self.group_id,
            "PhoneNumber": self.phone_number,
            "Source": self.source,
            "Status": self.status(now),
            "Text": self.text,
            "UpdatedTime": format_time(self.checked_at if checked else self.created_at),
        }

    def as_details(self, now: float) -> dict[str, Any]:
        """Return the group as get returns it, with more fields."""
        history = self.history if now >= self.checked_at else ""
        return {**self.as_data(now), "CampaignId": "", "History": history}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """
    A group that passed all checks and is not made yet.

    :param people: number of people in its source.
    :param history: reason why it will be rejected; empty if it will not.
    """

    parameters: CreateParameters
    people: int
    history: str


class PaiService:
    """
    The groups of one account. Callers must hold the state's lock, except for :meth:`draft`.

    :param clock: clock of the emulator.
    :param settings: function that returns the present settings.
    """

    def __init__(self, *, clock: Clock, settings: Callable[[], Settings]) -> None:
        self._clock = clock
        self._settings = settings
        self._groups: dict[str, Group] = {}
        self._files = FileCounter()

    def draft(self, body: bytes) -> Draft:
        """
        Check a call, and count the people in its source. This may take as long as reading a file.

        :param body: JSON of a CreateGroup call.
        :raises ApiError: 400 for bad parameters, 403 and 404 for sources that can't be read.
        """
        settings = self._settings()
        parameters = read_create_body(body, strict=settings.strict_source_parameters, known_files=settings.files)
        try:
            people = _count_people(parameters, settings, self._files)
            history = _why_rejected(parameters, settings)
        except FileError as error:
            people, history = 0, str(error)
        return Draft(parameters=parameters, people=people, history=history)

    def create(self, draft: Draft) -> dict[str, Any]:
        """
        Make a group, and return it as create returns it.

        :param draft: checked group that :meth:`draft` returned.
        """
        settings, now = self._settings(), self._clock.now()
        parameters, history = draft.parameters, draft.history
        group = Group(
            group_id=str(uuid.uuid4()),
            source=parameters.source,
            phone_number=parameters.phone_number,
            strings={name: value for name, value in parameters.strings.items() if name != "Text"},
            text=mask_text(parameters.strings["Text"]),
            people=0 if history else draft.people,
            final_status=STATUS_REJECTED if history else settings.final_status,
            history=history,
            created_at=now,
            checked_at=now + settings.processing_seconds,
        )
        self._groups[group.group_id] = group
        return group.as_data(now)

    def _find(self, group_id: str) -> Group:
        if not group_id.strip():
            raise ApiError(BAD_REQUEST, "Missing parameter: Id")
        if len(group_id) > MAX_ID_CHARACTERS:
            raise invalid("Id", f"must have at most {MAX_ID_CHARACTERS} characters")
        group = self._groups.get(group_id)
        if group is None or group.deleted:
            raise ApiError(NOT_FOUND, GROUP_NOT_FOUND)
        return group

    def get(self, group_id: str) -> dict[str, Any]:
        """
        Return a group with all fields.

        :param group_id: id of the group.
        :raises ApiError: 400 without an id, 404 for an unknown id.
        """
        return self._find(group_id).as_details(self._clock.now())

    def delete(self, group_id: str) -> str:
        """
        Delete a group, and return its id; the document says only that delete returns a string.

        :param group_id: id of the group.
        :raises ApiError: 400 without an id, 404 for an unknown id.
        """
        self._find(group_id).deleted = True
        return group_id

    def list_groups(self, query: ListParameters) -> dict[str, Any]:
        """
        Return a page of groups, newest first, with the page size that was really used.

        :param query: filters, page number and page size.
        """
        settings, now = self._settings(), self._clock.now()
        found = [group for group in reversed(self._groups.values()) if self._matches(group, query, now)]
        page_size = min(query.page_size, settings.max_page_size)
        start = (query.page_number - 1) * page_size
        return {
            "Groups": [group.as_data(now) for group in found[start : start + page_size]],
            "PageNumber": query.page_number,
            "PageSize": page_size,
            "TotalCount": len(found),
        }

    def _matches(self, group: Group, query: ListParameters, now: float) -> bool:
        exact = (
            (query.phone_number, group.phone_number),
            (query.source, group.source),
            (query.status, group.status(now)),
        )
        if group.deleted or any(wanted is not None and wanted != value for wanted, value in exact):
            return False
        return self._has_text(group, "Name", query.name) and self._has_text(group, "Remark", query.remark)

    def _has_text(self, group: Group, field_name: str, wanted: str | None) -> bool:
        if wanted is None:
            return True
        value = group.strings[field_name]
        return wanted in value if self._settings().fuzzy_filters else wanted == value

    def inspect(self) -> list[dict[str, Any]]:
        """Return all groups, including deleted ones, oldest first, as the control API shows them."""
        now = self._clock.now()
        return [
            {
                **group.as_details(now),
                "Deleted": group.deleted,
                "People": group.people,
                "CheckedAt": group.checked_at,
            }
            for group in self._groups.values()
        ]


def _count_people(parameters: CreateParameters, settings: Settings, files: FileCounter) -> int:
    strings = parameters.strings
    if parameters.source == SOURCE_TEXT:
        return len(set(text_lines(strings["Text"])))
    if parameters.source == SOURCE_ALGORITHM:
        return settings.default_algorithm_amount
    if parameters.source == SOURCE_MAXCOMPUTE:
        if strings["Project"] in settings.forbidden_projects:
            raise ApiError(FORBIDDEN, NOT_AUTHORISED.format("MaxCompute project"))
        amount = settings.maxcompute.get(strings["Project"], {}).get(strings["Table"])
        if amount is None:
            raise ApiError(NOT_FOUND, TABLE_NOT_FOUND)
        return amount
    uri = strings["Uri"]
    if uri in settings.files:
        return settings.files[uri]
    if bucket_of(uri) in settings.forbidden_buckets:
        raise ApiError(FORBIDDEN, NOT_AUTHORISED.format("OSS bucket"))
    place = place_of(uri, settings.file_roots)
    if place is None and settings.file_roots:
        raise FileError(MISSING)
    if place is None:
        return settings.default_file_amount
    is_csv, column = parameters.source == SOURCE_CSV, strings["Column"]
    return files.count(FileSource(place=place, is_csv=is_csv, column=column, phone_number=parameters.phone_number))


def _why_rejected(parameters: CreateParameters, settings: Settings) -> str:
    if parameters.strings["Name"] in settings.reject_names:
        return "The audience did not pass the review"
    lines = text_lines(parameters.strings["Text"])
    # Without PhoneNumber the lines are members of another kind, for which there is no rule.
    if parameters.phone_number and lines and not any(map(is_phone_number, lines)):
        return "The text holds no valid phone number"
    return ""
