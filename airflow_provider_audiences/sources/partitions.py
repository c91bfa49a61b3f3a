"""Reading one partition of a source: by what the source itself can leave out, by a folder, or by dropping the rest."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.sources.types import Source

if TYPE_CHECKING:
    from airflow_provider_audiences.members.partition import Partition

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PartitionedReading:
    """
    How a task reads its partition.

    :param partition: the partition.
    :param placed: names of the operator's arguments whose templates have used the partition, so that they give its
        texts only.
    """

    partition: Partition
    placed: frozenset[str]

    def narrowed(self, argument: str, source: Any) -> tuple[Any, bool]:
        """
        Return a source of the partition's texts only, if there can be one, and whether it is.

        :param argument: name of the operator's argument with the source.
        :param source: the source, rendered.
        :raises InvalidInputError: it is a query that can't be narrowed as it is written.
        """
        if argument in self.placed:
            return source, True
        narrowed = source.narrowed_to(self.partition, argument=argument) if isinstance(source, Source) else None
        if narrowed is None:
            log.warning(
                "%s is read whole, for its members in %s: so all %d partitions read all of it, and each takes about as "
                "long as one sync of the whole. A query is narrowed by its condition, and files by a folder for each "
                "partition: prefix={{ partition.hex }}/.", argument, self.partition, self.partition.count,
            )  # fmt: skip
            return source, False
        return narrowed, True
