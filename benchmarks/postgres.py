"""A temporary PostgreSQL server with the lines of a data set."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.data import COLUMN, Dataset
from demo.postgres import postgres_programs, psql_command, running_postgres

CONN_ID = "bench_postgres"
TABLE = "members"


@contextmanager
def postgres_with(dataset: Dataset, *, timeout_seconds: float) -> Iterator[dict[str, str]]:
    """
    Run a server that has the lines of a data set in a table; yield the environment that leads Airflow to it.

    :param dataset: data set whose lines are loaded.
    :param timeout_seconds: longest time that loading may take.
    :raises ImportError: the wheel is not installed.
    """
    with running_postgres() as folder:
        # psql reads the file, with the rights of who runs the benchmark.
        for statement in (
            f"CREATE UNLOGGED TABLE {TABLE} ({COLUMN} text)",
            f"\\copy {TABLE} FROM '{dataset.text}'",
            f"ANALYZE {TABLE}",
        ):
            command = psql_command(postgres_programs() / "psql", folder, statement)
            subprocess.run(command, check=True, capture_output=True, timeout=timeout_seconds)
        connection = {"conn_type": "postgres", "host": str(folder), "login": "postgres", "schema": "postgres"}
        yield {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection)}
