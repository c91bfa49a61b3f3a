"""Replies of AppLovin's APIs: their results and errors, the same for audiences and suppression lists."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Protocol

from airflow_provider_audiences.exceptions import AudienceError, UnexpectedReplyError
from airflow_provider_audiences.http.replies import Reply, is_error_status
from airflow_provider_audiences.redaction import Redactor
from airflow_provider_audiences.sync.destination import BatchResult
from airflow_provider_audiences.validation import api_integer


class Advice(Protocol):
    """A function that says what to do about an error."""

    def __call__(self, status: int, *, call: str) -> str | None:
        """
        Return what to do about an error; None if the advice of the error's type fits.

        :param status: HTTP status; or the code in the reply's body, if there is one.
        :param call: kind of call, such as ``upload``.
        """


class AppLovinReplies:
    """
    Turns replies into results or errors.

    :param redact: removes secrets and members from text of the platform.
    :param advice: says what to do about an error.
    """

    def __init__(self, redact: Redactor, advice: Advice) -> None:
        self._redact = redact
        self._advice = advice

    def object(self, reply: Reply, call: str) -> dict[str, Any]:
        """
        Return the reply's JSON object, if status and code say success.

        :param reply: reply of the platform.
        :param call: kind of call, for the advice.
        :raises AudienceError: status or code say failure.
        """
        if not reply.is_success:
            raise self.error(reply, call)
        body = reply.json_object()
        if api_integer(body.get("code", HTTPStatus.OK)) != HTTPStatus.OK:
            raise self.error(reply, call)
        return body

    def error(self, reply: Reply, call: str) -> AudienceError:
        """
        Return the error that a reply means.

        :param reply: reply of the platform.
        :param call: kind of call, for the advice.
        """
        text, body = reply.error_text("message", "error_message", "error", "errors", "description")
        code = api_integer(body.get("code"))
        status = code if is_error_status(code) else reply.status
        if reply.is_success and status == reply.status:
            return UnexpectedReplyError(
                self._redact(f"HTTP 200 with the code {body.get('code')} in the body: {text}"),
                http_status=reply.status,
                api_code=code,
                advice="The document knows no such reply: ask your account manager.",
            )
        return reply.error(self._redact(text), status=status, api_code=code, advice=self._advice(status, call=call))

    def batch_result(self, reply: Reply) -> BatchResult:
        """
        Return how the platform counted the members of an uploaded body.

        :param reply: reply to an update, an append, or a change of a suppression list.
        :raises AudienceError: the upload failed, or its outcome is not known.
        """
        body = self.object(reply, "upload")
        valid = api_integer(body.get("num_valid_ids"))
        invalid = api_integer(body.get("num_invalid_ids", body.get("num_invalid_users")))
        if valid is None or invalid is None:
            raise UnexpectedReplyError(
                "the reply does not count valid and invalid IDs",
                http_status=reply.status,
                maybe_applied=True,
                advice="The upload may have been applied; it is safe to repeat.",
            )
        sent = 0 if reply.sent is None else len(reply.sent)
        return BatchResult(valid=valid, invalid=invalid, body_bytes=sent, after_lost_try=reply.after_lost_try)
