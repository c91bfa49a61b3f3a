"""
The URI of an audience, by which Airflow knows its asset: ``applovin://<account>/audiences/<handle>`` and the like.

Every segment is percent-encoded, so that different handles give different URIs. This module knows no Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_audiences.exceptions import InvalidInputError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

MAX_URI_CHARACTERS = 1_500
"""Most characters of an asset's name and URI; Airflow 3 takes no more."""


@dataclass(frozen=True, kw_only=True)
class AssetKind:
    """
    A kind of thing that is an asset.

    :param platform: scheme of the URI: ``applovin`` or ``pai``.
    :param name: what it is, in one word: ``audience``, ``suppression_list`` or ``group``.
    :param folder: first segment of the URI's path.
    :param handle_name: how the second segment is called in messages.
    :param title: what it is, as people write it at the beginning of a line.
    :param platform_title: the platform, as people write it.
    """

    platform: str
    name: str
    folder: str
    handle_name: str
    title: str
    platform_title: str

    @property
    def conn_argument(self) -> str:
        """Name of the operators' argument with the connection."""
        return f"{self.platform}_conn_id"

    def uri(self, handle: str, *, account: str) -> str:
        """
        Return the URI of one thing of this kind.

        :param handle: id or name of the thing.
        :param account: what tells the accounts of a platform apart.
        :raises InvalidInputError: the handle or the account is blank, or no text, or the URI is too long for Airflow.
        """
        uri = f"{self.platform}://{_segment('account', account)}/{self.folder}/{_segment(self.handle_name, handle)}"
        if len(uri) > MAX_URI_CHARACTERS:
            raise InvalidInputError(
                f"the URI of this asset would have {len(uri):,} characters, and Airflow takes at most "
                f"{MAX_URI_CHARACTERS:,}: give the operator a shorter one as asset="
            )
        return uri


AUDIENCE = AssetKind(
    platform="applovin",
    name="audience",
    folder="audiences",
    handle_name="audience_id or name",
    title="Audience",
    platform_title="AppLovin",
)
SUPPRESSION_LIST = AssetKind(
    platform="applovin",
    name="suppression_list",
    folder="suppression",
    handle_name="package_name",
    title="Suppression list",
    platform_title="AppLovin",
)
GROUP = AssetKind(
    platform="pai", name="group", folder="groups", handle_name="name", title="Group", platform_title="Alibaba PAI"
)
KINDS = (AUDIENCE, SUPPRESSION_LIST, GROUP)
SCHEMES = tuple(sorted({kind.platform for kind in KINDS}))


def _segment(name: str, text: str) -> str:
    stripped = text.strip() if isinstance(text, str) else ""
    if not stripped:
        raise InvalidInputError(f"the {name} of an asset is empty, or no text")
    try:
        return quote(stripped, safe="")
    except UnicodeEncodeError:
        raise InvalidInputError(f"the {name} of an asset can't be written as UTF-8") from None


def normalize_uri(uri: SplitResult) -> SplitResult:
    """
    Return a URI in the form in which operators make it. Airflow 2 calls this for each dataset with one of our schemes.

    :param uri: parts of the URI.
    :raises InvalidInputError: it names nothing of ours; the message has the forms that do.
    """
    kinds = [kind for kind in KINDS if kind.platform == uri.scheme]
    forms = " or ".join(f"{kind.platform}://<account>/{kind.folder}/<{kind.handle_name}>" for kind in kinds)
    folder, _, handle = uri.path.removeprefix("/").rstrip("/").partition("/")
    kind = next((kind for kind in kinds if kind.folder == folder), None)
    if kind is None or not uri.netloc or not handle or "/" in handle or uri.query or uri.fragment:
        raise InvalidInputError(
            f"this URI of an asset is none of {forms}, where what is no letter, digit or one of -._~ is percent-encoded"
        )
    return urlsplit(kind.uri(unquote(handle), account=unquote(uri.netloc)))


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Return a URI as it is, if it is in the form in which operators make it. Airflow 3 calls this for each asset with one
    of our schemes.

    Airflow 3 takes the URI as the asset's name too, as it was written. With another form of the URI, it would be
    another asset of the same URI, and Airflow lets only one of the two be: tasks of the other one fail.

    :param uri: parts of the URI.
    :raises InvalidInputError: it names nothing of ours, or is written otherwise (also a ValueError, as Airflow wants
        it).
    """
    wanted = normalize_uri(uri)
    if wanted != uri:
        raise InvalidInputError(f"this URI of an asset must be written {wanted.geturl()}")
    return uri


def canonical_uri(uri: str) -> str:
    """
    Return a URI of one of our schemes in the form in which operators make it.

    :param uri: a URI, whatever is encoded in it.
    :raises InvalidInputError: it names nothing of ours; the message has the forms that do.
    """
    return normalize_uri(urlsplit(uri)).geturl()
