"""
AppLovin's Audience API, version 3.0: create, list, update, append, delete.

Source of every statement about the API: AppLovin's Audience API document, version 3.0 (March 2015).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

from airflow_provider_audiences.exceptions import (
    ConflictError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.http.calls import Call, GiveUp
from airflow_provider_audiences.http.replies import Reply, may_be_id
from airflow_provider_audiences.platforms.applovin.advice import advice_for
from airflow_provider_audiences.platforms.applovin.api_client import AppLovinApiClient
from airflow_provider_audiences.platforms.applovin.audiences import (
    MAX_AUDIENCE_ID_CHARACTERS,
    Audience,
    AudienceSpec,
    AudienceType,
    audience_id_of,
)
from airflow_provider_audiences.redaction import MaskedBytes, Secret
from airflow_provider_audiences.sync.destination import BatchResult
from airflow_provider_audiences.validation import (
    api_integer,
    api_text,
    one_of,
    whole_seconds,
)
from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)

_MAX_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class CreatedAudience:
    """
    The result of :meth:`AppLovinClient.create_audience`.

    :param audience_id: id of the audience.
    :param adopted: whether it existed before.
    """

    audience_id: str
    adopted: bool


class AppLovinClient(AppLovinApiClient):
    """
    Client of the Audience API for one account.

    :param api_key: Management Key of the account.
    :param arguments: further arguments of
        :class:`~airflow_provider_audiences.platforms.applovin.api_client.AppLovinApiClient`.
    """

    def __init__(self, *, api_key: Secret, **arguments: Any) -> None:
        super().__init__(api_key=api_key, advice=advice_for, **arguments)

    def create_audience(
        self,
        *,
        name: str,
        platform: str,
        package_name: str | None = None,
        description: str | None = None,
        audience_type: str = AudienceType.RETARGETING,
        if_exists: Literal["fail", "adopt"] = "fail",
        earlier_try: bool = False,
    ) -> CreatedAudience:
        """
        Create an empty audience.

        If the reply is lost, the request is sent again; the platform then rejects it as a duplicate (406), and the one
        audience that matches is taken as the result of the first request.

        :param name: letters, digits, ``_ - +`` and space.
        :param platform: ``android`` or ``ios``, in any case.
        :param package_name: package name or bundle ID of the app; required for retargeting.
        :param description: free text; None for none.
        :param audience_type: kind of campaigns that use the audience: ``retargeting`` or ``ua`` (user acquisition).
        :param if_exists: what to do if an active audience has the same parameters: ``fail``; or ``adopt``, which takes
            it if it is the only one with this name and platform (and, on Android, package name).
        :param earlier_try: whether an earlier process may have sent this request without learning its outcome; then an
            existing audience that is still empty is taken as its result.
        :raises InvalidInputError: an argument is not of that form; nothing was sent.
        :raises ConflictError: such an audience exists, or several match; the message lists them.
        """
        spec = AudienceSpec.checked(
            name=name,
            platform=platform,
            package_name=package_name,
            description=description,
            audience_type=audience_type,
        )
        call = Call(
            operation="applovin.create",
            method="GET",
            path="/audiences/create",
            query=spec.to_query(),
            read=partial(
                self._read_created,
                spec=spec,
                if_exists=one_of("if_exists", if_exists, ("fail", "adopt")),
                earlier_try=earlier_try,
            ),
        )
        return self._transport.send(call)

    def list_audiences(self) -> list[Audience]:
        """Return all audiences of the account."""
        call = Call(operation="applovin.list", method="GET", path="/audiences/list", read=self._read_list)
        return self._transport.send(call)

    def update_audience(
        self,
        *,
        audience_id: str,
        advertising_ids: bytes | MaskedBytes,
        ttl_seconds: int | timedelta | None = None,
        give_up: GiveUp | None = None,
    ) -> BatchResult:
        """
        Replace all users of an audience.

        :param audience_id: id of the audience.
        :param advertising_ids: one ID a line.
        :param ttl_seconds: how long the users stay: seconds, at least 1, or a timedelta; None for the API's default,
            365 days.
        :param give_up: called before each repetition; if it returns true, the error is raised instead.
        :raises NotFoundError: there is no such audience.
        """
        advertising_ids = MaskedBytes.of(advertising_ids)  # masked, as errors keep this frame's variables
        return self._send_users("update", audience_id, advertising_ids, ttl_seconds, give_up, least_ttl_seconds=1)

    def append_users(
        self,
        *,
        audience_id: str,
        advertising_ids: bytes | MaskedBytes,
        ttl_seconds: int | timedelta | None = None,
        give_up: GiveUp | None = None,
    ) -> BatchResult:
        """
        Add users to an audience. For those who are in it already, their TTL begins again.

        :param audience_id: id of the audience.
        :param advertising_ids: one ID a line.
        :param ttl_seconds: how long the users stay: seconds or a timedelta; None for the API's default, 365 days. **0
            removes the users.**
        :param give_up: called before each repetition; if it returns true, the error is raised instead.
        :raises NotFoundError: there is no such audience.
        """
        advertising_ids = MaskedBytes.of(advertising_ids)
        return self._send_users("append", audience_id, advertising_ids, ttl_seconds, give_up, least_ttl_seconds=0)

    def delete_audience(self, *, audience_id: str, ignore_missing: bool = False) -> bool:
        """
        Delete an audience.

        :param audience_id: id of the audience.
        :param ignore_missing: whether an audience that does not exist is no error.
        :return: whether the audience existed.
        :raises NotFoundError: there is no such audience, and ``ignore_missing`` is false.
        """
        call = Call(
            operation="applovin.delete",
            method="GET",
            path="/audiences/delete",
            query={"audience_id": audience_id_of(audience_id)},
            read=partial(self._read_deleted, ignore_missing=ignore_missing),
        )
        return self._transport.send(call)

    def _send_users(
        self,
        verb: str,
        audience_id: str,
        advertising_ids: MaskedBytes,
        ttl_seconds: int | timedelta | None,
        give_up: GiveUp | None,
        *,
        least_ttl_seconds: int,
    ) -> BatchResult:
        query = {"audience_id": audience_id_of(audience_id)}
        if ttl_seconds is not None:
            query["ttl_seconds"] = str(whole_seconds("ttl_seconds", ttl_seconds, at_least=least_ttl_seconds))
        return self._upload(
            f"applovin.{verb}",
            f"/audiences/{verb}",
            query=query,
            advertising_ids=advertising_ids,
            give_up=give_up,
        )

    def _read_created(
        self,
        reply: Reply,
        *,
        spec: AudienceSpec,
        if_exists: str,
        earlier_try: bool,
    ) -> CreatedAudience:
        try:
            body = self._replies.object(reply, "create")
        except ConflictError as conflict:
            after_lost_try = earlier_try or reply.after_lost_try
            return self._reconcile(conflict, spec, if_exists=if_exists, after_lost_try=after_lost_try)
        audience_id = api_text(body.get("audience_id"))
        if not self._is_plain(audience_id):
            raise UnexpectedReplyError(
                "the reply has no valid audience_id", http_status=reply.status, maybe_applied=True
            )
        return CreatedAudience(audience_id=audience_id, adopted=False)

    def _reconcile(
        self,
        conflict: ConflictError,
        spec: AudienceSpec,
        *,
        if_exists: str,
        after_lost_try: bool,
    ) -> CreatedAudience:
        """
        Return the existing audience that caused a 406, if it may be taken; otherwise raise an error that lists the
        matches.
        """
        matches = [audience for audience in self.list_audiences() if spec.matches(audience)]
        candidates = matches if if_exists == "adopt" else []
        if if_exists == "fail" and after_lost_try:
            # An audience that a lost request of this call has made is still empty; one with users is not from it.
            candidates = [audience for audience in matches if not audience.user_count]
        if len(candidates) == 1:
            log.info("Adopted the AppLovin audience %s: name and platform match.", candidates[0].audience_id)
            is_ours = after_lost_try and not candidates[0].user_count
            return CreatedAudience(audience_id=candidates[0].audience_id, adopted=not is_ours)
        found = ", ".join(f"{one.audience_id} ({self._redact(one.package_name)})" for one in matches[:_MAX_NAMED])
        if len(matches) > _MAX_NAMED:
            found += f" and {len(matches) - _MAX_NAMED} more"
        error = ConflictError(
            f"an active audience with the same parameters exists; with this name and platform: {found or 'none'}",
            operation="applovin.create",
            http_status=conflict.http_status,
            api_code=conflict.api_code,
            advice=(
                "Give one of the ids to the next task yourself: which one is meant can't be told."
                if len(candidates) > 1
                else "Use another name, or if_exists='adopt' to go on with the audience that exists."
            ),
        )
        raise error from None

    def _read_list(self, reply: Reply) -> list[Audience]:
        body = self._replies.object(reply, "list")
        entries = body.get("audiences")
        if not isinstance(entries, list) or "code" not in body:
            raise UnexpectedReplyError("the reply has no code or no list of audiences", http_status=reply.status)
        audiences = [Audience.from_api(entry) for entry in entries if isinstance(entry, dict)]
        if not all(self._is_plain(audience.audience_id) for audience in audiences):
            raise UnexpectedReplyError(
                "the reply lists an audience without a valid audience_id", http_status=reply.status
            )
        count = api_integer(body.get("count"))
        if count is not None and count != len(audiences):
            log.warning(
                "AppLovin's list says %s and shows %d: treat it as incomplete.",
                counted(count, "audience"),
                len(audiences),
            )
        return audiences

    def _is_plain(self, audience_id: str) -> bool:
        return may_be_id(audience_id, most=MAX_AUDIENCE_ID_CHARACTERS, redact=self._redact)

    def _read_deleted(self, reply: Reply, *, ignore_missing: bool) -> bool:
        if reply.is_success:
            # The document promises an empty body: a web page or an error code in it is no success.
            if reply.begins_with("{", "<"):
                self._replies.object(reply, "delete")
            return True
        # A 404 with a web page comes from a proxy, and says nothing about the audience.
        is_missing = reply.status == HTTPStatus.NOT_FOUND and not reply.is_web_page
        if is_missing and (ignore_missing or reply.after_lost_try):
            return reply.after_lost_try
        raise self._replies.error(reply, "delete")
