"""The patterns of members: those of a kind of another package are known like ours, once they are registered."""

from collections.abc import Iterator

import pytest
from support.hashed_emails import HashedEmails, digests_of

from airflow_provider_audiences.common.masked import Masked, MembersField
from airflow_provider_audiences.common.recognition import is_member_text, looks_personal
from airflow_provider_audiences.members.identifiers import patterns
from airflow_provider_audiences.members.identifiers.patterns import (
    ADVERTISING_ID_PATTERNS,
    ALL_IN_SERVER_REPLIES,
    ALL_PATTERNS,
    NEVER_ONLY_DIGITS,
    PHONE_NUMBER_PATTERNS,
    register_patterns,
)
from airflow_provider_audiences.redaction import Redactor

DIGEST = digests_of(["somebody@example.com"])[0]
QUERY = f"SELECT 1 WHERE hashed_email = '{DIGEST}'"


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registers hashed e-mails, until the test ends."""
    lists = (patterns._all, patterns._never_only_digits, patterns._in_server_replies)
    before = [list(known) for known in lists]
    register_patterns(HashedEmails.patterns)
    yield
    for known, content in zip(lists, before, strict=True):
        known[:] = content  # type: ignore[index]


class Task:
    source = MembersField()
    template_fields = ("source",)


def test_ours_are_known() -> None:
    assert list(ALL_PATTERNS) == [ADVERTISING_ID_PATTERNS, PHONE_NUMBER_PATTERNS]
    assert list(NEVER_ONLY_DIGITS) == [ADVERTISING_ID_PATTERNS]
    assert not looks_personal("nobody@example")


@pytest.mark.usefixtures("registered")
def test_members_of_another_kind_are_masked_everywhere() -> None:
    assert looks_personal(QUERY)
    assert is_member_text(DIGEST)
    assert DIGEST not in Redactor(None, ALL_IN_SERVER_REPLIES)(f"no such value: {DIGEST}")
    task = Task()
    task.source = DIGEST
    assert isinstance(task.source, Masked)
    assert DIGEST not in repr(task.source)


@pytest.mark.usefixtures("registered")
def test_registering_again_changes_nothing() -> None:
    before = list(ALL_PATTERNS), list(NEVER_ONLY_DIGITS), list(ALL_IN_SERVER_REPLIES)
    register_patterns(HashedEmails.patterns)
    assert (list(ALL_PATTERNS), list(NEVER_ONLY_DIGITS), list(ALL_IN_SERVER_REPLIES)) == before


def test_nothing_is_left_of_it() -> None:
    """Without it, a query of that kind is no secret: the tests above are about the registration."""
    assert not looks_personal(QUERY)
