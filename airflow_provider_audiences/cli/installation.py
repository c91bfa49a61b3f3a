"""Checks of ``doctor`` on what is installed and configured: versions, and the settings of ``[audiences]``."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from airflow_provider_audiences.cli.findings import Finding
from airflow_provider_audiences.exceptions import InvalidInputError

_NEEDED = (
    *("apache-airflow", "airflow-provider-audiences", "apache-airflow-providers-common-compat", "duckdb", "nanoarrow"),
    *("numpy", "pyyaml", "requests", "rich", "tenacity", "urllib3", "zstandard"),
)
SETTINGS = ("memory_limit", "temp_folder", "state_path", "state_path_is_shared")
"""All settings of the section ``[audiences]``."""

_OPTIONAL = (
    *("apache-airflow-task-sdk", "apache-airflow-providers-amazon", "apache-airflow-providers-google"),
    *(
        "apache-airflow-providers-microsoft-azure",
        "apache-airflow-providers-postgres",
        "apache-airflow-providers-mysql",
    ),
    *("apache-airflow-providers-snowflake", "alibabacloud-credentials"),
    *("ossfs", "s3fs", "gcsfs", "adlfs"),
    *("universal-pathlib", "deltalake", "pyarrow", "pyiceberg", "fastapi", "uvicorn"),
)
"""Shown only if they are there: what sources, stores and extras use."""


def version_findings() -> Iterator[Finding]:
    """Yield the versions of Python, Airflow, this provider and the libraries that it uses."""
    yield Finding(area="versions", name="python", status="info", detail=platform.python_version())
    for name in _NEEDED:
        found = _version(name)
        yield Finding(
            area="versions",
            name=name,
            status="info" if found else "wrong",
            detail=found or f"not installed: install airflow-provider-audiences again, which needs {name}",
        )
    for name in _OPTIONAL:
        if found := _version(name):
            yield Finding(area="versions", name=name, status="info", detail=found)


def setting_findings() -> Iterator[Finding]:
    """Yield the settings of ``[audiences]`` as Airflow's configuration has them, and whether they are right."""
    from airflow.providers.common.compat.sdk import conf

    from airflow_provider_audiences.common.recognition import shown_address
    from airflow_provider_audiences.sources.staging import staging_settings

    for name in SETTINGS:
        value = str(conf.get("audiences", name, fallback="") or "").strip()
        yield Finding(area="settings", name=name, status="info", detail=shown_address(value) or "(default)")
    try:
        settings = staging_settings()
    except InvalidInputError as error:
        yield Finding(area="settings", name="staging", status="wrong", detail=str(error))
        return
    folder = settings.temp_folder or "the system's temporary folder"
    detail = f"takes up to {settings.memory_limit}, then writes to {folder}"
    yield Finding(area="settings", name="staging", status="ok", detail=detail)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
