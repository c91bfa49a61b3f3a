"""Refusing texts of which none is a member, or too few: those of one staging, or of all partitions together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind


def refuse_malformed_share(
    malformed: int,
    texts: int,
    *,
    identifier_kind: IdentifierKind,
    limit: float | None,
    argument: str = "source",
    damage: str = "",
    report_note: str = "",
    examples: Sequence[str] = (),
) -> None:
    """
    Refuse texts of which more are malformed than ``max_malformed_ratio`` allows.

    :param malformed: number of texts that are not members, blank and zeroed texts not counted.
    :param texts: number of all texts, without blank ones.
    :param identifier_kind: what members are, for messages.
    :param limit: largest share of malformed texts, from 0 to 1; None for no limit.
    :param argument: operator's argument that the texts come from, for messages.
    :param damage: what other programs did to the texts, in words for messages, after a semicolon.
    :param report_note: where all of them are reported, in words for messages, after a semicolon.
    :param examples: places and masked previews of the first malformed texts.
    :raises InvalidInputError: there are more.
    """
    if limit is None or not malformed or (share := malformed / texts) <= limit:
        return
    first_ones = f". First ones: {'; '.join(examples)}" if examples else ""
    raise InvalidInputError(
        f"{malformed:,} of {counted(texts, 'text')} of {argument} ({share:.2%}) are not {identifier_kind.plural}, more "
        f"than max_malformed_ratio={limit:.2%}{damage}; nothing was sent{report_note}{first_ones}"
    )


def refuse_without_members(
    members: int, malformed: int, *, member_name: str, of: str = "the source's texts", damage: str = ""
) -> None:
    """
    Refuse texts of which none is a member: they are more likely those of another file or column.

    :param members: number of texts that are members.
    :param malformed: number of texts that are not members, blank and zeroed texts not counted.
    :param member_name: name of the identifier kind.
    :param of: where the texts come from, for messages.
    :param damage: what other programs did to the texts, in words for messages, after a semicolon.
    :raises InvalidInputError: there are texts, and none of them is a member.
    """
    if malformed and not members:
        what = "mend the source." if damage else "is it the right file, and the right column?"
        raise InvalidInputError(
            f"none of {of} is {with_article(member_name)} ({counted(malformed, 'is malformed', 'are malformed')}"
            f"{damage}): {what} Nothing was sent"
        )


def with_article(name: str) -> str:
    """
    Return a kind's name with its article, for messages: an advertising ID, a phone number.

    :param name: name of the identifier kind.
    """
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
