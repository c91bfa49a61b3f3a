"""URIs of assets: one form for each audience, and different ones for different audiences."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.assets.uris import MAX_URI_CHARACTERS, canonical_uri, sanitize_uri, uri_of
from airflow_provider_audiences.common.targets import AUDIENCE, GROUP, OWN_KINDS, SUPPRESSION_LIST, TargetKind
from airflow_provider_audiences.exceptions import InvalidInputError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).map(str.strip).filter(bool)


def test_forms() -> None:
    assert uri_of(AUDIENCE, "fce0b41a", account="applovin_default") == "applovin://applovin_default/audiences/fce0b41a"
    assert uri_of(AUDIENCE, "Loyal players", account="a b") == "applovin://a%20b/audiences/Loyal%20players"
    assert uri_of(SUPPRESSION_LIST, "com.example.game", account="x") == "applovin://x/suppression/com.example.game"
    assert uri_of(GROUP, "会员/1?#%", account="p@d:1") == "pai://p%40d%3A1/groups/%E4%BC%9A%E5%91%98%2F1%3F%23%25"


@pytest.mark.parametrize("kind", OWN_KINDS, ids=lambda kind: kind.name)
@given(accounts=st.tuples(TEXTS, TEXTS), targets=st.tuples(TEXTS, TEXTS))
def test_each_audience_has_a_uri_of_its_own(
    kind: TargetKind, accounts: tuple[str, str], targets: tuple[str, str]
) -> None:
    uris = [uri_of(kind, target, account=account) for target, account in zip(targets, accounts, strict=True)]
    assert (uris[0] == uris[1]) is ((accounts[0], targets[0]) == (accounts[1], targets[1]))
    for uri in uris:
        assert re.fullmatch(r"[a-z]+://[\w.~%-]+/[a-z]+/[\w.~%-]+", uri, re.ASCII)
        assert canonical_uri(uri) == uri
        assert sanitize_uri(urlsplit(uri)).geturl() == uri


@pytest.mark.parametrize(
    "written",
    [
        "applovin://main/audiences/Loyal players",
        "applovin://main/audiences/%4Coyal%20players",
        "applovin://main/audiences/Loyal%20players/",
        "APPLOVIN://main/audiences/Loyal%20players",
    ],
)
def test_other_ways_to_write_one_are_told_the_right_one(written: str) -> None:
    right = "applovin://main/audiences/Loyal%20players"
    assert canonical_uri(written) == right
    if urlsplit(written).geturl() != right:  # Airflow itself lowers the scheme
        with pytest.raises(InvalidInputError, match=f"must be written {right}"):
            sanitize_uri(urlsplit(written))


@pytest.mark.parametrize(
    "uri",
    [
        "applovin://main",
        "applovin://main/audiences",
        "applovin:///audiences/x",
        "applovin://main/audiences/x/y",
        "applovin://main/groups/x",
        "applovin://main/audiences/x?y=z",
        "applovin://main/audiences/x#y",
        "applovin://main/audiences/%20",
        "pai://main/audiences/x",
    ],
)
def test_what_names_nothing_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInputError, match="of an asset"):
        canonical_uri(uri)


@pytest.mark.parametrize("text", ["", " ", "\ud800", None, 7])
def test_what_is_no_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        uri_of(GROUP, text, account="main")
    with pytest.raises(InvalidInputError):
        uri_of(GROUP, "x", account=text)


def test_what_is_too_long_for_airflow_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="asset="):
        uri_of(GROUP, "会" * (MAX_URI_CHARACTERS // 9), account="main")
