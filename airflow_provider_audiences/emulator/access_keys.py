"""The secrets of the emulated accounts: the API key, and the AccessKey pair that signs requests."""

import secrets
from dataclasses import dataclass, field

# What real ids of lasting and of temporary AccessKey pairs begin with.
LASTING_PREFIX = "LTAI"
TEMPORARY_PREFIX = "STS."


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """
    An AccessKey pair.

    :param access_key_id: names the pair; requests carry it
    :param access_key_secret: signs requests, and is never sent
    :param security_token: STS token that each request has to carry; None for a lasting pair
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def make_access_key(
    *, access_key_id: str | None = None, access_key_secret: str | None = None, security_token: str | None = None
) -> AccessKey:
    """
    :param access_key_id: None makes one
    :param access_key_secret: None makes one
    :param security_token: STS token; None or empty makes the pair a lasting one
    :return: the pair
    """
    prefix = TEMPORARY_PREFIX if security_token else LASTING_PREFIX
    return AccessKey(
        access_key_id=access_key_id or prefix + secrets.token_hex(10),
        access_key_secret=access_key_secret or secrets.token_urlsafe(24),
        security_token=security_token or None,
    )
