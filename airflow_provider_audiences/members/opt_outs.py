"""
Opt-outs: people who must not be in an audience.

Opt-out lists are read more strictly than sources. An unreadable text of a source means one member fewer; an unreadable
text of an opt-out list would leave a person in the audience who must not be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.keys import key_sets
from airflow_provider_audiences.members.malformed import with_article
from airflow_provider_audiences.members.reading.inputs import MemberInput
from airflow_provider_audiences.members.staging import (
    StagedMembers,
    StagingRules,
    stage,
)
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.validation import one_of
from airflow_provider_audiences.wording import counted


def checked_on_malformed(value: object) -> str:
    """
    Return the value after checking that it is ``fail`` or ``drop``.

    :param value: value of the operator's argument ``suppress_on_malformed``.
    :raises InvalidInputError: the value is neither.
    """
    return one_of("suppress_on_malformed", value, ("fail", "drop"))


@contextmanager
def stage_opt_outs(
    source: MemberInput,
    *,
    on_malformed: str,
    max_malformed_ratio: float | None = None,
    identifier_kind: IdentifierKind,
    settings: StagingSettings | None = None,
    is_part: bool = False,
) -> Iterator[StagedMembers]:
    """
    Stage an opt-out list, as :func:`~airflow_provider_audiences.members.staging.stage` stages a source.

    :param source: files, values, a data frame or tables.
    :param on_malformed: ``fail`` raises an error if any text is malformed; ``drop`` drops and counts malformed texts.
    :param max_malformed_ratio: with ``drop``, the largest share of malformed texts that is accepted, from 0 to 1; None
        for no limit.
    :param identifier_kind: identifier kind of the list.
    :param settings: memory and disk to use; None for the defaults.
    :param is_part: whether it is one partition of a list, which may have no member; default False.
    :raises InvalidInputError: a text is malformed and ``on_malformed`` is ``fail``, too many are, none is a member, or
        the list can't be read.
    """
    fails = checked_on_malformed(on_malformed) == "fail"
    rules = StagingRules(max_malformed_ratio=None if fails else max_malformed_ratio, argument="suppress")
    with stage(source, rules=rules, identifier_kind=identifier_kind, settings=settings) as staged:
        if not is_part:
            staged.refuse_without_members(of="the texts of suppress")
        if staged.malformed and fails:
            said = counted(
                staged.malformed,
                f"text of suppress is not {with_article(identifier_kind.name)}",
                f"texts of suppress are not {identifier_kind.plural}",
            )
            raise InvalidInputError(
                f"{said} ({identifier_kind.rule}), and each may be a person "
                f"who would stay{staged.damage}: {'; '.join(staged.examples)}; nothing was sent. Mend the list; or "
                "give suppress_on_malformed='drop' if none of them is a person, such as a header line"
            )
        yield staged


@contextmanager
def without_opt_outs(
    staged: StagedMembers, opt_outs: StagedMembers, *, settings: StagingSettings | None = None
) -> Iterator[StagedMembers]:
    """
    Yield the staged source without the members that have opted out.

    :param staged: the staged source, which stays as it is.
    :param opt_outs: the staged opt-out list.
    :param settings: memory and disk to use; None for the defaults.
    """
    with open_workspace(settings or StagingSettings(), key_bytes=staged.keys.key_bytes) as workspace:
        yield staged.with_keys(key_sets.difference(staged.keys, opt_outs.keys, workspace))
