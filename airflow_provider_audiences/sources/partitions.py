"""Reading one partition of a source: by a condition in the query, by a folder, or by dropping the rest."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources.predicates import dialect_of, predicate
from airflow_provider_audiences.sources.types import SqlSource

if TYPE_CHECKING:
    from airflow_provider_audiences.members.partition import Partition

log = logging.getLogger(__name__)

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


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
        :raises InvalidInputError: it is a query that can't be narrowed.
        """
        if argument in self.placed:
            return source, True
        if not isinstance(source, SqlSource):
            log.warning(
                "%s is read whole, for its members in %s: so all %d partitions read all of it, and each takes about as "
                "long as one sync of the whole. A query is narrowed by its condition, and files by a folder for each "
                "partition: prefix={{ partition.hex }}/.", argument, self.partition, self.partition.count,
            )  # fmt: skip
            return source, False
        return _narrowed_query(source, self.partition, argument), True


def _narrowed_query(source: SqlSource, partition: Partition, argument: str) -> SqlSource:
    column = source.column
    if not isinstance(column, str) or not _PLAIN_NAME.match(column):
        raise InvalidInputError(
            f"{argument}: the query of {partition} must say which column its predicate is about; nothing was sent",
            advice="Give column= with a plain name; or put the predicate where it belongs in the query: "
            'WHERE {{ partition.where("idfa") }}.',
        )
    condition = predicate(column, partition, dialect=dialect_of(source.conn_id))
    log.info("The query of %s for %s has this condition more: %s", argument, partition, condition)
    query = source.sql.strip().rstrip(";")
    # The end of line is for a comment at the end of the query.
    narrowed = f"SELECT {column} FROM (\n{query}\n) audience_members WHERE {condition}"  # noqa: S608 - the user's own
    return replace(source, sql=narrowed)
