"""
Measures how fast members come from PostgreSQL: each driver's cursor against the way in which SqlSource reads.

``python -m benchmarks.query --ids 2000000 --rounds 5`` runs a server of its own, and reads a column of text and one
of UUIDs, in turns and in one process. Rates are those of reading and parsing, without sorting. The processor's seconds
are those of this process, and behind the plus sign the server's: a cursor makes them one after the other, COPY at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from airflow.providers.common.compat.sdk import BaseHook
from airflow.providers.postgres.hooks import postgres as hook_module

from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.reading.chunks import read_members
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sources import SqlSource, postgres
from airflow_provider_audiences.sources.opening import open_source
from demo.postgres import postgres_programs, psql_command, running_postgres

_CONN_ID = "bench_query"
_COLUMNS = {"text": "SELECT t FROM texts", "uuid": "SELECT u FROM uuids"}
_TABLES = (
    "CREATE UNLOGGED TABLE uuids AS SELECT gen_random_uuid() AS u FROM generate_series(1, {ids})",
    "CREATE UNLOGGED TABLE texts AS SELECT u::text AS t FROM uuids",
    "VACUUM ANALYZE uuids",
    "VACUUM ANALYZE texts",
)
_NAMES = {True: "its cursor", False: "SqlSource"}
_LOAD_SECONDS = 900


@dataclass(kw_only=True)
class _Way:
    """One way of reading, and how long its rounds took."""

    name: str
    driver: str
    by_cursor: bool
    column: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    server_seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.query", description=__doc__)
    parser.add_argument("--ids", type=int, default=2_000_000, help="rows of each table (default: 2,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="of each way, in turns (default: 5)")
    options = parser.parse_args()
    ways = [
        _Way(
            name=f"{driver}, {'its cursor' if by_cursor else 'SqlSource'}",
            driver=driver,
            by_cursor=by_cursor,
            column=column,
        )
        for column in _COLUMNS
        for driver in _drivers()
        for by_cursor in (True, False)
    ]
    with _server(options.ids) as server, tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds + 1):
            for way in ways:
                before = _server_seconds(server)
                seconds, cpu_seconds = _read(way, options.ids, Path(folder))
                if number:  # the first round warms the server's cache
                    way.seconds.append(seconds)
                    way.cpu_seconds.append(cpu_seconds)
                    way.server_seconds.append(_server_seconds(server) - before)
            print(f"round {number} of {options.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
    _show(ways, options.ids)


def _drivers() -> list[str]:
    """Return the drivers that Airflow's hook can take here."""
    return ["psycopg2", "psycopg"] if getattr(hook_module, "USE_PSYCOPG3", False) else ["psycopg2"]


@contextmanager
def _server(ids: int) -> Iterator[int]:
    """Run a server with both tables; yield the id of its process."""
    with running_postgres() as folder:
        for statement in _TABLES:
            command = psql_command(postgres_programs() / "psql", folder, statement.format(ids=ids))
            subprocess.run(command, check=True, capture_output=True, timeout=_LOAD_SECONDS)
        connection = {"conn_type": "postgres", "host": str(folder), "login": "postgres", "schema": "postgres"}
        with mock.patch.dict(os.environ, {f"AIRFLOW_CONN_{_CONN_ID.upper()}": json.dumps(connection)}):
            BaseHook.get_connection(_CONN_ID)  # imports what it needs
            yield int((folder / "data" / "postmaster.pid").read_text().split()[0])


def _server_seconds(server: int) -> float:
    """Return the processor's seconds of all connections that have ended; 0 where the system does not tell."""
    time.sleep(0.2)  # until the last one has ended
    try:
        fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")  # of its children


def _read(way: _Way, ids: int, folder: Path) -> tuple[float, float]:
    """Return the seconds, and those of the processor, that reading and parsing takes."""
    kind, keys = AdvertisingIds(), 0
    with (
        mock.patch.object(hook_module, "USE_PSYCOPG3", way.driver == "psycopg", create=True),
        mock.patch.object(postgres, "_FIRST_VERSION", 10**9 if way.by_cursor else postgres._FIRST_VERSION),  # noqa: SLF001
        mock.patch.object(postgres, "_UUID", None if way.by_cursor else postgres._UUID),  # noqa: SLF001
    ):
        started, cpu_started = time.perf_counter(), time.process_time()
        with (
            open_source(SqlSource(_CONN_ID, _COLUMNS[way.column])) as source,
            open_workspace(StagingSettings(temp_folder=folder)) as workspace,
        ):
            for chunk in read_members(source, workspace=workspace):
                keys += len(kind.parse(chunk.column).keys)
        ended = time.perf_counter() - started, time.process_time() - cpu_started
    if keys != ids:
        raise AssertionError(f"{way.name}: {keys:,} members of {ids:,}")
    return ended


def _show(ways: list[_Way], ids: int) -> None:
    print(f"\n{'column':8}{'way':24}{'rows a second':>16}{'best':>14}{'processor':>17}   ratio to the cursor (rounds)")
    for before, after in zip(ways[::2], ways[1::2], strict=True):
        for way in (before, after):
            ratios = [one / other for one, other in zip(before.seconds, way.seconds, strict=True)]
            rates = ids / statistics.median(way.seconds), ids / min(way.seconds)
            print(
                f"{way.column:8}{way.name:24}{rates[0]:16,.0f}{rates[1]:14,.0f}"
                f"{statistics.median(way.cpu_seconds):8.2f} + {statistics.median(way.server_seconds):.2f} s   "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )


if __name__ == "__main__":
    main()
