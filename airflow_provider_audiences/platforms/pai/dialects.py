"""
The two dialects of the service: with an API key as in Alibaba Cloud's document, and with signatures as in its SDK.

Groups and their JSON envelope are the same in both. Addresses, paths and the meaning of Status 0 differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from airflow_provider_audiences.exceptions import InvalidInputError

DialectName = Literal["bearer", "openapi"]

API_VERSION = "2022-01-12"
CHINA_BASE_URL = "https://api.aliyun.com/api/PaiPlugin/2022-01-12"
INTERNATIONAL_BASE_URL = "https://api.alibabacloud.com/api/PaiPlugin/2022-01-12"
OPENAPI_REGION = "cn-hangzhou"
OPENAPI_BASE_URL = f"https://paiplugin.{OPENAPI_REGION}.aliyuncs.com"
"""The only public address of this dialect; the SDK's own default host is doubtful."""

_REGION_PATTERN = re.compile(r"[a-z]{2}-[a-z]{3,}(?:-(?:[a-z]{2,}|[0-9]{1,3}))*")
"""Matches regions, but no zones, which have a single letter more: ``cn-hangzhou-h``, ``ap-southeast-1a``."""

STATUS_CHECKING = 0
STATUS_PASSED = 1
STATUS_REJECTED = 2


@dataclass(frozen=True, kw_only=True)
class PaiDialect:
    """
    The differences between the dialects.

    :param name: ``bearer`` (with an API key) or ``openapi`` (with an AccessKey).
    :param create_path: path of CreateGroup below the base URL.
    :param get_path: path of GetGroup; ``{id}`` stands for the group's id.
    :param delete_path: path of DeleteGroup; ``{id}`` stands for the group's id.
    :param list_path: path of ListGroups below the base URL.
    :param ready_statuses: statuses of a group that is ready, once there are people in it.
    :param failed_statuses: statuses of a group that never becomes ready.
    :param names_actions: whether the headers of each request name action and version.
    :param content_type: content type of the JSON that creates a group.
    """

    name: DialectName
    create_path: str
    get_path: str
    delete_path: str
    list_path: str
    ready_statuses: frozenset[int]
    failed_statuses: frozenset[int] = frozenset({STATUS_REJECTED})
    names_actions: bool
    content_type: str

    def headers(self, action: str) -> dict[str, str]:
        """
        Return the headers that a request needs.

        :param action: action of the request, such as ``CreateGroup``.
        """
        return {"x-acs-action": action, "x-acs-version": API_VERSION} if self.names_actions else {}

    def base_url(self, region: str) -> str:
        """
        Return the base URL for a region.

        :param region: id of the region, such as ``cn-hangzhou`` or ``ap-southeast-1``.
        :raises InvalidInputError: the text can't be the id of a region.
        """
        region = checked_region(region)
        if self.name == "openapi":
            return OPENAPI_BASE_URL
        return CHINA_BASE_URL if region.startswith("cn-") else INTERNATIONAL_BASE_URL


def checked_region(region: str) -> str:
    """
    Return the id of an Alibaba Cloud region in lower case, after checking its form; the region need not exist.

    :param region: id of the region, in any case.
    :raises InvalidInputError: the text is the name of a place, a zone, an address, or misspelt.
    """
    word = region.strip().lower()
    if not _REGION_PATTERN.fullmatch(word):
        raise InvalidInputError(
            f"region {region!r} is no id of a region: give one such as cn-hangzhou or ap-southeast-1, that is, two "
            "letters of the country or area, a hyphen, and the place"
        )
    return word


BEARER = PaiDialect(
    name="bearer",
    create_path="/CreateGroup",
    get_path="/GetGroup?Id={id}",
    delete_path="/DeleteGroup/{id}",
    list_path="/ListGroups",
    # The document: "0 typically means ready"; the vendor's other pages: 1 = passed.
    ready_statuses=frozenset({STATUS_CHECKING, STATUS_PASSED}),
    names_actions=False,
    content_type="application/json",
)
OPENAPI = PaiDialect(
    name="openapi",
    create_path="/api/v2/groups",
    get_path="/api/v2/groups/{id}",
    delete_path="/api/v2/groups/{id}",
    list_path="/api/v2/groups",
    ready_statuses=frozenset({STATUS_PASSED}),
    names_actions=True,
    content_type="application/json; charset=utf-8",  # as the SDK sends it
)


def path_of(template: str, group_id: str) -> str:
    """
    Return a path with a group's id in it.

    :param template: path of a dialect, with ``{id}``.
    :param group_id: id of the group; it is percent-encoded here, slashes too.
    """
    return template.replace("{id}", quote(group_id, safe=""))
