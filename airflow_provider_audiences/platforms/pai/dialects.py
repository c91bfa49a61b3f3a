"""
The two dialects of one service: with an API key as in Alibaba Cloud's document, and with signatures as its SDK speaks.

The groups and their envelope are the same in both; addresses, paths and the meaning of Status 0 are not.
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
"""A zone has a single letter more, such as ``cn-hangzhou-h`` or ``ap-southeast-1a``."""

STATUS_CHECKING = 0
STATUS_PASSED = 1
STATUS_REJECTED = 2


@dataclass(frozen=True, kw_only=True)
class PaiDialect:
    """
    What differs between the dialects.

    :param name: ``bearer`` (an API key) or ``openapi`` (an AccessKey).
    :param create_path: of CreateGroup, below the base URL.
    :param get_path: of GetGroup; ``{id}`` stands for the group's id.
    :param delete_path: of DeleteGroup; ``{id}`` stands for the group's id.
    :param list_path: of ListGroups.
    :param ready_statuses: what means ready, once there are people in the group.
    :param failed_statuses: what never becomes ready.
    :param names_actions: whether each request names action and version in its headers.
    :param content_type: of the JSON that creates a group.
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
        Return what a request has to say about itself.

        :param action: such as ``CreateGroup``.
        """
        return {"x-acs-action": action, "x-acs-version": API_VERSION} if self.names_actions else {}

    def base_url(self, region: str) -> str:
        """
        Return the address that serves a region.

        :param region: such as ``cn-hangzhou`` or ``ap-southeast-1``.
        :raises InvalidInputError: no region has such a name.
        """
        region = checked_region(region)
        if self.name == "openapi":
            return OPENAPI_BASE_URL
        return CHINA_BASE_URL if region.startswith("cn-") else INTERNATIONAL_BASE_URL


def checked_region(region: str) -> str:
    """
    Return the id of a region of Alibaba Cloud in lower case. Whether it exists is not checked: there are new ones.

    :param region: in any case.
    :raises InvalidInputError: it is the name of a place, a zone, an address, or misspelt.
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

    :param template: of a dialect.
    :param group_id: is percent-encoded here, slashes too.
    """
    return template.replace("{id}", quote(group_id, safe=""))
