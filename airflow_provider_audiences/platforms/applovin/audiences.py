"""
AppLovin audiences: the parameters that create one, and the fields that the list shows.

Source of every statement about the API: AppLovin's Audience API document, version 3.0 (March 2015).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.validation import (
    MAX_NAME_CHARACTERS,
    api_integer,
    api_text,
    exact_text,
    given_text,
    not_longer,
    one_of,
    required_text,
)

MAX_AUDIENCE_ID_CHARACTERS = 200
"""Most characters of an audience id. AppLovin documents no limit; its ids have 32 characters."""

_NAME_PATTERN = re.compile(r"[A-Za-z0-9_\-+ ]+")


class MobilePlatform(StrEnum):
    """The platform of the app."""

    ANDROID = "android"
    IOS = "ios"


class AudienceType(StrEnum):
    """The kind of campaigns that use the audience: user acquisition, or retargeting (the API's default)."""

    UA = "ua"
    RETARGETING = "retargeting"


@dataclass(frozen=True, kw_only=True)
class Audience:
    """
    An audience, as the account's list shows it.

    :param audience_id: id of the audience, opaque text.
    :param name: name, as it was given when the audience was created.
    :param package_name: package name, bundle ID or, on iOS, possibly the iTunes ID.
    :param platform: platform of the app: ``android`` or ``ios``.
    :param description: description, as it was given when the audience was created.
    :param user_count: number of users, as far as the platform has counted them; None if the list does not say.
    """

    audience_id: str
    name: str
    package_name: str
    platform: str
    description: str
    user_count: int | None

    @classmethod
    def from_api(cls, entry: Mapping[str, Any]) -> Audience:
        """
        Return the audience of an entry in the reply to ``list``.

        :param entry: JSON object of the audience; counts may be numbers or text.
        """
        return cls(
            audience_id=api_text(entry.get("audience_id")),
            name=api_text(entry.get("name")),
            package_name=api_text(entry.get("package_name")),
            platform=api_text(entry.get("platform")).lower(),
            description=api_text(entry.get("description")),
            user_count=api_integer(entry.get("user_count")),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the audience as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class AudienceSpec:
    """
    The parameters of ``create``; :meth:`checked` makes them of a user's arguments.

    :param name: letters, digits, ``_ - +`` and space.
    :param platform: platform of the app.
    :param audience_type: kind of campaigns that use the audience.
    :param package_name: package name or bundle ID of the app; required for retargeting.
    :param description: free text; None for none.
    """

    name: str
    platform: MobilePlatform
    audience_type: AudienceType
    package_name: str | None
    description: str | None

    @classmethod
    def checked(
        cls,
        *,
        name: str,
        platform: str,
        audience_type: str = AudienceType.RETARGETING,
        package_name: str | None = None,
        description: str | None = None,
    ) -> AudienceSpec:
        """
        Return the spec of a user's arguments after checking them.

        :param name: letters, digits, ``_ - +`` and space.
        :param platform: ``android`` or ``ios``, in any case.
        :param audience_type: kind of campaigns that use the audience: ``retargeting`` or ``ua`` (user acquisition).
        :param package_name: package name or bundle ID of the app; required for retargeting.
        :param description: free text; empty counts as None.
        :raises InvalidInputError: an argument is missing, or not of that form.
        """
        written_name = not_longer("name", exact_text("name", name), than=MAX_NAME_CHARACTERS, whose="AppLovin")
        if not _NAME_PATTERN.fullmatch(written_name):
            raise InvalidInputError(
                f"name {written_name!r}: AppLovin takes letters, digits, '_', '-', '+' and spaces only"
            )
        description = given_text("description", description)
        spec = cls(
            name=written_name,
            platform=MobilePlatform(one_of("platform", platform, MobilePlatform)),
            audience_type=AudienceType(one_of("audience_type", audience_type, AudienceType)),
            # It limits which audience is found, so an empty one is refused: it would not mean "any".
            package_name=None if package_name is None else package_name_of(package_name),
            description=None if description is None else description.strip(),
        )
        if spec.audience_type is AudienceType.RETARGETING and not spec.package_name:
            raise InvalidInputError(
                "package_name is missing: a retargeting audience needs the app's package name or bundle ID "
                "(or is this audience_type='ua'?)"
            )
        return spec

    def to_query(self) -> dict[str, str]:
        """Return the query parameters of ``create``; the type is always among them."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}

    def matches(self, audience: Audience) -> bool:
        """
        Return whether a listed audience may be the one that this spec creates.

        Name and platform must be equal; and the package name, if the list shows it in the form in which it was given.

        :param audience: an entry of the account's list.
        """
        if audience.name != self.name or audience.platform != self.platform:
            return False
        # On iOS the list may show the iTunes ID instead.
        if self.platform is MobilePlatform.IOS or not audience.package_name or self.package_name is None:
            return True
        return audience.package_name == self.package_name


def package_name_of(given: object) -> str:
    """
    Return an app's package name or bundle ID, after checking it.

    :param given: value of the operator's argument ``package_name``.
    :raises InvalidInputError: the value is empty, too long, or not text.
    """
    return not_longer("package_name", required_text("package_name", given), than=MAX_NAME_CHARACTERS, whose="AppLovin")


def audience_id_of(value: object, *, name: str = "audience_id") -> str:
    """
    Return an argument that is the id of an audience, without surrounding white space.

    :param value: value of the argument; a whole number other than 0 is taken as its decimal text.
    :param name: name of the argument, for the message.
    :raises InvalidInputError: the value is not text, blank, or longer than :data:`MAX_AUDIENCE_ID_CHARACTERS`.
    """
    return not_longer(name, required_text(name, value), than=MAX_AUDIENCE_ID_CHARACTERS, whose="AppLovin")
