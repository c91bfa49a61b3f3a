"""The constraints files: plain lines, within what pyproject.toml allows, and at its lower end where they say so."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import airflow_provider_audiences

ROOT = Path(airflow_provider_audiences.__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = sorted((ROOT / "constraints").iterdir())
OF_THE_PACKAGE = [path for path in FILES if path.name != "docs.txt"]


def _requirements() -> list[Any]:
    """What has a lower bound: all but Airflow's own providers."""
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [requirement for requirement in map(Requirement, lines) if requirement.specifier]


def _pins(path: Any) -> dict[str, Any]:
    return dict(line.split("==") for line in path.read_text().splitlines())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_has_names_and_versions_and_nothing_else(path: Any) -> None:
    lines = path.read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    assert len(_pins(path)) == len(lines)


@pytest.mark.parametrize("path", OF_THE_PACKAGE, ids=lambda path: path.name)
@pytest.mark.parametrize("requirement", _requirements(), ids=lambda requirement: requirement.name)
def test_fits_what_the_project_allows(path: Any, requirement: Any) -> None:
    assert requirement.specifier.contains(_pins(path)[requirement.name])


@pytest.mark.parametrize("requirement", _requirements(), ids=lambda requirement: requirement.name)
def test_the_lowest_are_the_lower_bounds(requirement: Any) -> None:
    (bound,) = (one.version for one in requirement.specifier if one.operator in {">=", "=="})
    assert Version(_pins(ROOT / "constraints" / "lowest.txt")[requirement.name]) == Version(bound)


def test_an_extra_without_bounds_is_one_of_airflows_providers_and_documented() -> None:
    documented = (ROOT / "docs" / "versions.md").read_text()
    for extra, lines in PYPROJECT["project"]["optional-dependencies"].items():
        unbound = [requirement for requirement in map(Requirement, lines) if not requirement.specifier]
        assert all(requirement.name.startswith("apache-airflow-providers-") for requirement in unbound)
        assert f"| `{extra}` |" in documented


def test_each_airflow_has_its_file() -> None:
    airflows = {path.name: ".".join(_pins(path)["apache-airflow"].split(".")[:2]) for path in OF_THE_PACKAGE}
    assert airflows == {"airflow-2.11.txt": "2.11", "airflow-3.3.txt": "3.3", "lowest.txt": "2.11"}


READERS = ("duckdb", "numpy", "nanoarrow", "zstandard", "pandas", "polars", "pyarrow", "deltalake", "pyiceberg")
SENDERS = ("requests", "urllib3", "tenacity")


@pytest.mark.parametrize("name", READERS + SENDERS)
def test_both_airflows_have_the_same_libraries(name: str) -> None:
    """For which reason tests of those who never meet Airflow run with one of the two only."""
    found = {_pins(ROOT / "constraints" / f"airflow-{version}.txt")[name] for version in ("2.11", "3.3")}
    assert len(found) == 1
