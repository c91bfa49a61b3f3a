"""
Staging: from a source to a clean set, before the first request.

Everything that can be wrong with a source shows here, while nothing has been sent. Texts are read in chunks, what
is a member becomes a key, and the keys go to a file: memory is bounded whatever the size. A batch is made of its keys
when it is sent, so it can be made again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.batches import MemberBatch
from airflow_provider_audiences.members.columns import ParsedMembers
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
from airflow_provider_audiences.members.keys.key_runs import KeyRuns, KeySetBuilder
from airflow_provider_audiences.members.keys.key_set import KeysByPart, KeySet
from airflow_provider_audiences.members.malformed import refuse_malformed_share, refuse_without_members, with_article
from airflow_provider_audiences.members.reading.chunks import MemberChunk, disk_bytes_of, read_members
from airflow_provider_audiences.members.reading.inputs import MemberInput
from airflow_provider_audiences.members.reject_reasons import DAMAGE, MALFORMED, RejectReason, mask
from airflow_provider_audiences.members.rejects import Rejects, RejectsFile
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.validation import Checked, Rules, one_of, ratio
from airflow_provider_audiences.wording import counted

log = logging.getLogger(__name__)

OnMalformed = Literal["drop", "fail"]

_EXAMPLES = 3
_PROGRESS_INTERVAL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class StagingRules(Checked):
    """
    What to do about texts that are no members.

    :param on_malformed: ``drop`` them and count them, or ``fail`` at the first.
    :param max_malformed_ratio: fail if more than this part of the texts (blank ones apart) is malformed; from 0 to 1,
        None or ``off`` for no limit.
    :param rejects: where to report them, one by one; None for counts and a few examples in the log only.
    :param argument: the operator's argument that the texts come from, for messages.
    :raises InvalidInputError: an argument is wrong.
    """

    RULES: ClassVar[Rules] = {
        "on_malformed": partial(one_of, choices=get_args(OnMalformed)),
        "max_malformed_ratio": partial(ratio, at_most=1),
    }

    on_malformed: OnMalformed = "drop"
    max_malformed_ratio: float | None = None
    rejects: RejectsFile | None = None
    argument: str = "source"


@dataclass(frozen=True, kw_only=True)
class StagedMembers:
    """
    A set of distinct members, and counts of the texts that it was made of.

    It can be used until the ``with`` block of :func:`stage` ends.

    :param member_texts: number of texts that are members, duplicates included.
    :param malformed: number of texts that are not members, blank and zeroed texts not counted.
    :param damage: what other programs did to malformed texts, with counts, in words for messages; empty if nothing.
    :param zeroed: number of all-zero IDs, which devices give that hide their ID.
    :param blank: number of empty texts.
    :param by_column: number of valid texts of each column, duplicates included; empty if the source has one column.
    :param examples: places and masked previews of the first malformed texts.
    """

    member_texts: int
    malformed: int
    zeroed: int
    blank: int
    damage: str = field(repr=False)
    by_column: Mapping[str, int] = field(default_factory=dict, repr=False)
    examples: tuple[str, ...] = field(default=(), repr=False)
    _identifier_kind: IdentifierKind = field(repr=False)
    _found: KeyRuns | KeySet = field(repr=False)

    @property
    def members(self) -> int:
        """
        Number of distinct members. It costs nothing once all of them were read from :attr:`keys_by_part`; before that,
        :attr:`keys` is made for it.
        """
        return self._found.count

    @property
    def duplicates(self) -> int:
        """Number of texts that repeat a member of another text, in any case of letters."""
        return self.member_texts - self.members

    @property
    def keys(self) -> KeySet:
        """The members as sorted keys. When they are first used, all of them are sorted, and written to the disk."""
        return self._found if isinstance(self._found, KeySet) else self._found.as_set()

    @property
    def keys_by_part(self) -> KeysByPart:
        """The members as keys for a comparison with other sets: they are sorted for it, and nothing is written."""
        return self._found if isinstance(self._found, KeySet) else self._found.by_part

    def refuse_without_members(self, *, of: str = "the source's texts") -> None:
        """
        Refuse texts of which none is a member: they are more likely those of another file or column.

        :param of: where the texts come from, for messages.
        :raises InvalidInputError: there are texts, and none of them is a member.
        """
        refuse_without_members(
            self.member_texts, self.malformed, member_name=self.member_name, of=of, damage=self.damage
        )

    def with_keys(self, keys: KeySet) -> StagedMembers:
        """
        Return other members with the same counts of texts.

        :param keys: the members.
        """
        return replace(self, member_texts=keys.count + self.duplicates, _found=keys)

    @property
    def member_name(self) -> str:
        """Name of the identifier kind, for messages, such as ``advertising ID``."""
        return self._identifier_kind.name

    def text_counts(self) -> dict[str, Any]:
        """Return the counts of texts that are no new members, by their names in reports."""
        names = ("malformed", "zeroed", "duplicates", "blank")
        return {name: getattr(self, name) for name in names} | {"members_by_column": dict(self.by_column)}

    def lines(self, first: int, count: int) -> bytes:
        """
        Return some of the members in their written form, one a line.

        The same arguments always give the same lines. Any thread may call it, at any time.

        :param first: index of the first member, counted from 0.
        :param count: number of members; fewer are returned at the end of the set.
        """
        return self._identifier_kind.lines(self.keys.slice(first, count))

    def batch(self, first: int, count: int) -> MemberBatch:
        """
        Return some of the members as a batch for a destination; otherwise as :meth:`lines`.

        :param first: index of the first member, counted from 0.
        :param count: number of members; fewer are in the batch at the end of the set.
        """
        return MemberBatch(self.keys.slice(first, count), self._identifier_kind)


@contextmanager
def stage(
    source: MemberInput,
    *,
    rules: StagingRules,
    identifier_kind: IdentifierKind,
    settings: StagingSettings | None = None,
    is_compared_once: bool = False,
) -> Iterator[StagedMembers]:
    """
    Yield a source's distinct members after validating all its texts; files of the staging are deleted when the block
    ends.

    :param source: files, values, a data frame or tables.
    :param rules: what to do about texts that are not members.
    :param identifier_kind: identifier kind of the source.
    :param settings: memory and disk to use; None for the defaults.
    :param is_compared_once: whether the members are only compared with other sets, once: then some of them stay in
        memory until the block ends, as many as the settings have room for. Default False: they are sorted into a file
        before long.
    :raises InvalidInputError: the rules reject the source, or it can't be read.
    :raises WorkspaceUnavailableError: the temporary folder has too little room, or the worker too little memory.
    """
    with (
        open_workspace(settings or StagingSettings(), key_bytes=identifier_kind.key_bytes) as workspace,
        KeySetBuilder(
            workspace.folder,
            key_bytes=identifier_kind.key_bytes,
            take_memory=workspace.take_memory if is_compared_once else None,
        ) as keys,
    ):
        yield _Staging(workspace, keys, identifier_kind, rules).run(source)


class _Staging:
    """One run of :func:`stage`."""

    def __init__(
        self, workspace: Workspace, keys: KeySetBuilder, identifier_kind: IdentifierKind, rules: StagingRules
    ) -> None:
        self._workspace = workspace
        self._keys = keys
        self._identifier_kind = identifier_kind
        self._rules = rules
        self._rejects = Rejects(workspace, rules.rejects) if rules.rejects else None
        self._texts = 0
        self._rejected = dict.fromkeys(RejectReason, 0)
        self._by_column: dict[str, int] = {}
        self._examples: list[str] = []
        self._logged_at = self._started = time.monotonic()

    def run(self, source: MemberInput) -> StagedMembers:
        self._workspace.require(disk_bytes_of(source), f"reading {self._rules.argument}")
        for chunk in read_members(
            source, workspace=self._workspace, takes_numbers=self._identifier_kind.patterns.may_be_number
        ):
            parsed = self._identifier_kind.parse(chunk.column)
            self._keys.add(parsed.keys)
            self._count(chunk, parsed)
            if (name := chunk.member_column) is not None:
                self._by_column[name] = self._by_column.get(name, 0) + len(parsed.keys)
        if self._rejects:
            self._rejects.write()
        self._check_malformed()
        self._check_ratio()
        return self._staged()

    def _count(self, chunk: MemberChunk, parsed: ParsedMembers) -> None:
        self._texts += len(chunk.column)
        for reason, rows in parsed.rejected.items():
            self._rejected[reason] += len(rows)
        if len(self._examples) < _EXAMPLES:
            self._add_examples(chunk, parsed)
        if self._rejects:
            self._rejects.add(chunk, parsed.rejected)
        else:
            # With a report of all of them, it is better to have them all.
            self._check_malformed()
        if time.monotonic() - self._logged_at >= _PROGRESS_INTERVAL_SECONDS:
            self._logged_at = time.monotonic()
            rate = self._texts / (self._logged_at - self._started)
            log.info("Read %s, %s a second.", counted(self._texts, "text"), f"{rate:,.0f}")

    def _add_examples(self, chunk: MemberChunk, parsed: ParsedMembers) -> None:
        found = sorted(int(row) for reason in MALFORMED for row in parsed.rejected.get(reason, ()))
        for row in found[: _EXAMPLES - len(self._examples)]:
            self._examples.append(f"{chunk.place(row)}: {mask(chunk.column.text(row))}")

    def _check_malformed(self) -> None:
        if self._rules.on_malformed == "fail" and self._examples:
            raise InvalidInputError(
                f"{self._examples[0]}: not {with_article(self._identifier_kind.name)} "
                f"({self._identifier_kind.rule}), and on_malformed='fail'; nothing was sent"
                f"{self._report_note}{self._damage}"
            )

    def _check_ratio(self) -> None:
        malformed = self._malformed
        if not malformed:
            return
        texts = self._texts - self._rejected[RejectReason.BLANK]
        refuse_malformed_share(
            malformed,
            texts,
            identifier_kind=self._identifier_kind,
            limit=self._rules.max_malformed_ratio,
            argument=self._rules.argument,
            damage=self._damage,
            report_note=self._report_note,
            examples=self._examples,
        )
        log.warning(
            "Dropped %s (%.2f%%)%s. First ones: %s",
            counted(
                malformed,
                f"text of {self._rules.argument} that is not {with_article(self._identifier_kind.name)}",
                f"texts of {self._rules.argument} that are not {self._identifier_kind.plural}",
            ),
            malformed / texts * 100, self._damage, "; ".join(self._examples),
        )  # fmt: skip

    def _staged(self) -> StagedMembers:
        runs = self._keys.finish()
        staged = StagedMembers(
            member_texts=runs.added,
            malformed=self._malformed,
            damage=self._damage,
            zeroed=self._rejected[RejectReason.ZEROED],
            blank=self._rejected[RejectReason.BLANK],
            by_column=self._by_column,
            examples=tuple(self._examples),
            _identifier_kind=self._identifier_kind,
            _found=runs,
        )
        log.info(
            "Read %s of %s in %.1f s: %s malformed, %s zeroed, %s blank.",
            counted(self._texts, "text"), self._rules.argument, time.monotonic() - self._started,
            f"{staged.malformed:,}", f"{staged.zeroed:,}", f"{staged.blank:,}",
        )  # fmt: skip
        if staged.by_column:
            counts = ", ".join(f"{name} {count:,}" for name, count in staged.by_column.items())
            log.info("Members by column, before duplicates are told: %s.", counts)
        return staged

    @property
    def _malformed(self) -> int:
        return sum(self._rejected[reason] for reason in MALFORMED)

    @property
    def _damage(self) -> str:
        return "".join(
            f"; {self._rejected[reason]} malformed: {said}" for reason, said in DAMAGE.items() if self._rejected[reason]
        )

    @property
    def _report_note(self) -> str:
        return f"; all of them are in {self._rules.rejects.name}" if self._rules.rejects else ""
