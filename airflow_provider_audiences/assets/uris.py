"""
The URI of a target, by which Airflow knows its asset: ``applovin://<account>/audiences/<id or name>`` and the like.

Every segment is percent-encoded, so that different targets have different URIs. This module knows no Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_audiences.common.targets import platforms, target_kinds
from airflow_provider_audiences.exceptions import InvalidInputError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow_provider_audiences.common.targets import TargetKind

MAX_URI_CHARACTERS = 1_500
"""Most characters of an asset's name and URI; Airflow 3 takes no more."""


def uri_of(kind: TargetKind, target: str, *, account: str) -> str:
    """
    Return the URI of a target.

    :param kind: what the target is.
    :param target: its id or name.
    :param account: what tells the accounts of a platform apart.
    :raises InvalidInputError: the target or the account is blank, or no text, or the URI is too long for Airflow.
    """
    uri = f"{kind.platform.name}://{_segment('account', account)}/{kind.folder}/{_segment(kind.named_by, target)}"
    if len(uri) > MAX_URI_CHARACTERS:
        raise InvalidInputError(
            f"the URI of this asset would have {len(uri):,} characters, and Airflow takes at most "
            f"{MAX_URI_CHARACTERS:,}: give the operator a shorter one as asset="
        )
    return uri


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
    kinds = [kind for kind in target_kinds() if kind.platform.name == uri.scheme]
    forms = " or ".join(f"{kind.platform.name}://<account>/{kind.folder}/<{kind.named_by}>" for kind in kinds)
    folder, _, target = uri.path.removeprefix("/").rstrip("/").partition("/")
    kind = next((kind for kind in kinds if kind.folder == folder), None)
    if kind is None or not uri.netloc or not target or "/" in target or uri.query or uri.fragment:
        raise InvalidInputError(
            f"this URI of an asset is none of {forms}, where what is no letter, digit or one of -._~ is percent-encoded"
        )
    return urlsplit(uri_of(kind, unquote(target), account=unquote(uri.netloc)))


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


def is_ours(uri: str) -> bool:
    """
    Return whether a URI has the scheme of an ad platform.

    :param uri: a URI, or the name of an asset.
    """
    return urlsplit(uri).scheme in {platform.name for platform in platforms()}


def canonical_uri(uri: str) -> str:
    """
    Return a URI of one of our schemes in the form in which operators make it.

    :param uri: a URI, whatever is encoded in it.
    :raises InvalidInputError: it names nothing of ours; the message has the forms that do.
    """
    return normalize_uri(urlsplit(uri)).geturl()
