"""
Compares two ways to remove duplicate keys: DuckDB's ``SELECT DISTINCT``, and the ``KeySetBuilder`` that staging uses.

``python -m benchmarks.distinct --keys 10_000_000`` runs each in a process of its own, alternately, and prints medians.
DuckDB has the memory limit that staging gives it by default and a database file, and spills to disk, as it would in
staging.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.threads import THREADS

_CHUNK_KEYS = 500_000
_REPEATED_PART = 50  # every 50th key comes twice: 2 % duplicates
_TIME_LIMIT_SECONDS = 900


def main() -> int:
    """Run the command line, and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=sorted(_WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(_run(options.one, options.keys)))
        return 0
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in _WAYS}
    for number in range(options.rounds):
        for name in sorted(_WAYS, reverse=bool(number % 2)):
            command = [sys.executable, "-m", "benchmarks.distinct", "--one", name, "--keys", str(options.keys)]
            done = subprocess.run(command, check=True, capture_output=True, timeout=_TIME_LIMIT_SECONDS)
            runs[name].append(json.loads(done.stdout))
    print(f"{options.keys:,} distinct 128-bit keys, 2 % of them twice; medians of {options.rounds} rounds")
    print(f"{'':16}{'seconds':>10}{'CPU seconds':>14}{'peak MB':>10}")
    for name, found in runs.items():
        medians = [statistics.median(run[what] for run in found) for what in ("seconds", "cpu", "megabytes")]
        print(f"{name:16}{medians[0]:>10.2f}{medians[1]:>14.2f}{medians[2]:>10.0f}")
    return 0


def _chunks(keys: int) -> Iterator[Keys]:
    chance = np.random.default_rng(7)
    for _ in range(0, keys, _CHUNK_KEYS):
        chunk = chance.integers(0, 2**64, (_CHUNK_KEYS, 2), np.uint64)
        yield np.concatenate((chunk, chunk[::_REPEATED_PART]))


def _by_key_set(keys: int, folder: Path) -> int:
    with KeySetBuilder(folder) as builder:
        for chunk in _chunks(keys):
            builder.add(chunk)
        return builder.finish().count


def _by_duckdb(keys: int, folder: Path) -> int:
    import duckdb  # noqa: PLC0415 - the other way is measured without it

    config: dict[str, Any] = {"memory_limit": "400MB", "threads": THREADS, "temp_directory": str(folder / "spilled")}
    with duckdb.connect(folder / "keys.duckdb", config=config) as database:
        database.execute("SET preserve_insertion_order = false")
        database.execute("CREATE TABLE texts (key UHUGEINT)")
        for chunk in _chunks(keys):
            columns = {"high": np.ascontiguousarray(chunk[:, 0]), "low": np.ascontiguousarray(chunk[:, 1])}
            database.register("chunk", columns)
            database.execute("INSERT INTO texts SELECT (high::UHUGEINT << 64) | low::UHUGEINT FROM chunk")
            database.unregister("chunk")
        database.execute("CREATE TABLE members AS SELECT DISTINCT key FROM texts")
        return int(database.execute("SELECT count(*) FROM members").fetchall()[0][0])


_WAYS: dict[str, Callable[[int, Path], int]] = {"DuckDB DISTINCT": _by_duckdb, "KeySetBuilder": _by_key_set}


def _run(name: str, keys: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="audiences-bench-") as folder:
        started, cpu = time.perf_counter(), time.process_time()
        count = _WAYS[name](keys, Path(folder))
        if count != -(-keys // _CHUNK_KEYS) * _CHUNK_KEYS:
            raise AssertionError(f"{name} found {count} keys")
        return {
            "seconds": time.perf_counter() - started,
            "cpu": time.process_time() - cpu,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


if __name__ == "__main__":
    raise SystemExit(main())
