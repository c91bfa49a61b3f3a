"""Checks of ``doctor`` on what is installed and configured: versions, and the settings of ``[audiences]``."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from airflow_provider_audiences.cli.findings import Finding
from airflow_provider_audiences.exceptions import InvalidInputError

_PACKAGE = "airflow-provider-audiences"
_SETTINGS = ("memory_limit", "temp_folder", "state_path", "state_path_is_shared")
"""All settings of the section ``[audiences]``."""

_ALSO_USED = (
    *("apache-airflow-task-sdk", "apache-airflow-providers-amazon", "apache-airflow-providers-google"),
    *("apache-airflow-providers-microsoft-azure", "apache-airflow-providers-mysql"),
    *("apache-airflow-providers-postgres", "apache-airflow-providers-snowflake"),
    *("adlfs", "gcsfs", "pyarrow", "s3fs", "universal-pathlib"),
)
"""What sources and stores use if it is there, and this package does not ask for."""


def version_findings() -> Iterator[Finding]:
    """Yield the versions of Python, Airflow, this provider and the libraries that it uses."""
    yield Finding(area="versions", name="python", status="info", detail=platform.python_version())
    needed, optional = _requirements()
    for name in (_PACKAGE, *needed):
        found = _version(name)
        yield Finding(
            area="versions",
            name=name,
            status="info" if found else "wrong",
            detail=found or f"not installed: install {_PACKAGE} again, which needs {name}",
        )
    for name in sorted({*optional, *_ALSO_USED}):
        if found := _version(name):
            yield Finding(area="versions", name=name, status="info", detail=found)


def _requirements() -> tuple[list[str], list[str]]:
    """Return the names of the packages that this one needs, and of those that its extras need."""
    names: dict[bool, list[str]] = {False: [], True: []}
    for requirement in requires(_PACKAGE) or ():
        name, _, condition = requirement.partition(";")
        names["extra ==" in condition].append(re.split(r"[^\w.-]", name, maxsplit=1)[0])
    return names[False], names[True]


def setting_findings() -> Iterator[Finding]:
    """Yield the settings of ``[audiences]`` as Airflow's configuration has them, and whether they are right."""
    from airflow.providers.common.compat.sdk import conf

    from airflow_provider_audiences.common.recognition import shown_address
    from airflow_provider_audiences.sources.staging import staging_settings

    for name in _SETTINGS:
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
