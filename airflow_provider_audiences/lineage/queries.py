"""The tables that a query reads, as datasets of OpenLineage: its provider parses the statement."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.common.recognition import looks_personal
from airflow_provider_audiences.members.characters import plain
from airflow_provider_audiences.members.identifiers.patterns import ALL_PATTERNS

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_audiences.sources.types import SqlSource


_PLACEHOLDER = re.compile(r"%\(\w+\)s|%s")


def lineage_of_query(source: SqlSource) -> OperatorLineage[Any, Any] | None:
    """
    Return the tables that a query reads, and the statement unless it has members in it; None if the database's hook
    does not say where its tables are.

    The query's parameters are never read. No table is looked up in the database.

    :param source: the query, with its templates rendered.
    """
    from airflow.providers.common.compat.openlineage.facet import SQLJobFacet
    from airflow.providers.common.compat.sdk import BaseHook
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.providers.openlineage.sqlparser import SQLParser

    connection = BaseHook.get_connection(source.conn_id)
    hook: Any = connection.get_hook()
    ask = getattr(hook, "get_openlineage_database_info", None)
    database_info = ask and ask(connection)
    if database_info is None:
        return None
    parser = SQLParser(
        dialect=hook.get_openlineage_database_dialect(connection),
        default_schema=hook.get_openlineage_default_schema(),
    )
    parsed = parser.generate_openlineage_metadata_from_sql(
        sql=_to_parse(source), hook=hook, database_info=database_info, use_connection=False
    )
    return OperatorLineage(
        inputs=parsed.inputs,
        job_facets={} if looks_personal(source.sql) else {"sql": SQLJobFacet(query=source.sql.strip())},
    )


def _to_parse(source: SqlSource) -> str:
    """Return the statement without members, since the parser logs what it parses, and as the database gets it."""
    sql = source.sql
    if looks_personal(sql):
        sql = plain(sql)
        for kind in ALL_PATTERNS:
            sql = kind.in_text.sub("0", sql)
    if source.parameters is not None:  # Python's placeholders are no SQL
        sql = _PLACEHOLDER.sub("NULL", sql).replace("%%", "%")
    return sql
