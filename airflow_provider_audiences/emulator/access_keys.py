"""The AccessKey pair with which requests to the emulated PAI service are signed."""

import secrets
from dataclasses import dataclass, field

# Prefixes of real ids of permanent and of temporary AccessKey pairs.
LASTING_PREFIX = "LTAI"
TEMPORARY_PREFIX = "STS."


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """
    An AccessKey pair.

    :param access_key_id: id of the pair, which requests carry.
    :param access_key_secret: key that signs requests, and is never sent.
    :param security_token: STS token that each request has to carry; None for a permanent pair.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def make_access_key(
    *, access_key_id: str | None = None, access_key_secret: str | None = None, security_token: str | None = None
) -> AccessKey:
    """
    Return an AccessKey pair; parts that are not given are made up at random.

    :param access_key_id: id of the pair; None (default) for a random one.
    :param access_key_secret: secret of the pair; None (default) for a random one.
    :param security_token: STS token; None (default) or empty for a permanent pair.
    """
    prefix = TEMPORARY_PREFIX if security_token else LASTING_PREFIX
    return AccessKey(
        access_key_id=access_key_id or prefix + secrets.token_hex(10),
        access_key_secret=access_key_secret or secrets.token_urlsafe(24),
        security_token=security_token or None,
    )
