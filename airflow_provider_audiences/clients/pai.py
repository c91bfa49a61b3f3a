"""
PAI audience groups over HTTP: create, get, list, delete, with an API key in the Authorization header.

Source of every statement about the API: Alibaba Cloud's PAI audience management document (PaiPlugin,
version 2022-01-12).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from airflow_provider_audiences.clients.limiter import shared_limiter
from airflow_provider_audiences.clients.pai_groups import AudienceGroup, GroupSpec, api_name
from airflow_provider_audiences.clients.pai_marker import without_marker
from airflow_provider_audiences.clients.redaction import PHONE_NUMBER_PATTERN, Redactor, Secret
from airflow_provider_audiences.clients.replies import Reply, is_error_status
from airflow_provider_audiences.clients.transport import ApiClient, Call, Transport, TransportSettings
from airflow_provider_audiences.clients.validation import api_integer, one_of, path_id, required_text
from airflow_provider_audiences.clients.wire import BearerAuth, header_key_session
from airflow_provider_audiences.exceptions import (
    AudienceApiError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    UnexpectedReplyError,
)

log = logging.getLogger(__name__)

CHINA_BASE_URL = "https://api.aliyun.com/api/PaiPlugin/2022-01-12"
INTERNATIONAL_BASE_URL = "https://api.alibabacloud.com/api/PaiPlugin/2022-01-12"
DEFAULT_REGION = "cn-hangzhou"
ACCOUNT_REQUESTS_PER_SECOND = 100.0
"""The account's limit; a client stays below it."""

DEFAULT_REQUESTS_PER_SECOND = 50.0
"""Half of that: other programs use the account too."""

DEFAULT_SETTINGS = TransportSettings(read_timeout_seconds=60.0)

_PAGE_SIZE = 100
_MAX_PAGES = 1000
_ADVICE = {
    400: "Check the parameters against the source; a failed create is billed.",
    401: "Check the API key in the connection's password.",
    403: (
        "Check the API key; complete one-click authorization in the PAI console; an OSS bucket needs the tag "
        "pai=plugin."
    ),
    429: "Lower max_requests_per_second in the connection's extra: the account's limit is 100 a second.",
    500: "If it persists, give the request id to Alibaba Cloud's support.",
}


@dataclass(frozen=True, kw_only=True)
class CreatedGroup:
    """
    What ``create_group`` came to.

    :param group: the group.
    :param adopted: whether it existed before this call.
    """

    group: AudienceGroup
    adopted: bool


class PaiClient(ApiClient):
    """
    Calls the audience group API with one API key.

    :param api_key: the API key.
    :param base_url: scheme, host and path prefix.
    :param settings: timeouts and retries.
    :param requests_per_second: limit that all clients of this account in this process share.
    :param sleep: waits between attempts.
    """

    def __init__(
        self,
        *,
        api_key: Secret,
        base_url: str = CHINA_BASE_URL,
        settings: TransportSettings = DEFAULT_SETTINGS,
        requests_per_second: float = DEFAULT_REQUESTS_PER_SECOND,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        account = hashlib.sha256(f"{base_url}\n{api_key.reveal()}".encode()).hexdigest()
        self._redact = Redactor(api_key, [PHONE_NUMBER_PATTERN])
        super().__init__(
            Transport(
                base_url=base_url,
                session=header_key_session(auth=BearerAuth(api_key)),
                settings=settings,
                limiter=shared_limiter(account, requests_per_second),
                sleep=sleep,
            )
        )

    def create_group(
        self,
        spec: GroupSpec,
        *,
        marker: str,
        if_exists: Literal["create", "adopt", "fail"] = "create",
        earlier_try: bool = False,
    ) -> CreatedGroup:
        """
        Create a group, once.

        CreateGroup has no idempotency token and bills failures, so it is never repeated blindly: after a
        reply that was lost, the group with the marker is looked up and taken if it is there.

        :param spec: the parameters; what :meth:`GroupSpec.checked` refuses is refused here too, but for its phone rule.
        :param marker: what ``pai_marker.group_marker`` returns; written at the end of the remark.
        :param if_exists: for groups of the same name: ``create`` another, ``adopt`` the one, or ``fail``.
        :param earlier_try: an earlier process may have made this very call: look for its group first.
        :raises ConflictError: the name is taken (``fail``), or several groups fit.
        """
        spec = spec.checked(phone_format="any")
        existing_rule = one_of("if_exists", if_exists, ("create", "adopt", "fail"))
        if earlier_try:
            mine = self._find_marked(spec.name, marker)
            if mine is not None:
                return CreatedGroup(group=mine, adopted=True)
        if existing_rule != "create":
            existing = self._find_named(required_text("name", spec.name), if_exists=existing_rule)
            if existing is not None:
                return CreatedGroup(group=existing, adopted=True)
        marked = replace(spec, remark=f"{spec.remark or ''} {marker}".strip())
        call = Call(
            operation="pai.create",
            method="POST",
            path="/CreateGroup",
            body=json.dumps(marked.to_api(), ensure_ascii=False).encode(),
            content_type="application/json",
            read=partial(self._read_group, creating=True),
            recover=partial(self._find_marked, spec.name, marker),
        )
        return CreatedGroup(group=self._transport.send(call), adopted=False)

    def get_group(self, group_id: str) -> AudienceGroup:
        """
        Get a group. A successful call is billed.

        :param group_id: the group's id.
        :raises NotFoundError: no such group.
        """
        call = Call(
            operation="pai.get",
            method="GET",
            path="/GetGroup",
            query={"Id": path_id("group_id", group_id)},
            read=self._read_group,
        )
        return self._transport.send(call)

    def delete_group(self, group_id: str, *, ignore_missing: bool = False) -> bool:
        """
        Delete a group. Billed whether it succeeds or not.

        :param group_id: the group's id.
        :param ignore_missing: a group that does not exist is no error.
        :return: whether it existed.
        :raises NotFoundError: no such group.
        """
        call = Call(
            operation="pai.delete",
            method="DELETE",
            path=f"/DeleteGroup/{quote(path_id('group_id', group_id), safe='')}",
            read=partial(self._read_deleted, ignore_missing=ignore_missing),
        )
        return self._transport.send(call)

    def list_groups(
        self,
        *,
        name: str | None = None,
        remark: str | None = None,
        phone_number: bool | None = None,
        source: int | None = None,
        status: int | None = None,
    ) -> list[AudienceGroup]:
        """
        List groups, all pages. Filters are the platform's: those on text may match parts.

        :param name: filter by name.
        :param remark: filter by remark.
        :param phone_number: filter by whether the group contains phone numbers.
        :param source: filter by the source's number.
        :param status: filter by review status.
        :return: each group once.
        """
        groups = self._list_marked(name=name, remark=remark, phone_number=phone_number, source=source, status=status)
        return [without_marker(group) for group in groups]

    def count_groups(self) -> int:
        """Return how many groups the account has, by one request for the smallest page."""
        page, total = self._list_page({}, 1, page_size=1)
        return len(page) if total is None else total

    def _list_marked(self, **filters: str | int | None) -> list[AudienceGroup]:
        """List groups with the markers in their remarks."""
        query = {api_name(key): _query_value(value) for key, value in filters.items() if value is not None}
        groups: dict[str, AudienceGroup] = {}
        total: int | None = None
        stale_pages = 0
        for page_number in range(1, _MAX_PAGES + 1):
            page, total = self._list_page(query, page_number)
            new = {group.id: group for group in page if group.id not in groups}
            groups.update(new)
            # One page of known groups may be the list shifting; two are a server that repeats its last page.
            stale_pages = 0 if new else stale_pages + 1
            if not page or stale_pages > 1 or (total is not None and len(groups) >= total):
                break
        else:
            log.warning("Stopped listing PAI groups after %d pages: there may be more.", _MAX_PAGES)
        if total is not None and len(groups) < total:
            log.warning("PAI speaks of %d groups and listed %d: they changed meanwhile.", total, len(groups))
        return list(groups.values())

    def _list_page(
        self, query: Mapping[str, str], page_number: int, *, page_size: int = _PAGE_SIZE
    ) -> tuple[list[AudienceGroup], int | None]:
        """Return one page and the total of groups, if the platform says it."""
        call = Call(
            operation="pai.list",
            method="GET",
            path="/ListGroups",
            query={**query, "PageNumber": str(page_number), "PageSize": str(page_size)},
            read=self._read_page,
        )
        return self._transport.send(call)

    def _find_marked(self, name: str | None, marker: str) -> AudienceGroup | None:
        """Find the group whose remark ends in the marker; the oldest, should there be several."""
        marked = [group for group in self._list_marked(name=name) if group.remark.endswith(marker)]
        if not marked:
            return None
        found, *others = sorted(marked, key=lambda group: (group.created_time, group.id))
        if others:
            ids = ", ".join(group.id for group in others)
            log.warning("Several PAI groups have the marker of this task. Kept: %s. Delete: %s.", found.id, ids)
        log.info("Adopted the PAI group %s: an earlier request of this task made it.", found.id)
        return without_marker(found)

    def _find_named(self, name: str, *, if_exists: str) -> AudienceGroup | None:
        found = [group for group in self._list_marked(name=name) if group.name == name]
        if not found:
            return None
        if if_exists == "adopt" and len(found) == 1:
            log.info("Adopted the PAI group %s: it is the only one with this name.", found[0].id)
            return without_marker(found[0])
        listed = ", ".join(f"{group.id} (status {group.status}, {group.created_time})" for group in found)
        raise ConflictError(
            f"groups with this name exist: {listed}",
            operation="pai.create",
            advice="Use another name, delete those that are not needed, or set if_exists='create'.",
        )

    def _read_data(self, reply: Reply, *, creating: bool = False) -> Any:
        """Return ``Data`` if status and ErrorCode say success."""
        if not reply.is_success:
            raise self._error(reply, creating=creating)
        body = reply.json_object()
        code = body.get("ErrorCode")
        if code is None and "Code" in body:
            raise self._error(reply)
        if code is None:
            raise UnexpectedReplyError(
                "this is not the API: the reply has no ErrorCode",
                http_status=reply.status,
                advice="Check the connection's host.",
            )
        if str(code) != "0":
            raise self._error(reply, creating=creating)
        return body.get("Data")

    def _error(self, reply: Reply, *, creating: bool = False) -> AudienceApiError:
        text, body = reply.error_text("ErrorMessage", "Message", "message")
        code = body.get("ErrorCode", body.get("Code"))
        number = int(str(code)) if re.fullmatch(r"[0-9]+", str(code)) else None
        if code is not None and number is None:
            code = self._redact(str(code))
        status = number if is_error_status(number) else reply.status
        # An unknown code in a reply with 200 is no reason to repeat; and of 4xx only 429 is, says the document.
        if status == HTTPStatus.REQUEST_TIMEOUT or (reply.is_success and status == reply.status):
            status = HTTPStatus.BAD_REQUEST
        request_id = str(body.get("RequestId") or "") or None
        if str(code).startswith("Throttling") or text.startswith("Throttling"):
            return RateLimitedError(
                self._redact(text),
                http_status=reply.status,
                api_code=code,
                request_id=request_id,
                retry_after_seconds=reply.retry_after_seconds,
                advice=_ADVICE[429],
            )
        advice = _ADVICE.get(status)
        if status == HTTPStatus.NOT_FOUND:
            advice = _not_found_advice(text, creating=creating)
        return reply.error(self._redact(text), status=status, api_code=code, request_id=request_id, advice=advice)

    def _read_group(self, reply: Reply, *, creating: bool = False) -> AudienceGroup:
        data = self._read_data(reply, creating=creating)
        group = AudienceGroup.from_api(data) if isinstance(data, dict) else None
        if group is None or not group.id:
            raise UnexpectedReplyError(
                "the reply has no group with an Id in it", http_status=reply.status, maybe_applied=True
            )
        return without_marker(replace(group, history=self._redact(group.history)))

    def _read_page(self, reply: Reply) -> tuple[list[AudienceGroup], int | None]:
        data = self._read_data(reply)
        entries = data.get("Groups") if isinstance(data, dict) else data
        if not isinstance(entries, list):
            raise UnexpectedReplyError("the reply has no list of groups", http_status=reply.status)
        total = data.get("TotalCount") if isinstance(data, dict) else None
        groups = [AudienceGroup.from_api(entry) for entry in entries if isinstance(entry, dict)]
        return groups, api_integer(total)

    def _read_deleted(self, reply: Reply, *, ignore_missing: bool) -> bool:
        try:
            self._read_data(reply)
        except NotFoundError as error:
            # Only the API itself knows that a group is gone: a proxy, or a wrong path, knows nothing of groups.
            says_group = api_integer(error.api_code) == HTTPStatus.NOT_FOUND and not _is_unknown_api(error.message)
            if says_group and (ignore_missing or reply.after_lost_try):
                return reply.after_lost_try
            raise
        return True


def base_url_of_region(region: str) -> str:
    """
    Return the base URL that serves a region.

    :param region: such as ``cn-hangzhou`` or ``ap-southeast-1``.
    """
    return CHINA_BASE_URL if region.lower().startswith("cn-") else INTERNATIONAL_BASE_URL


def _query_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, int) else str(value)


def _is_unknown_api(text: str) -> bool:
    return "specified api" in text.lower()


def _not_found_advice(text: str, *, creating: bool) -> str:
    lowered = text.lower()
    if _is_unknown_api(text):
        return "The account is not on the service's allow-list (ask Alibaba Cloud), or the host is wrong."
    if "project" in lowered or "table" in lowered:
        return "Check the MaxCompute project and table, and that they lie in the connection's region."
    if creating:
        return "Check what the group is made from: that the file, table or job exists; and the connection's host."
    return "The group does not exist, or was deleted: list the groups to see those that do."
