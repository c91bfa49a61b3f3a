"""Advice for AppLovin's errors: what to do, by HTTP status and kind of call."""

from __future__ import annotations

_KEY_ADVICE = (
    "Check the Management Key in the connection's password: it is on the account page, tab Keys. Other keys that this "
    "page may show are of other products, and refused here. If it shows no Management Key, write to "
    "adsupport@applovin.com."
)
_SIZE_ADVICE = "Send smaller batches (batch_size)."
_HOST_ADVICE = "Check the connection's host: its name, and the path behind it."
_LATER_ADVICE = "Try again later; if it persists, give the request id to the platform's support."

_ADVICE = {
    400: "Check the parameters: the platform found one missing or invalid.",
    401: _KEY_ADVICE,
    403: _KEY_ADVICE,
    404: "Check the audience_id: list the audiences to see those that exist.",
    408: _SIZE_ADVICE,
    413: _SIZE_ADVICE,
}
_ADVICE_BY_CALL: dict[str, dict[int, str]] = {
    "list": {
        400: f"A list has no parameter but the key. {_HOST_ADVICE}",
        404: _HOST_ADVICE,
        408: _LATER_ADVICE,
        413: _HOST_ADVICE,
    },
    "create": {404: _HOST_ADVICE, 408: _LATER_ADVICE, 413: "Shorten name and description."},
    "delete": {
        400: "Check the audience_id: the platform found it missing or invalid.",
        408: _LATER_ADVICE,
        413: _HOST_ADVICE,
    },
}
"""Advice that differs for some calls: a list and a create name no audience, and only uploads send batches."""


def advice_for(status: int, *, call: str) -> str | None:
    """
    Return what to do about an error; None if the advice of the error's type fits.

    :param status: HTTP status; or the code in the reply's body, if there is one.
    :param call: kind of call: ``create``, ``list``, ``upload`` (an update or an append) or ``delete``.
    """
    return _ADVICE_BY_CALL.get(call, {}).get(status) or _ADVICE.get(status)


_SUPPRESSION_KEY_ADVICE = (
    "{used} was used, and refused. A suppression list may ask for the Suppression API Key (account page, tab Keys): "
    "give it as suppression_api_key in the connection's extra; older accounts use the Management Key, which is the "
    "connection's password."
)


class SuppressionAdvice:
    """
    Advice for errors of the Suppression API.

    :param key_name: name of the connection's key that was used, for the advice.
    """

    def __init__(self, key_name: str) -> None:
        self._key_name = key_name

    def __call__(self, status: int, *, call: str) -> str | None:  # noqa: ARG002 - both calls have the same in them
        """
        Return what to do about an error; None if the advice of the error's type fits.

        :param status: HTTP status; or the code in the reply's body, if there is one.
        :param call: kind of call; the advice is the same for all.
        """
        if status in {401, 403}:
            return _SUPPRESSION_KEY_ADVICE.format(used=f"The {self._key_name}")
        advice = {
            400: "Check package_name: the app's package name (Android) or bundle ID (iOS).",
            404: _HOST_ADVICE,
            408: _SIZE_ADVICE,
            413: _SIZE_ADVICE,
        }
        return advice.get(status)
