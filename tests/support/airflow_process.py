"""
Runs Airflow's command, or a script of DAGs, in forks of a process that has its imports behind it.

Airflow keeps its process for itself, and takes ten seconds to begin. A job has an environment, a folder and arguments,
the first of which is a script, or ``airflow``.
"""

import asyncio
import contextlib
import importlib
import os
import runpy
import sys
from typing import Any

from support.forks import serve

# What DAG runs of one or the other Airflow import.
MODULES = (
    "airflow.providers.common.compat.sdk",
    "airflow.cli.cli_parser",
    "airflow.cli.commands.dag_command",
    "airflow.models.dagrun",
    "airflow.models.taskinstance",
    "airflow.serialization.serialized_objects",
    "airflow.dag_processing.collection",
    "airflow.dag_processing.dagbag",
    "airflow.models.dagbag",
    "airflow.api_fastapi.execution_api.app",
    "airflow.api_fastapi.execution_api.routes",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.sensors.external_task",
    "alembic.context",
    "svcs",
    "duckdb",
    "airflow_provider_audiences.platforms.applovin.client",
    "airflow_provider_audiences.platforms.pai.client",
)


def build_api() -> None:
    """Let Airflow 3 build the API that its tasks talk to: it does so at the first request, which takes five seconds."""
    import httpx
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    async def ask() -> None:
        transport = httpx.ASGITransport(app=in_process_api_server().app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            await client.get("/nothing")

    asyncio.run(ask())


def run(job: dict[str, Any]) -> None:
    """Run a command line."""
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.argv = job["arguments"]
    if sys.argv[0] == "airflow":
        main = importlib.import_module("airflow.__main__").main
        main()
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError):  # Airflow 2 has none, and Airflow 3.0 another
        build_api()
    serve(run)
