"""Identifier kinds that let one partition's members through: all others are dropped, or are an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import ParsedMembers
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.columns import TextColumn
    from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
    from airflow_provider_audiences.members.keys.key_order import Keys
    from airflow_provider_audiences.members.partition import Partition


class PartitionKind:
    """
    An identifier kind of the members of one partition.

    :param kind: the kind of all members.
    :param partition: the partition.
    :param argument: operator's argument that texts come from, for messages.
    :param drops_others: whether members of other partitions are dropped, as each partition reads the whole source. Then
        texts that are no members are the first partition's, so that they are counted once. If False, the source was
        read in parts, and a member of another partition is an error.
    :param keeps_rejected: whether texts that are no members are every partition's; default False.
    """

    def __init__(
        self,
        kind: IdentifierKind,
        *,
        partition: Partition,
        argument: str,
        drops_others: bool,
        keeps_rejected: bool = False,
    ) -> None:
        self._kind = kind
        self._partition = partition
        self._argument = argument
        self._drops_others = drops_others
        self._keeps_rejected = keeps_rejected or not partition.number
        self.name = kind.name
        self.plural = kind.plural
        self.rule = kind.rule
        self.patterns = kind.patterns
        self.line_bytes = kind.line_bytes
        self.key_bytes = kind.key_bytes
        self.column = kind.column

    def lines(self, keys: Keys) -> bytes:
        """
        Return members in their written form, one a line.

        :param keys: keys of the members.
        """
        return self._kind.lines(keys)

    def parse(self, column: TextColumn) -> ParsedMembers:
        """
        Return the partition's members of a column, and its rejected rows.

        :param column: a column with one text for each member.
        :raises InvalidInputError: a member is another partition's, and those are not to be dropped.
        """
        parsed = self._kind.parse(column)
        is_ours = self._partition.mask(parsed.keys)
        if self._drops_others:
            rejected = parsed.rejected if self._keeps_rejected else {}
            return ParsedMembers(keys=parsed.keys.compress(is_ours, axis=0), rejected=rejected)
        if others := len(is_ours) - int(is_ours.sum()):
            raise self._misplaced(others)
        return parsed

    def _misplaced(self, others: int) -> InvalidInputError:
        why = (
            "Partition 0 also reads texts that the predicate of a query can't place, such as an ID after an invisible "
            "character, or a binary column"
            if not self._partition.number
            else "The query, or the writer of the folders, has placed them otherwise than by the first digits"
        )
        return InvalidInputError(
            f"{self._partition} has read {counted(others, self.name, self.plural)} of other partitions from "
            f"{self._argument}, and nobody else would read them; nothing was sent",
            advice=f"{why}. Clean the column where it is written or in the query, as in "
            "SELECT trim(idfa) AS idfa; cast a binary column to the text of its UUID; or give the predicate an "
            'expression of your own: {{ partition.where("cast(idfa as text)") }}.',
        )
