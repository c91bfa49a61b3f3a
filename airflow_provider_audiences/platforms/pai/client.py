"""
PAI audience groups over HTTP: create, get, list, delete, in either dialect.

Source of every statement about the API: Alibaba Cloud's PAI audience management document (PaiPlugin,
version 2022-01-12), and its public SDK for what the dialect with signatures differs in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from airflow_provider_audiences.exceptions import AudienceApiError
from airflow_provider_audiences.http.error_budget import ErrorBudget, account_digest
from airflow_provider_audiences.http.rate_limiter import RateLimiter, shared_limiter
from airflow_provider_audiences.http.session import header_key_session
from airflow_provider_audiences.http.transport import ApiClient, Call, Transport, TransportSettings
from airflow_provider_audiences.platforms.pai.adoption import marked, named, rejected_of_call
from airflow_provider_audiences.platforms.pai.auth import PaiAuth
from airflow_provider_audiences.platforms.pai.billing import CREATE, DELETE, GET, BillableCalls
from airflow_provider_audiences.platforms.pai.dialects import PaiDialect, path_of
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup, checked_group_id
from airflow_provider_audiences.platforms.pai.listing import list_all_pages, list_query
from airflow_provider_audiences.platforms.pai.marker import GroupMarker, make_marker
from airflow_provider_audiences.platforms.pai.replies import PaiReplies
from airflow_provider_audiences.redaction import PHONE_NUMBERS_SAID_BACK, SIGNATURE_PATTERN, MaskedBytes, Redactor
from airflow_provider_audiences.sync.run_date import RunDate
from airflow_provider_audiences.validation import one_of, required_text, whole_number

DEFAULT_REGION = "cn-hangzhou"
ACCOUNT_REQUESTS_PER_SECOND = 100.0
"""The account's limit; a client stays below it."""

DEFAULT_REQUESTS_PER_SECOND = 50.0
"""Half of that: other programs use the account too."""

DEFAULT_SETTINGS = TransportSettings(read_timeout_seconds=60.0)

_PAGE_SIZE = 100


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
    Calls the audience group API. Safe among threads.

    :param auth: the credentials; the dialect follows from them.
    :param base_url: scheme, host and path prefix; None for the dialect's own in China.
    :param settings: timeouts and retries.
    :param requests_per_second: limit of this client; those of one account in this process stand in one line.
    :param price_per_call: of a create, get or delete, for estimates; None if it is not known.
    :param sleep: waits between attempts.
    :param errors: the account's budget for errors.
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
        errors: ErrorBudget | None = None,
    ) -> None:
        self._auth = auth
        self.price_per_call = price_per_call
        self._billable = BillableCalls(CREATE, GET, DELETE)
        redactor = Redactor(None, (*PHONE_NUMBERS_SAID_BACK, SIGNATURE_PATTERN))
        self._replies = PaiReplies(dialect=auth.dialect, redact=redactor)
        base_url = base_url or auth.dialect.base_url(DEFAULT_REGION)
        self.limiter: RateLimiter = shared_limiter(account_digest(base_url, auth.account), requests_per_second)
        super().__init__(
            Transport(
                base_url=base_url,
                session=header_key_session(auth=auth.on_requests(redactor)),
                settings=settings,
                redact=redactor,
                limiter=self.limiter,
                sleep=sleep,
                observe=self._billable.record,
                errors=errors,
            )
        )

    @property
    def dialect(self) -> PaiDialect:
        """The dialect that this client speaks."""
        return self._auth.dialect

    @property
    def billable_calls(self) -> dict[str, int]:
        """
        Requests so far that the platform may bill, by call: create, get, delete.

        Failed and lost creates and deletes count too; of gets, those that succeeded or were lost.
        """
        return self._billable.counts()

    def marker(
        self,
        *,
        owner: str,
        run: str,
        spec: GroupSpec,
        map_index: int = -1,
        again: int = 0,
        members: str = "",
        run_date: RunDate | None = None,
    ) -> GroupMarker:
        """
        Return the mark by which a group is known to come from one call.

        :param owner: whom the group belongs to, normally ``my_dag:my_task``.
        :param run: what tells this run from others, such as the run id.
        :param spec: the group's parameters; a changed spec is another group.
        :param map_index: of a mapped task.
        :param again: another number makes another group of the same call.
        :param members: fingerprint of the set of members.
        :param run_date: what the run is about; None if it has no logical date.
        """
        return make_marker(
            owner=required_text("owner", owner),
            run=required_text("run", run),
            map_index=map_index,
            again=whole_number("again", again, at_least=0),
            members=members,
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
        Create a group, once.

        CreateGroup has no idempotency token and bills failures. So the group with the marker is looked for first, be
        it from an earlier try or a worker that is gone, and again after a reply that was lost; the list is not billed.
        A group that PAI had rejected before this call is passed over, and named in a warning. What no list can tell is
        a lost request that is carried out later still: it makes a second group, which the next list shows: a warning.

        :param spec: the parameters; what :meth:`GroupSpec.checked` refuses is refused here too, but for its phone rule.
        :param marker: what :meth:`marker` returns; written at the end of the remark. None: the remark stays as it is,
            nothing is looked for, and a request whose reply was lost is not repeated.
        :param if_exists: for groups of the same name: ``create`` another, ``adopt`` the one, or ``fail``.
        :raises ConflictError: the name is taken (``fail``), or several groups fit.
        """
        spec = spec.checked(phone_format="any")
        existing_rule = one_of("if_exists", if_exists, ("create", "adopt", "fail"))
        if existing_rule != "create":
            required_text("name", spec.name)
        passed_over: frozenset[str] = frozenset()
        if marker is not None or existing_rule != "create":
            groups = self.list_groups(name=spec.name)
            passed_over = rejected_of_call(groups, marker, self.dialect.failed_statuses)
            existing = marked(groups, marker, passed_over=passed_over)
            existing = existing or named(groups, spec.name, rule=existing_rule, passed_over=passed_over)
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
            give_up=None if marker is not None else lambda error: error is not None and error.maybe_applied,
        )
        try:
            return CreatedGroup(group=self._transport.send(call), adopted=False)
        except AudienceApiError as error:
            if marker is None and error.maybe_applied:
                error.landed = "The group may exist: look for it before you create it again."
            elif not error.maybe_applied:
                error.landed = f"The group {spec.name!r} was to be made from {spec.origin}."
            raise

    def get_group(self, group_id: str) -> AudienceGroup:
        """
        Get a group. A successful call is billed.

        :param group_id: the group's id.
        :raises NotFoundError: no such group.
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
        Delete a group. Billed whether it succeeds or not.

        :param group_id: the group's id.
        :param ignore_missing: a group that does not exist is no error.
        :return: whether it existed.
        :raises NotFoundError: no such group.
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
        List groups, all pages. Filters are the platform's: those on text may match parts.

        A list that changes while it is read is read again, up to three times in all; if it never holds still, what is
        returned may hold a group that was deleted meanwhile.

        :param name: filter by name.
        :param remark: filter by remark.
        :param phone_number: filter by whether the group contains phone numbers.
        :param source: filter by the source's number.
        :param status: filter by review status.
        :return: each group once.
        :raises InvalidInputError: a filter is empty, or no such value; nothing was sent.
        """
        query = list_query(name=name, remark=remark, phone_number=phone_number, source=source, status=status)
        return list_all_pages(partial(self.list_page, query=query))

    def list_page(
        self, page_number: int, *, query: Mapping[str, str] | None = None, page_size: int = _PAGE_SIZE
    ) -> tuple[list[AudienceGroup], int | None]:
        """
        List one page of the groups, by one request, for a caller who may not need them all.

        :param page_number: from 1 on.
        :param query: filters, from :func:`~.listing.list_query`; None for all groups.
        :param page_size: groups a page; the platform may give fewer.
        :return: its groups, and how many there are on all pages, if the platform says it.
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
        """Return how many groups the account has, by one request for the smallest page."""
        page, total = self.list_page(1, page_size=1)
        return len(page) if total is None else total

    def _find_marked(self, name: str | None, marker: GroupMarker, passed_over: frozenset[str]) -> AudienceGroup | None:
        # A rejected one too: it is what this very call has made.
        return marked(self.list_groups(name=name), marker, passed_over=passed_over)
