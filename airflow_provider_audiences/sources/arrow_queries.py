"""
Reads queries by Arrow batches, for drivers that offer them: texts go to their keys without a Python object for each.

Of a column of another type than text, Snowflake's and BigQuery's cursors make other values than Arrow has; so such a
column is read by the cursor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import chain, islice
from typing import Any

from airflow_provider_audiences.members.columns import TextColumn
from airflow_provider_audiences.members.reading.arrow_arrays import parts_of_array
from airflow_provider_audiences.sources.query_readers import DescribedReader

log = logging.getLogger(__name__)

_SNOWFLAKE_TEXT = 2


class AdbcReader(DescribedReader):
    """Reads rows by any driver of ADBC (Arrow Database Connectivity), whose cursor has its values from such batches."""

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        for batch in self._cursor.fetch_record_batch():
            yield from parts_of_array(batch.column(position))


class SnowflakeReader(DescribedReader):
    """Reads a column of text by Arrow batches; by the cursor without pyarrow, and if the result has no Arrow format."""

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        errors = import_module("snowflake.connector.errors")
        batches = None
        if self._cursor.description[position][1] == _SNOWFLAKE_TEXT:
            refusals = (errors.NotSupportedError, errors.MissingDependencyError)
            batches = _batches_unless_refused(self._cursor.fetch_arrow_batches, refusals)
        if batches is None:
            yield from super().chunks(position)
            return
        for table in batches:
            yield from parts_of_array(table.column(position))


class BigQueryReader(DescribedReader):
    """
    Reads a column of text by BigQuery's Storage Read API; by the cursor if the account may not use that.

    The query is run by the cursor of Airflow's hook, with the hook's settings; only its result is read here.
    """

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        batches = None
        if self._cursor.description[position][1] == "STRING":
            refusals = (import_module("google.api_core.exceptions").Forbidden,)
            batches = _batches_unless_refused(self._result, refusals)
        if batches is None:
            yield from super().chunks(position)
            return
        for batch in batches:
            yield from parts_of_array(batch.column(position))

    def _result(self) -> Iterator[Any]:
        hook, location = self._cursor.hook, self._cursor.location
        client = hook.get_client(project_id=self._cursor.project_id, location=location)
        rows = client.get_job(self._cursor.job_id, location=location).result()
        storage = import_module("google.cloud.bigquery_storage").BigQueryReadClient(credentials=hook.get_credentials())
        batches: Iterator[Any] = rows.to_arrow_iterable(bqstorage_client=storage)
        return batches


class MaxComputeReader(DescribedReader):
    """
    Reads rows of MaxCompute through its instance tunnel, without a limit on their number.

    A project that only permits limited results is refused by pyodps, so no row is missing silently.
    """

    def execute(self, sql: str, *parameters: Any) -> None:
        """
        Run the statement, and wait until it has ended.

        :param sql: the statement.
        :param parameters: the values for its placeholders, as one argument; none if it has no placeholders.
        """
        self._cursor = self._new_cursor()
        self._cursor.execute(sql, *parameters, async_=True)  # so that a stop of the task can stop the statement
        self._cursor.instance.wait_for_success()

    def column_names(self) -> list[str]:
        """Return the names of the result's columns; none if the statement returns no rows."""
        try:
            self._reader = self._cursor.instance.open_reader(tunnel=True, arrow=True, limit=False)
        except import_module("odps.errors").InstanceTypeNotSupported:
            return []
        self._names = [column.name for column in self._reader.schema.columns]
        return self._names

    def chunks(self, position: int) -> Iterator[Sequence[object] | TextColumn]:
        """
        Yield the values of a column, in parts.

        :param position: index of the column, counted from 0.
        """
        for batch in self._reader.read(columns=[self._names[position]]):
            yield from parts_of_array(batch.column(0))


def _batches_unless_refused(
    open_batches: Callable[[], Iterator[Any]], refusals: tuple[type[Exception], ...]
) -> Iterator[Any] | None:
    """Return batches, the first of which was fetched; None if the service refused them."""
    try:
        batches = iter(open_batches())
        first = list(islice(batches, 1))
    except refusals as error:
        log.debug("No Arrow batches (%s): rows are read by the cursor.", type(error).__name__)
        return None
    return chain(first, batches)
