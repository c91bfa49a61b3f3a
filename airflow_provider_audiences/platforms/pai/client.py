"""
Client of PAI audience groups: create, get, list, delete, in either dialect.

Source of every statement about the API: Alibaba Cloud's PAI audience management document (PaiPlugin, version
2022-01-12); and its public SDK, for the differences of the dialect with signatures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from airflow_provider_audiences.exceptions import AudienceError, TransientError
from airflow_provider_audiences.http.api_client import ApiClient
from airflow_provider_audiences.http.calls import Call, TransportSettings
from airflow_provider_audiences.http.error_budget import ErrorBudget, account_digest
from airflow_provider_audiences.http.rate_limiter import RateLimiter, shared_limiter
from airflow_provider_audiences.http.session import header_key_session
from airflow_provider_audiences.http.transport import Transport
from airflow_provider_audiences.members.identifiers.patterns import PHONE_NUMBER_PATTERNS
from airflow_provider_audiences.platforms.pai.adoption import find_by_marker, find_by_name, ids_of_rejected
from airflow_provider_audiences.platforms.pai.auth import PaiAuth
from airflow_provider_audiences.platforms.pai.billing import CREATE, DELETE, GET, BillableCalls
from airflow_provider_audiences.platforms.pai.dialects import PaiDialect, path_of
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup, checked_group_id
from airflow_provider_audiences.platforms.pai.listing import list_all_pages, list_query
from airflow_provider_audiences.platforms.pai.marker import GroupMarker, make_marker
from airflow_provider_audiences.platforms.pai.replies import PaiReplies
from airflow_provider_audiences.redaction import SIGNATURE_PATTERN, MaskedBytes, Redactor
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.validation import one_of, required_text, whole_number

DEFAULT_REGION = "cn-hangzhou"
ACCOUNT_REQUESTS_PER_SECOND = 100.0
"""The limit of an account, for all its programs together."""

DEFAULT_REQUESTS_PER_SECOND = 50.0
"""Half of the account's limit, as other programs use the account too."""

DEFAULT_SETTINGS = TransportSettings(read_timeout_seconds=60.0)

_PAGE_SIZE = 100


@dataclass(frozen=True, kw_only=True)
class CreatedGroup:
    """
    The result of :meth:`PaiClient.create_group`.

    :param group: the group, new or adopted.
    :param adopted: whether it existed before.
    """

    group: AudienceGroup
    adopted: bool


class PaiClient(ApiClient):
    """
    Client of the audience group API; thread-safe.

    :param auth: credentials, which also decide about the dialect.
    :param base_url: scheme, host and path prefix of the API; None for the dialect's own in China.
    :param settings: timeouts, and how often to repeat a request.
    :param requests_per_second: most requests a second; all clients of the account in this process share the rate.
    :param price_per_call: price of a create, get or delete, for estimates; None if it is not known.
    :param sleep: sleeps for a number of seconds before a repetition.
    :param error_budget: limit on the account's failed requests; None for no limit.
    """

    def __init__(
        self,
        *,
        auth: PaiAuth,
        base_url: str | None = None,
        settings: TransportSettings = DEFAULT_SETTINGS,
        requests_per_second: float = DEFAULT_REQUESTS_PER_SECOND,
        price_per_call: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        error_budget: ErrorBudget | None = None,
    ) -> None:
        self._auth = auth
        self.price_per_call = price_per_call
        self._billable = BillableCalls(CREATE, GET, DELETE)
        redactor = Redactor(None, (*PHONE_NUMBER_PATTERNS.in_server_replies, SIGNATURE_PATTERN))
        self._replies = PaiReplies(dialect=auth.dialect, redact=redactor)
        base_url = base_url or auth.dialect.base_url(DEFAULT_REGION)
        self.limiter: RateLimiter = shared_limiter(account_digest(base_url, auth.account), requests_per_second)
        super().__init__(
            Transport(
                base_url=base_url,
                session=header_key_session(auth=auth.on_requests(redactor)),
                settings=settings,
                redact=redactor,
                request_id_headers=("x-acs-request-id", "x-request-id"),
                limiter=self.limiter,
                sleep=sleep,
                observe=self._billable.record,
                error_budget=error_budget,
            )
        )

    @property
    def dialect(self) -> PaiDialect:
        """The dialect that the client speaks."""
        return self._auth.dialect

    @property
    def billable_calls(self) -> dict[str, int]:
        """
        Number of requests so far that PAI may bill, by call: ``create``, ``get``, ``delete``.

        Creates and deletes count even if they failed or their replies were lost; gets count if they succeeded or their
        replies were lost.
        """
        return self._billable.counts()

    def marker(
        self,
        *,
        provenance: str,
        run: str,
        spec: GroupSpec,
        map_index: int = -1,
        clear_count: int = 0,
        fingerprint: str = "",
        run_date: RunDate | None = None,
    ) -> GroupMarker:
        """
        Return the marker of the group that a task asks for.

        :param provenance: key by which a task finds its groups, normally ``my_dag:my_task``.
        :param run: text that tells this run from others, such as the run id.
        :param spec: parameters of the group; a changed spec makes another group.
        :param map_index: index of the mapped task; -1 for a task that is not mapped.
        :param clear_count: how often the task was cleared in this run; each clearing makes another group.
        :param fingerprint: fingerprint of the set of members; empty if there is none.
        :param run_date: dates of the run; None if it has no logical date.
        """
        return make_marker(
            provenance=required_text("provenance", provenance),
            run=required_text("run", run),
            map_index=map_index,
            clear_count=whole_number("clear_count", clear_count, at_least=0),
            fingerprint=fingerprint,
            spec=spec,
            secret=self._auth.lasting_secret,
            run_date=run_date,
        )

    def create_group(
        self,
        spec: GroupSpec,
        *,
        marker: GroupMarker | None,
        if_exists: Literal["create", "adopt", "fail"] = "create",
    ) -> CreatedGroup:
        """
        Create a group, and only one, even if the call is repeated.

        CreateGroup takes no idempotency key, and bills failures. So this method first looks for a group with the same
        marker, which an earlier try or a lost worker may have made, and adopts it. It looks again after a lost reply.
        The list is not billed. A group that PAI has rejected earlier is not adopted, but named in a warning. One case
        remains: if a lost request is carried out late, there is a second group; the next call warns about it.

        :param spec: parameters of the group; refused if :meth:`GroupSpec.checked` refuses them (with
            ``phone_format='any'``).
        :param marker: marker of the group, from :meth:`marker`; it is written at the end of the remark. None for no
            marker: then no group is looked for, and a request without a reply is not repeated.
        :param if_exists: what to do about other groups of the same name: ``create`` another group, ``adopt`` the only
            one, or ``fail``.
        :raises ConflictError: the name exists and ``if_exists`` is ``fail``, or several groups have it and it is
            ``adopt``.
        :raises InvalidInputError: a parameter is missing or wrong; nothing was sent.
        """
        spec = spec.checked(phone_format="any")
        existing_rule = one_of("if_exists", if_exists, ("create", "adopt", "fail"))
        if existing_rule != "create":
            required_text("name", spec.name)
        passed_over: frozenset[str] = frozenset()
        if marker is not None or existing_rule != "create":
            groups = self.list_groups(name=spec.name)
            passed_over = ids_of_rejected(groups, marker, self.dialect.failed_statuses)
            existing = find_by_marker(groups, marker, passed_over=passed_over)
            existing = existing or find_by_name(groups, spec.name, rule=existing_rule, passed_over=passed_over)
            if existing is not None:
                return CreatedGroup(group=existing, adopted=True)
        if marker is not None:
            spec = replace(spec, remark=f"{spec.remark or ''} {marker.text}".strip())
        call = Call(
            operation=CREATE,
            method="POST",
            path=self.dialect.create_path,
            body=MaskedBytes(json.dumps(spec.to_api(), ensure_ascii=False).encode()),
            content_type=self.dialect.content_type,
            headers=self.dialect.headers("CreateGroup"),
            read=partial(self._replies.group, creating=True),
            recover=partial(self._find_marked, spec.name, marker, passed_over) if marker is not None else None,
            give_up=_may_be_made if marker is None else None,
        )
        try:
            return CreatedGroup(group=self._transport.send(call), adopted=False)
        except AudienceError as error:
            if marker is None and error.maybe_applied:
                error.so_far = "The group may exist: look for it before you create it again."
            elif not error.maybe_applied:
                error.so_far = f"The group {spec.name!r} was to be made from {spec.origin}."
            raise

    def get_group(self, group_id: str) -> AudienceGroup:
        """
        Return a group. A successful call is billed.

        :param group_id: id of the group.
        :raises NotFoundError: there is no such group.
        """
        call = Call(
            operation=GET,
            method="GET",
            path=path_of(self.dialect.get_path, checked_group_id("group_id", group_id)),
            headers=self.dialect.headers("GetGroup"),
            read=self._replies.group,
        )
        return self._transport.send(call)

    def delete_group(self, group_id: str, *, ignore_missing: bool = False) -> bool:
        """
        Delete a group. The call is billed even if it fails.

        :param group_id: id of the group.
        :param ignore_missing: whether a group that does not exist is no error.
        :return: whether the group existed.
        :raises NotFoundError: there is no such group, and ``ignore_missing`` is false.
        """
        call = Call(
            operation=DELETE,
            method="DELETE",
            path=path_of(self.dialect.delete_path, checked_group_id("group_id", group_id)),
            headers=self.dialect.headers("DeleteGroup"),
            read=partial(self._replies.deleted, ignore_missing=ignore_missing),
        )
        return self._transport.send(call)

    def list_groups(
        self,
        *,
        name: str | None = None,
        remark: str | None = None,
        phone_number: bool | str | None = None,
        source: int | str | None = None,
        status: int | str | None = None,
    ) -> list[AudienceGroup]:
        """
        Return all groups that fit the filters, from all pages. Not billed.

        The platform filters, and its text filters may match parts. If the list changes while it is read, it is read
        again, up to three times in all; after that, the result may contain groups that were deleted in the meantime.

        :param name: text that the name has in it.
        :param remark: text that the remark has in it.
        :param phone_number: whether the groups contain phone numbers.
        :param source: number of the groups' source.
        :param status: review status of the groups.
        :return: the groups, each once.
        :raises InvalidInputError: a filter is empty, or not of that form; nothing was sent.
        """
        query = list_query(name=name, remark=remark, phone_number=phone_number, source=source, status=status)
        return list_all_pages(partial(self.list_page, query=query))

    def list_page(
        self, page_number: int, *, query: Mapping[str, str] | None = None, page_size: int = _PAGE_SIZE
    ) -> tuple[list[AudienceGroup], int | None]:
        """
        Return one page of the list, by one request.

        :param page_number: number of the page, from 1.
        :param query: filters, from :func:`~.listing.list_query`; None for all groups.
        :param page_size: groups in a page; the platform may return fewer.
        :return: the groups of the page; and the number of groups on all pages, None if the platform does not say.
        """
        call = Call(
            operation="pai.list",
            method="GET",
            path=self.dialect.list_path,
            headers=self.dialect.headers("ListGroups"),
            query={**(query or {}), "PageNumber": str(page_number), "PageSize": str(page_size)},
            read=self._replies.page,
        )
        return self._transport.send(call)

    def count_groups(self) -> int:
        """Return the number of the account's groups, by one request for the smallest page."""
        page, total = self.list_page(1, page_size=1)
        return len(page) if total is None else total

    def _find_marked(self, name: str | None, marker: GroupMarker, passed_over: frozenset[str]) -> AudienceGroup | None:
        # Groups rejected just now count, too: this create has made them.
        return find_by_marker(self.list_groups(name=name), marker, passed_over=passed_over)


def _may_be_made(error: TransientError | None) -> bool:
    """Return whether a request that failed may have made the group; nothing would tell it from a second one."""
    return error is not None and error.maybe_applied
