"""
Opt-outs: people who must not be in an audience. No list is read more strictly.

A text of a source that can't be read is a person less; one of an opt-out list that can't be read is a person who stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds, IdentifierKind
from airflow_provider_audiences.members.keys import key_sets
from airflow_provider_audiences.members.reading.inputs import MemberInput
from airflow_provider_audiences.members.staging import StagedMembers, StagingRules, refuse_without_members, stage
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.validation import one_of


def checked_on_malformed(value: object) -> str:
    """
    Return ``fail`` or ``drop``.

    :param value: the argument ``suppress_on_malformed``.
    :raises InvalidInputError: it is neither.
    """
    return one_of("suppress_on_malformed", value, ("fail", "drop"))


@contextmanager
def stage_opt_outs(
    source: MemberInput,
    *,
    on_malformed: str,
    max_malformed_ratio: float | None = None,
    kind: IdentifierKind | None = None,
    settings: StagingSettings | None = None,
) -> Iterator[StagedMembers]:
    """
    Stage a list of opt-outs, as :func:`~airflow_provider_audiences.members.staging.stage` does a source.

    :param source: files, values or a data frame.
    :param on_malformed: ``fail`` if a text is no member, or ``drop`` and count it.
    :param max_malformed_ratio: fail if more than this part of the texts is malformed, although they are dropped.
    :param kind: what the members are; None for advertising IDs.
    :param settings: memory and disk to use; None for the defaults.
    :raises InvalidInputError: a text is no member, or none of them is, or the list can't be read.
    """
    kind = kind or AdvertisingIds()
    fails = checked_on_malformed(on_malformed) == "fail"
    rules = StagingRules(max_malformed_ratio=None if fails else max_malformed_ratio, argument="suppress")
    with stage(source, rules=rules, kind=kind, settings=settings) as staged:
        refuse_without_members(
            members=staged.members,
            malformed=staged.malformed,
            name=kind.name,
            damage=staged.damage,
            of="the texts of suppress",
        )
        if staged.malformed and fails:
            raise InvalidInputError(
                f"{staged.malformed} texts of suppress are not {kind.name}s ({kind.rule}), and each may be a person "
                f"who would stay{staged.damage}: {'; '.join(staged.examples)}; nothing was sent. Mend the list; or "
                "give suppress_on_malformed='drop' if none of them is a person, such as a header line"
            )
        yield staged


@contextmanager
def without(
    staged: StagedMembers, suppressed: StagedMembers, *, settings: StagingSettings | None = None
) -> Iterator[StagedMembers]:
    """
    Yield the members of a source who have not opted out.

    :param staged: the source.
    :param suppressed: the opt-outs.
    :param settings: memory and disk to use; None for the defaults.
    """
    with open_workspace(settings or StagingSettings()) as workspace:
        keys = key_sets.without(staged.keys, suppressed.keys, workspace)
        yield replace(staged, members=keys.count, keys=keys)
