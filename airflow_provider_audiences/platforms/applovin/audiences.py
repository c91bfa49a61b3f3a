"""
AppLovin audiences as values: what creates one, and what ``list`` shows of one.

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

_NAME_PATTERN = re.compile(r"[A-Za-z0-9_\-+ ]+")


class Platform(StrEnum):
    """The app's platform."""

    ANDROID = "android"
    IOS = "ios"


class AudienceType(StrEnum):
    """What campaigns the audience is for: user acquisition or retargeting (the API's default)."""

    UA = "ua"
    RETARGETING = "retargeting"


@dataclass(frozen=True, kw_only=True)
class Audience:
    """
    An audience as ``list`` shows it.

    :param audience_id: opaque text.
    :param name: as it was created.
    :param package_name: package name, bundle ID or, on iOS, possibly the iTunes ID.
    :param platform: ``android`` or ``ios``.
    :param description: as it was created.
    :param user_count: users in it, as far as the platform has counted; None if it does not say.
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
        Read one entry of ``audiences``.

        :param entry: the JSON object; counts may be numbers or text.
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
        """Return it as small JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class AudienceSpec:
    """
    The parameters of ``create``; use :meth:`checked` to make one.

    :param name: letters, digits, ``_ - +`` and space.
    :param platform: the app's platform.
    :param audience_type: what campaigns the audience is for.
    :param package_name: package name or bundle ID; required for retargeting.
    :param description: free text.
    """

    name: str
    platform: Platform
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
        Return a spec whose parameters have been checked.

        :param name: letters, digits, ``_ - +`` and space.
        :param platform: ``android`` or ``ios``, in any case.
        :param audience_type: ``retargeting`` or ``ua``.
        :param package_name: package name or bundle ID; required for retargeting.
        :param description: free text; an empty one is left out.
        :raises InvalidInputError: a parameter is missing or wrong.
        """
        written_name = not_longer("name", exact_text("name", name), than=MAX_NAME_CHARACTERS)
        if not _NAME_PATTERN.fullmatch(written_name):
            raise InvalidInputError(
                f"name {written_name!r}: AppLovin takes letters, digits, '_', '-', '+' and spaces only"
            )
        description = given_text("description", description)
        spec = cls(
            name=written_name,
            platform=Platform(one_of("platform", platform, Platform)),
            audience_type=AudienceType(one_of("audience_type", audience_type, AudienceType)),
            # It narrows which audience is found, so an empty one does not mean any.
            package_name=None if package_name is None else _package_name(package_name),
            description=None if description is None else description.strip(),
        )
        if spec.audience_type is AudienceType.RETARGETING and not spec.package_name:
            raise InvalidInputError(
                "package_name is missing: a retargeting audience needs the app's package name or bundle ID "
                "(or is this audience_type='ua'?)"
            )
        return spec

    def to_query(self) -> dict[str, str]:
        """Return the query of ``create``; the type is always in it."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}

    def matches(self, audience: Audience) -> bool:
        """
        Compare name and platform; and the package name where the list shows it as it was created.

        :param audience: an entry of the list.
        """
        if audience.name != self.name or audience.platform != self.platform:
            return False
        # On iOS the list may show the iTunes ID instead.
        if self.platform is Platform.IOS or not audience.package_name or self.package_name is None:
            return True
        return audience.package_name == self.package_name


def _package_name(given: str) -> str:
    return not_longer("package_name", required_text("package_name", given), than=MAX_NAME_CHARACTERS)
