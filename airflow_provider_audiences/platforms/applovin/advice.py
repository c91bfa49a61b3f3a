"""What to do about an error of AppLovin's Audience API: by status, and by what the call has in it."""

from __future__ import annotations

from typing import Literal

CallName = Literal["create", "list", "upload", "delete"]

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
_ADVICE_BY_CALL: dict[CallName, dict[int, str]] = {
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
"""Instead of the above: a list and a create name no audience, and only uploads send batches."""


def advice_for(status: int, *, call: CallName) -> str | None:
    """
    Return what to do about an error; None for what fits any error of its type.

    :param status: HTTP status, or the code in the reply's body that takes its place.
    :param call: which call it was; an upload is an update or an append.
    """
    return _ADVICE_BY_CALL.get(call, {}).get(status) or _ADVICE.get(status)
