"""
Replies of PAI: the envelope of the service, errors of the gateway in front of it, and advice for both.

Success is a status of 2xx and ErrorCode 0. An error is classified by the number in the body, or the gateway's code
word, or else the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal

from airflow_provider_audiences.exceptions import (
    AudienceError,
    AuthenticationError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnexpectedReplyError,
)
from airflow_provider_audiences.http.replies import Reply, is_error_status, may_be_id
from airflow_provider_audiences.platforms.pai.dialects import PaiDialect
from airflow_provider_audiences.platforms.pai.groups import MAX_ID_CHARACTERS, AudienceGroup
from airflow_provider_audiences.redaction import Redactor
from airflow_provider_audiences.validation import api_integer

PaiCall = Literal["create", "get", "list", "delete"]

_CHECK_ID = "Check the group_id: list the groups to see those that exist"
_BAD_REQUEST_ADVICE: Mapping[PaiCall, str] = {
    "create": "Check the parameters against the source; a failed create is billed.",
    "get": f"{_CHECK_ID}.",
    "list": "Check the filters: name, remark, phone_number, source, status.",
    "delete": f"{_CHECK_ID}; a failed delete is billed.",
}
_ADVICE: Mapping[int, str] = {
    429: "Lower max_requests_per_second in the connection's extra: the account's limit is 100 a second.",
    500: "If it persists, give the request id to Alibaba Cloud's support.",
}
_AUTHORISE = "complete one-click authorization in the PAI console; an OSS bucket needs the tag pai=plugin"
_KEY_ADVICE: Mapping[str, Mapping[int, str]] = {
    "bearer": {
        401: "Check the API key in the connection's password.",
        403: f"Check the API key; {_AUTHORISE}.",
    },
    "openapi": {
        401: "Check the connection's AccessKey.",
        403: f"Check that RAM lets this AccessKey use PaiPlugin; {_AUTHORISE}.",
    },
}
_PAIR_ADVICE = "Check the connection's AccessKey secret: it does not belong to the AccessKey id."
_RAM_ADVICE = f"Give the RAM user or role a policy that allows the calls of PaiPlugin; {_AUTHORISE}."
_REFUSED_CREDENTIALS: Mapping[str, str] = {
    "SignatureDoesNotMatch": _PAIR_ADVICE,
    "IncompleteSignature": _PAIR_ADVICE,
    "InvalidTimeStamp": "Set this machine's clock: a signature is good for 15 minutes.",
    "MissingAccessKeyId": "Something between this worker and Alibaba Cloud takes the signature's headers away.",
    "InvalidAccessKeyId": "Check the connection's AccessKey id: it is unknown, or disabled.",
    "InvalidSecurityToken": "Renew the temporary credentials: the security token is malformed, or has expired.",
    "MissingSecurityToken": "Put the security token of these temporary credentials in the connection's extra.",
    "NoPermission": _RAM_ADVICE,
    "Forbidden": _RAM_ADVICE,
}
"""Beginnings of the gateway's code words, and what to do about each."""

# A longer number is not a code, and could be a phone number.
_CODE_PATTERN = re.compile(r"[0-9]{1,6}")
_FAILURES = ("ServiceUnavailable", "InternalError")
_HOST_ADVICE = "Check the connection's host: its name, and the path behind it."
_UNKNOWN_API_ADVICE = "The account is not on the service's allow-list (ask Alibaba Cloud), or the host is wrong."
_UNKNOWN_APIS = ("InvalidApi", "InvalidAction", "InvalidVersion", "InvalidProduct")
_REPEATED = "SignatureNonceUsed"


@dataclass(frozen=True, kw_only=True)
class PaiReplies:
    """
    Turns replies into results or errors.

    :param dialect: dialect of the connection.
    :param redact: removes secrets and members from text of the platform.
    """

    dialect: PaiDialect
    redact: Redactor

    def group(self, reply: Reply, *, creating: bool = False) -> AudienceGroup:
        """
        Return the group in a reply.

        :param reply: reply to a create or get.
        :param creating: whether it is the reply to a create.
        :raises AudienceError: the reply means failure.
        """
        data = self._data(reply, "create" if creating else "get")
        found = AudienceGroup.from_api(data) if isinstance(data, dict) else None
        if found is None or not self._is_plain(found.id):
            raise UnexpectedReplyError(
                "the reply has no group with an Id in it", http_status=reply.status, maybe_applied=True
            )
        return replace(found, history=self.redact(found.history))

    def page(self, reply: Reply) -> tuple[list[AudienceGroup], int | None]:
        """
        Return the groups of a page, and the number of groups on all pages; None if the platform does not say.

        :param reply: reply to a list.
        :raises AudienceError: the reply means failure.
        """
        data = self._data(reply, "list")
        entries = data.get("Groups") if isinstance(data, dict) else data
        if not isinstance(entries, list):
            raise UnexpectedReplyError("the reply has no list of groups", http_status=reply.status)
        total = data.get("TotalCount") if isinstance(data, dict) else None
        groups = [AudienceGroup.from_api(entry) for entry in entries if isinstance(entry, dict)]
        if not all(self._is_plain(group.id) for group in groups):
            raise UnexpectedReplyError("the reply lists a group without a valid Id", http_status=reply.status)
        return groups, api_integer(total)

    def _is_plain(self, group_id: str) -> bool:
        return may_be_id(group_id, most=MAX_ID_CHARACTERS, redact=self.redact)

    def deleted(self, reply: Reply, *, ignore_missing: bool) -> bool:
        """
        Return whether the request has deleted a group.

        :param reply: reply to a delete.
        :param ignore_missing: whether a group that does not exist is no error.
        :raises AudienceError: the reply means failure.
        """
        try:
            self._data(reply, "delete")
        except NotFoundError as error:
            if _says_group(error) and (ignore_missing or reply.after_lost_try):
                return reply.after_lost_try
            raise
        return True

    def _data(self, reply: Reply, call: PaiCall) -> Any:
        """Return ``Data`` of the envelope, if status and ErrorCode say success."""
        if not reply.is_success:
            raise self._error(reply, call)
        body = reply.json_object()
        code = body.get("ErrorCode")
        if code is None and "Code" in body:
            raise self._error(reply, call)
        if code is None:
            raise UnexpectedReplyError(
                "this is not the API: the reply has no ErrorCode",
                http_status=reply.status,
                advice="Check the connection's host.",
            )
        if str(code) != "0":
            raise self._error(reply, call)
        return body.get("Data")

    def _error(self, reply: Reply, call: PaiCall) -> AudienceError:
        text, body = reply.error_text("ErrorMessage", "Message", "message")
        code = body.get("ErrorCode", body.get("Code"))
        number = int(str(code)) if _CODE_PATTERN.fullmatch(str(code)) else None
        word = "" if code is None or number is not None else str(code)
        if word:
            code = self.redact(word)
        status = number if is_error_status(number) else reply.status
        # Not repeated: an unknown code with status 200, and all 4xx but 429 (so the document says).
        if status == HTTPStatus.REQUEST_TIMEOUT or (reply.is_success and status == reply.status):
            status = HTTPStatus.BAD_REQUEST
        facts: dict[str, Any] = {"api_code": code, "request_id": self.redact.identifier(body.get("RequestId"))}
        if word.startswith("Throttling") or text.startswith("Throttling"):
            return RateLimitedError(
                self.redact(text),
                http_status=reply.status,
                retry_after_seconds=reply.retry_after_seconds,
                advice=_ADVICE[429],
                **facts,
            )
        if word:
            refusal = self._refusal(reply, word, self.redact(text), facts)
            if refusal is not None:
                return refusal
        advice = _KEY_ADVICE[self.dialect.name].get(status) or _ADVICE.get(status)
        if status == HTTPStatus.BAD_REQUEST:
            advice = _BAD_REQUEST_ADVICE[call]
        elif status == HTTPStatus.NOT_FOUND:
            # A reply without a code is not from PAI.
            advice = _HOST_ADVICE if code is None else _not_found_advice(word + text, call)
        return reply.error(self.redact(text), status=status, advice=advice, **facts)

    def _refusal(self, reply: Reply, word: str, text: str, facts: dict[str, Any]) -> AudienceError | None:
        """Return the error of a gateway's code word that overrides the status; None for other code words."""
        message = text or "the gateway gave no reason"
        for beginning, advice in _REFUSED_CREDENTIALS.items():
            if word.startswith(beginning):
                return AuthenticationError(message, http_status=reply.status, advice=advice, **facts)
        if word.startswith(_UNKNOWN_APIS):
            advice = _UNKNOWN_API_ADVICE
            return NotFoundError(message, http_status=reply.status, advice=advice, **facts)
        if word.startswith(_REPEATED):
            # Each request has its own nonce: a proxy must have sent this one twice, and the first was accepted.
            return ServerError(
                message,
                http_status=reply.status,
                maybe_applied=True,
                advice="A proxy between this worker and Alibaba Cloud repeats requests: it must not.",
                **facts,
            )
        if word.startswith(_FAILURES):
            status = max(reply.status, int(HTTPStatus.INTERNAL_SERVER_ERROR))
            return reply.error(message, status=status, advice=_ADVICE[500], **facts)
        return None


def _says_group(error: NotFoundError) -> bool:
    """Return whether the API itself says that a group is missing: a proxy, or a wrong path, can't know that."""
    if _is_unknown_api(str(error.api_code) + error.message):
        return False
    word = error.api_code if isinstance(error.api_code, str) else ""
    return api_integer(error.api_code) == HTTPStatus.NOT_FOUND or "group" in word.lower()


def _is_unknown_api(text: str) -> bool:
    return "specified api" in text.lower() or text.startswith(_UNKNOWN_APIS)


def _not_found_advice(text: str, call: PaiCall) -> str:
    lowered = text.lower()
    if _is_unknown_api(text):
        return _UNKNOWN_API_ADVICE
    if "project" in lowered or "table" in lowered:
        return "Check the MaxCompute project and table, and that they lie in the connection's region."
    if call == "list":
        return _HOST_ADVICE
    if call == "create":
        return "Check what the group is made from: that the file, table or job exists; and the connection's host."
    return "The group does not exist, or was deleted: list the groups to see those that do."
