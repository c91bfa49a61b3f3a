"""Who may import whom (``[tool.importlinter]`` of pyproject.toml), and that this is really checked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_audiences

ROOT = Path(airflow_provider_audiences.__file__).parents[1]
PACKAGE = "airflow_provider_audiences"
TYPES_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


def _lint(root: Any) -> Any:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_are_kept() -> None:
    ended = _lint(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 broken" in ended.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("members/columns.py", "from airflow.providers.common.compat import sdk"),
        ("http/rate_limiter.py", "import airflow"),
        ("sync/delivery/upload.py", "import airflow.models"),
        ("exceptions.py", "import airflow"),
        ("emulator/clock.py", "import airflow"),
        ("http/rate_limiter.py", f"import {PACKAGE}.hooks.pai"),
        ("http/rate_limiter.py", f"import {PACKAGE}.sync.delivery.upload"),
        ("members/columns.py", f"import {PACKAGE}.http.session"),
        ("exceptions.py", f"import {PACKAGE}.members.lines"),
        ("sync/delivery/upload.py", f"import {PACKAGE}.common.errors"),
        ("emulator/clock.py", f"import {PACKAGE}.members.identifiers.advertising_id"),
        ("emulator/clock.py", f"import {PACKAGE}.exceptions"),
        ("hooks/pai.py", f"import {PACKAGE}.emulator.testing"),
        ("http/session.py", f"import {PACKAGE}.emulator.clock"),
        ("hooks/pai.py", f"import {PACKAGE}.operators.pai"),
        ("waiting/wait.py", "import airflow"),
        ("waiting/wait.py", f"import {PACKAGE}.sync.plan"),
        ("sync/plan.py", f"import {PACKAGE}.platforms.applovin.client"),
        ("sync/plan.py", f"import {PACKAGE}.platforms.pai.groups"),
        ("redaction.py", f"import {PACKAGE}.validation"),
        ("platforms/pai/marker.py", f"import {PACKAGE}.platforms.pai.groups"),
        ("sync/ledger.py", f"{TYPES_ONLY}import {PACKAGE}.sync.plan"),
        (
            "common/progress.py",
            f"{TYPES_ONLY}import {PACKAGE}.sources.types",
        ),
    ],
)
def test_a_step_over_them_is_noticed(copied: Path, module: str, line: str) -> None:
    path = copied / PACKAGE / module
    path.write_text(path.read_text() + f"\n{line}\n")
    ended = _lint(copied)
    assert ended.returncode != 0
    assert "BROKEN" in ended.stdout
