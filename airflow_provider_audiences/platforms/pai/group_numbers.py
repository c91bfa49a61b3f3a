"""The phone numbers for a PAI audience group: their checks by guards, and the group's specification with them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.keys.key_set import fingerprint_of
from airflow_provider_audiences.members.opt_outs import without_opt_outs
from airflow_provider_audiences.platforms.pai.group_spec import MAX_TEXT_NUMBERS, GroupSpec, PaiSource
from airflow_provider_audiences.sync.guards import Guards, Verdict, log_verdicts, refuse_unless_passed, stopped_by
from airflow_provider_audiences.sync.plan import PlanCounts
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.phone_number import PhoneFormat
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.members.workspace import StagingSettings
    from airflow_provider_audiences.platforms.pai.groups import AudienceGroup

log = logging.getLogger(__name__)

_TEXT_COUNTS = ("malformed", "duplicates", "blank")


@dataclass(frozen=True, kw_only=True)
class GroupNumbers:
    """
    The phone numbers of a source without the opt-outs. They exist until the block of :func:`subtract_opt_outs` ends.

    :param staged: the staged numbers.
    :param facts: counts of the source's and the opt-outs' texts, for the report.
    """

    staged: StagedMembers
    facts: dict[str, Any]

    @property
    def count(self) -> int:
        """Number of phone numbers."""
        return self.staged.members

    @property
    def fingerprint(self) -> str:
        """Digest of the set of numbers; it does not depend on their order."""
        return fingerprint_of(self.staged.keys)

    @property
    def fit_into_text(self) -> bool:
        """Whether PAI takes so many numbers as text; more numbers must be in a file."""
        return self.count <= MAX_TEXT_NUMBERS

    def check(self, guards: Guards) -> None:
        """
        Check the guards that need no request to PAI.

        :param guards: guards of the task.
        :raises GuardError: there are fewer numbers than ``min_members``, or fewer opt-outs than ``min_suppressed``.
        """
        opt_outs = self.facts["suppress_members"]
        if self.count < guards.min_members:
            raise stopped_by(
                "min_members",
                f"the source has {counted(self.count, 'phone number')}, and at least "
                f"{counted(guards.min_members, 'is', 'are')} expected; nothing was sent",
            )
        if opt_outs < guards.min_suppressed:
            raise stopped_by(
                "min_suppressed",
                f"suppress has {counted(opt_outs, 'phone number')}, and at least "
                f"{counted(guards.min_suppressed, 'is', 'are')} expected; nothing was sent",
            )

    def judge(self, guards: Guards, current: AudienceGroup | None) -> list[Verdict]:
        """
        Check the guards against the group that the numbers would replace. Only its number of people is compared.

        :param guards: guards of the task.
        :param current: group that would be replaced; None if there is none.
        :return: verdicts of all guards.
        :raises GuardError: a guard stops the run.
        """
        people = current.amount if current else 0
        added, removed = max(0, self.count - people), max(0, people - self.count)
        counts = PlanCounts(
            added=added,
            surely_new=added,
            removed=removed,
            surely_live_removed=removed,
            unchanged=self.count - added,
            maybe_live=people,
            surely_live=people,
        )
        verdicts = guards.verdicts(counts, suppress_members=self.facts["suppress_members"])
        if current:
            log.info(
                "The numbers are not known to be those of the group %s, which has %s: a new one is made.",
                current.id, counted(people, "person", "people"),
            )  # fmt: skip
        log_verdicts(verdicts)
        refuse_unless_passed(verdicts, not_done="no group was made")
        return verdicts

    def spec(self, *, name: str | None, remark: str | None, uri: str | None, phone_format: PhoneFormat) -> GroupSpec:
        """
        Return the specification of a group with these numbers.

        :param name: name of the group.
        :param remark: remark of the group, as free text; None for none.
        :param uri: address by which PAI reads the file with the numbers; None to send the numbers as text.
        :param phone_format: form that all numbers must have.
        :raises InvalidInputError: there are too many numbers to send as text, or an argument is wrong.
        """
        if uri is None and not self.fit_into_text:
            raise InvalidInputError(
                f"the source has {counted(self.count, 'phone number')}, and PAI takes at most {MAX_TEXT_NUMBERS} as "
                "text: give stage_path, where a file for PAI can be written, such as oss://bucket/prefix; nothing was "
                "sent"
            )
        return GroupSpec(
            source=PaiSource.TEXT_FILE if uri else PaiSource.TEXT,
            name=name,
            text=None if uri else self.staged.lines(0, MAX_TEXT_NUMBERS).decode().rstrip("\n"),
            uri=uri,
            phone_number=True,
            remark=remark,
        ).checked(phone_format=phone_format)

    def were_read(self, group: AudienceGroup, spec: GroupSpec) -> bool:
        """
        Return whether PAI has read the right file for a group: its address is the same, if PAI shows one, and the group
        has no more people than there are numbers.

        :param group: group that was made of the same numbers.
        :param spec: specification for making the group now.
        """
        is_same_place = not group.uri or not spec.uri or unquote(group.uri) == unquote(spec.uri)
        return is_same_place and group.amount <= self.count


@contextmanager
def subtract_opt_outs(
    source: StagedMembers, opt_outs: StagedMembers | None, *, settings: StagingSettings
) -> Iterator[GroupNumbers]:
    """
    Yield the phone numbers of a source without the opt-outs.

    :param source: staged numbers of the source.
    :param opt_outs: staged numbers of the opt-outs; None if there are none.
    :param settings: memory and disk to use.
    """
    facts: dict[str, Any] = {"members": source.members}
    facts |= {name: getattr(source, name) for name in _TEXT_COUNTS}
    facts |= {"members_by_column": dict(source.by_column), "suppressed": 0}
    for name in ("members", *_TEXT_COUNTS):
        facts[f"suppress_{name}"] = getattr(opt_outs, name) if opt_outs else 0
    if opt_outs is None:
        yield GroupNumbers(staged=source, facts=facts)
        return
    with without_opt_outs(source, opt_outs, settings=settings) as left:
        facts |= {"members": left.members, "suppressed": source.members - left.members}
        yield GroupNumbers(staged=left, facts=facts)
