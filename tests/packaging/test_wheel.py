"""The distribution: built, checked, and installed into an environment that has not seen the sources."""

import configparser
import email
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_audiences

ROOT = Path(airflow_provider_audiences.__file__).parents[1]
NAME, VERSION = "airflow_provider_audiences", airflow_provider_audiences.__version__


def _run(*command: Any, **options: Any) -> Any:
    ended = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with wheel and source distribution, the wheel made from the latter, without any network."""
    folder = tmp_path_factory.mktemp("build")
    left_out = shutil.ignore_patterns(
        ".*cache*", "__pycache__", ".git", ".venv*", ".demo", ".tools", ".hypothesis", "dist"
    )
    shutil.copytree(ROOT, folder / "source", ignore=left_out)
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source")
    return folder / "dist"


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    return built / f"{NAME}-{VERSION}-py3-none-any.whl"


def test_there_is_one_wheel_and_one_source_distribution(built: Path, wheel: Path) -> None:
    assert {path.name for path in built.iterdir()} == {wheel.name, f"{NAME}-{VERSION}.tar.gz"}


def test_the_checkers_find_nothing(built: Path, wheel: Path) -> None:
    _run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir())
    _run(sys.executable, "-m", "check_wheel_contents", wheel)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        texts = {name: archive.read(name).decode() for name in names}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / NAME).rglob("*.py")}
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / NAME / "ui/static").rglob("*") if path.is_file()}
    information = f"{NAME}-{VERSION}.dist-info"
    others = {f"{NAME}/py.typed", f"{NAME}/lineage/report_facet.json"}
    assert sources | page | others == {name for name in names if not name.startswith(information)}
    assert f"{information}/licenses/LICENSE" in names
    assert f"{NAME}/ui/static/vendor/uplot/LICENSE" in names
    points = configparser.ConfigParser()
    points.read_string(texts[f"{information}/entry_points.txt"])
    assert {section: dict(points[section]) for section in points.sections()} == {
        "airflow.plugins": {"audiences": f"{NAME}.ui.plugin:AudiencesPlugin"},
        "apache_airflow_provider": {"provider_info": f"{NAME}.get_provider_info:get_provider_info"},
        "console_scripts": {
            "airflow-audiences": f"{NAME}.cli.console:main",
            "audiences-emulator": f"{NAME}.emulator.__main__:main",
        },
    }
    metadata = email.message_from_string(texts[f"{information}/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("airflow-provider-audiences", VERSION)
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    assert all(url.startswith("https://") for url in urls.values())
    assert "Documentation" in urls, "without one, Airflow's page of providers links to a page that it makes up"
    assert {"amazon", "google", "postgres", "snowflake"} < set(metadata.get_all("Provides-Extra", []))
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
    assert any(line.startswith("apache-airflow>=") for line in metadata.get_all("Requires-Dist", []))
    # Nothing of the machine it was built on.
    assert not [name for name, text in texts.items() if str(ROOT) in text or str(Path.home()) + "/" in text]


def test_the_readme_on_an_index_has_no_dead_links(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}-{VERSION}.dist-info/METADATA").decode()
    metadata = email.message_from_string(text)
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    readme, relative = (ROOT / "README.md").read_text(), re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
    assert relative.findall(readme), "links to files of the repository"
    assert not relative.findall(str(metadata.get_payload()))
    assert "docs/sync.md" in str(metadata.get_payload())


def test_the_source_distribution_holds_what_it_takes_to_check_it(built: Path) -> None:
    with tarfile.open(built / f"{NAME}-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"} <= names
    assert {"CONTRIBUTING.md", "SECURITY.md", ".pre-commit-config.yaml", ".github/workflows/ci.yml"} <= names
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / NAME).rglob("*.py")} <= names


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Python of a new environment with the wheel in it.

    The dependencies are those of this environment, found behind its own packages: nothing is fetched.
    """
    folder = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    packages = next((folder / "lib").glob("python*/site-packages"))
    (packages / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def test_airflow_finds_the_installed_provider(installed: Path, tmp_path: Path) -> None:
    script = """
import json
from importlib.metadata import entry_points
import airflow_provider_audiences
from airflow.providers_manager import ProvidersManager
found = [point for point in entry_points(group="apache_airflow_provider") if "audiences" in point.value]
manager = ProvidersManager()
print("FOUND", json.dumps({
    "path": airflow_provider_audiences.__file__,
    "points": [point.load()()["package-name"] for point in found],
    "provider": manager.providers["airflow-provider-audiences"].version,
    "hooks": sorted(name for name, hook in manager._hooks_lazy_dict.items() if "audiences" in str(hook)),
}))
"""
    output = _run(installed, "-c", script, cwd=tmp_path, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    found = json.loads(output.rpartition("FOUND ")[2])
    assert Path(found["path"]).is_relative_to(installed.parents[1])
    assert found["points"] == ["airflow-provider-audiences"]
    assert found["provider"] == VERSION


def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    output = _run(installed.with_name("audiences-emulator"), "--help", cwd=tmp_path)
    assert "audiences-emulator" in output
