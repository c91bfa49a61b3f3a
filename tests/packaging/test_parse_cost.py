"""Airflow parses DAG files all the time: what only a running task needs is not imported by them."""

import json
import os
import pkgutil
import subprocess
import sys

import pytest

import airflow_provider_audiences

HEAVY = [
    *("requests", "httpx", "urllib3", "tenacity", "fastapi", "uvicorn"),
    *("duckdb", "numpy", "nanoarrow", "zstandard", "pandas", "polars", "pyarrow", "fsspec", "psycopg2", "sqlalchemy"),
    *("deltalake", "pyiceberg"),
]
PACKAGES = ("operators", "sensors", "triggers", "decorators")
MODULES = [
    "airflow_provider_audiences.sources",
    *(
        found.name
        for package in PACKAGES
        for found in pkgutil.iter_modules(
            [f"{airflow_provider_audiences.__path__[0]}/{package}"], f"airflow_provider_audiences.{package}."
        )
    ),
]
SCRIPT = """
import importlib, json, sys, time
# What a DAG file imports anyway, and what the triggerer has; deferred imports of Airflow's included.
from airflow.providers.common.compat import sdk
sdk.DAG, sdk.BaseOperator, sdk.BaseSensorOperator, sdk.conf, sdk.mask_secret
if len(sys.argv) > 2:
    import airflow.triggers.base, airflow.providers.common.compat.connection
before, started = set(sys.modules), time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - started
print("ADDED", json.dumps({"modules": sorted(set(sys.modules) - before), "seconds": seconds}))
"""


@pytest.mark.parametrize("module", MODULES)
def test_nothing_heavy_is_imported(module, record_property):
    triggers = ["triggers"] if ".triggers." in module else []
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, module, *triggers],
        env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    added = json.loads(ended.stdout.rpartition("ADDED ")[2])
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
