"""Airflow parses DAG files all the time: what only a running task needs is not imported by them."""

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import airflow_provider_audiences

HEAVY = [
    *("requests", "httpx", "urllib3", "tenacity", "fastapi", "uvicorn"),
    *("duckdb", "numpy", "nanoarrow", "zstandard", "pandas", "polars", "pyarrow", "fsspec", "psycopg2", "sqlalchemy"),
    *("deltalake", "pyiceberg"),
]
PACKAGES = ("operators", "sensors", "triggers", "decorators", "notifications", "task_groups")
MODULES = [
    "airflow_provider_audiences.sources",
    *(
        found.name
        for package in PACKAGES
        for found in pkgutil.iter_modules(
            [f"{airflow_provider_audiences.__path__[0]}/{package}"], f"airflow_provider_audiences.{package}."
        )
        # An operator of Airflow 3.1 and newer, which imports what Airflow's own needs.
        if found.name != "airflow_provider_audiences.task_groups.approval"
    ),
]
SCRIPT = """
import importlib, json, os, sys, time
# What a DAG file imports anyway; deferred imports of Airflow's included.
from airflow.providers.common.compat import sdk
sdk.DAG, sdk.BaseOperator, sdk.BaseSensorOperator, sdk.conf, sdk.mask_secret
for module in sys.argv[1:]:
    # Each in a process of its own, which has imported nothing else.
    if os.fork():
        os.wait()
        continue
    if ".triggers." in module:  # what the triggerer has
        import airflow.triggers.base, airflow.providers.common.compat.connection
    before, started = set(sys.modules), time.perf_counter()
    importlib.import_module(module)
    seconds = time.perf_counter() - started
    added = {"module": module, "modules": sorted(set(sys.modules) - before), "seconds": seconds}
    print("ADDED", json.dumps(added), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    """What each module imports, and how long that takes."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *MODULES],
        env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lines = [line.removeprefix("ADDED ") for line in ended.stdout.splitlines() if line.startswith("ADDED ")]
    return {added["module"]: added for added in map(json.loads, lines)}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_heavy_is_imported(
    module: str, imported: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    added = imported[module]
    record_property("parse cost", f"{module}: {added['seconds'] * 1000:.1f} ms, {len(added['modules'])} modules")
    assert module in added["modules"]
    heavy = [name for name in added["modules"] if name.partition(".")[0] in HEAVY]
    assert heavy == []
    ours = [name for name in added["modules"] if name.startswith("airflow_provider_audiences.")]
    assert not [
        name
        for name in ours
        if name.startswith(("airflow_provider_audiences.emulator", "airflow_provider_audiences.sync"))
    ]
