"""An operator's arguments about members: the source, the opt-outs, and what to do about texts that are no members."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_audiences.common.recognition import is_member_text
from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.opt_outs import checked_on_malformed, stage_opt_outs
from airflow_provider_audiences.members.partition_kinds import PartitionKind
from airflow_provider_audiences.members.reading.inputs import MemberInput
from airflow_provider_audiences.members.staging import StagedMembers, StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings
from airflow_provider_audiences.sources.joined import joined
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.sources.partitions import PartitionedReading
from airflow_provider_audiences.sources.staging import refuse_source_as_rejects_path, rejects_file, staging_settings

_SOURCE = re.compile(r"^source\b|\bsource(?=, (?:row|item) )")


@dataclass(frozen=True, kw_only=True)
class MemberArguments:
    """
    An operator's checked arguments about members; :meth:`of` checks them.

    :param source: value of the operator's field ``source``, masked or not.
    :param suppress: value of the operator's field ``suppress``, which names the opt-outs, masked or not; None for no
        opt-outs.
    :param identifier_kind: kind of the members, such as phone numbers.
    :param rules: what to do about texts of ``source`` that are no members.
    :param suppress_on_malformed: what to do about texts of ``suppress`` that are no members: ``fail``, or ``drop`` to
        count them.
    :param settings: memory and disk to use.
    :param reading: how one partition of source and opt-outs is read; None (default) to read all of them.
    """

    source: Any = field(repr=False)
    suppress: Any = field(repr=False)
    identifier_kind: IdentifierKind
    rules: StagingRules
    suppress_on_malformed: str
    settings: StagingSettings
    reading: PartitionedReading | None = None

    @classmethod
    def of(
        cls, operator: Any, *, identifier_kind: IdentifierKind, reading: PartitionedReading | None = None
    ) -> MemberArguments:
        """
        Return an operator's arguments after checking them. No file or table is opened yet.

        :param operator: operator with the attributes ``source``, ``on_malformed``, ``max_malformed_ratio``,
            ``rejects_path`` and ``rejects_include_values``, and perhaps ``suppress`` and ``suppress_on_malformed``.
        :param identifier_kind: kind of the members, such as phone numbers.
        :param reading: how one partition of the members is read; None (default) to read all of them.
        :raises InvalidInputError: an argument is wrong, or the report of rejects would overwrite a file that is read.
        """
        suppress = getattr(operator, "suppress", None)
        arguments = cls(
            source=operator.source,
            suppress=suppress,
            identifier_kind=identifier_kind,
            rules=StagingRules(
                on_malformed=operator.on_malformed,
                max_malformed_ratio=operator.max_malformed_ratio,
                rejects=rejects_file(operator.rejects_path, include_values=operator.rejects_include_values),
            ),
            suppress_on_malformed=checked_on_malformed(getattr(operator, "suppress_on_malformed", "fail")),
            settings=staging_settings(),
            reading=reading,
        )
        for read in (operator.source, suppress):
            refuse_source_as_rejects_path(operator.rejects_path, read)
        return arguments

    @contextmanager
    def staged_source(self, *, is_compared_once: bool = False) -> Iterator[StagedMembers]:
        """
        Stage the source's members for the block.

        :param is_compared_once: whether the members are only compared with other sets, once, and not sent.
        :raises InvalidInputError: the source can't be read, the rules refuse it, or none of its texts is a member.
        """
        with (
            self._opened_source() as (opened, kind),
            stage(
                opened,
                rules=self.rules,
                identifier_kind=kind,
                settings=self.settings,
                is_compared_once=is_compared_once,
            ) as staged,
        ):
            if self.reading is None:  # a partition may have nobody
                staged.refuse_without_members()
            yield staged

    @contextmanager
    def staged_opt_outs(self) -> Iterator[StagedMembers | None]:
        """
        Stage the opt-outs for the block; yield None if the operator has none.

        :raises InvalidInputError: the opt-outs can't be read, or the rules refuse a text that is no member.
        """
        if self.suppress is None:
            yield None
            return
        with ExitStack() as stack:
            with naming_argument("suppress"):
                kind = self._kind_of_opt_outs()
                opened = stack.enter_context(opened_argument("suppress", self.suppress, kind))
                staged = stack.enter_context(
                    stage_opt_outs(
                        opened,
                        on_malformed=self.suppress_on_malformed,
                        max_malformed_ratio=self.rules.max_malformed_ratio,
                        identifier_kind=kind,
                        settings=self.settings,
                        is_part=self.reading is not None,
                    )
                )
            yield staged

    @contextmanager
    def _opened_source(self) -> Iterator[tuple[MemberInput, IdentifierKind]]:
        """Open the source, or the partition's part of it; yield it, and the kind of the members to take from it."""
        value, kind = self.source, self.identifier_kind
        if self.reading is not None:
            value, is_narrowed = self.reading.narrowed("source", joined(value))
            kind = PartitionKind(
                kind, partition=self.reading.partition, argument="source", drops_others=not is_narrowed
            )
        with opened_argument("source", value, kind) as opened:
            yield opened, kind

    def _kind_of_opt_outs(self) -> IdentifierKind:
        """
        Return the kind of the opt-outs. A partition reads all of them: a text that only another one would see may be a
        person of this one.
        """
        if self.reading is None:
            return self.identifier_kind
        if "suppress" in self.reading.placed:
            raise InvalidInputError(
                "suppress must not depend on the partition: an opt-out whose text can't be placed might be missed, and "
                "its person would stay; nothing was sent",
                advice="Give the whole list to each partition.",
            )
        return PartitionKind(
            self.identifier_kind,
            partition=self.reading.partition,
            argument="suppress",
            drops_others=True,
            keeps_rejected=True,
        )


@contextmanager
def opened_argument(argument: str, value: Any, identifier_kind: IdentifierKind) -> Iterator[MemberInput]:
    """
    Open what an operator's argument names, for the block.

    :param argument: name of the argument, for messages.
    :param value: value of the argument, masked or not.
    :param identifier_kind: identifier kind of the members, such as phone numbers.
    :raises InvalidInputError: the value is no source, or can't be opened.
    """
    source = joined(value)
    if (
        identifier_kind.patterns.may_be_number
        and isinstance(source, str)
        and is_member_text(source, (identifier_kind.patterns,))
    ):
        raise InvalidInputError(
            f"{argument} is text with {identifier_kind.plural} in it, not a path: give a list of them, or the path of "
            "a file"
        )
    with open_source(source, argument=argument) as opened:
        yield opened


@contextmanager
def naming_argument(argument: str) -> Iterator[None]:
    """
    Let errors about what is read name the argument that it was given as; readers call all of it the source.

    :param argument: name of the argument.
    """
    try:
        yield
    except AudienceError as error:
        error.message = _SOURCE.sub(argument, error.message)
        error.args = (error.message,)
        raise
