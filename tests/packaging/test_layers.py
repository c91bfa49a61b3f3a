"""Who may import whom (``[tool.importlinter]`` of pyproject.toml), and that this is really checked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_audiences

ROOT = Path(airflow_provider_audiences.__file__).parents[1]
PACKAGE = "airflow_provider_audiences"
LAYERS = "Arrows point one way"
AIRFLOW = "Only the Airflow layer knows Airflow"
EMULATOR_ALONE = "The emulator shares nothing with the rest"
NO_EMULATOR = "The rest does not need the emulator"

# Contract, module, and what it must not import, by name or as ``module:name``.
STEPS_OVER = [
    (AIRFLOW, "members.columns", "airflow.providers.common.compat:sdk"),
    (AIRFLOW, "http.rate_limiter", "airflow"),
    (AIRFLOW, "sync.delivery.direct_delivery", "airflow.models"),
    (AIRFLOW, "exceptions", "airflow"),
    (AIRFLOW, "emulator.clock", "airflow"),
    (AIRFLOW, "waiting.wait", "airflow"),
    (LAYERS, "http.rate_limiter", f"{PACKAGE}.hooks.pai"),
    (LAYERS, "http.rate_limiter", f"{PACKAGE}.sync.delivery.direct_delivery"),
    (LAYERS, "members.columns", f"{PACKAGE}.http.session"),
    (LAYERS, "exceptions", f"{PACKAGE}.members.columns"),
    (LAYERS, "sync.delivery.direct_delivery", f"{PACKAGE}.common.errors"),
    (LAYERS, "hooks.pai", f"{PACKAGE}.operators.pai"),
    (LAYERS, "operators.pai", f"{PACKAGE}.cli.output"),
    (LAYERS, "notifications.health", f"{PACKAGE}.operators.write_base"),
    (LAYERS, "waiting.wait", f"{PACKAGE}.sync.plan"),
    (LAYERS, "sync.plan", f"{PACKAGE}.platforms.applovin.client"),
    (LAYERS, "sync.plan", f"{PACKAGE}.platforms.pai.groups"),
    (LAYERS, "redaction", f"{PACKAGE}.validation"),
    (EMULATOR_ALONE, "emulator.clock", f"{PACKAGE}.members.identifiers.advertising_id"),
    (EMULATOR_ALONE, "emulator.clock", f"{PACKAGE}.exceptions"),
    (NO_EMULATOR, "hooks.pai", f"{PACKAGE}.emulator.testing"),
    (NO_EMULATOR, "http.session", f"{PACKAGE}.emulator.clock"),
]
FOR_TYPES_ONLY = [(LAYERS, "common.progress", f"{PACKAGE}.sources.types")]
CIRCLES = [("platforms.pai", "marker", "groups", ""), ("sync", "ledger", "plan", "if TYPE_CHECKING:\n    ")]


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
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


def _plant(root: Path, module: str, line: str) -> int:
    """Append a line to a module, and return its number."""
    path = root / PACKAGE / f"{module.replace('.', '/')}.py"
    code = f"{path.read_text()}\nfrom typing import TYPE_CHECKING\n{line}\n"
    path.write_text(code)
    return code.count("\n")


def test_the_layers_are_kept() -> None:
    ended = _lint(ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 broken" in ended.stdout


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[tuple[str, str], int]]:
    """What is said of each contract when all imports below are planted at once; and their lines."""
    root = tmp_path_factory.mktemp("layers")
    shutil.copytree(ROOT / PACKAGE, root / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    lines = {}
    for _, module, imported in STEPS_OVER:
        where, _, name = imported.partition(":")
        lines[module, imported] = _plant(root, module, f"from {where} import {name}" if name else f"import {where}")
    for _, module, imported in FOR_TYPES_ONLY:
        lines[module, imported] = _plant(root, module, f"if TYPE_CHECKING:\n    import {imported}")
    for package, module, imported, guard in CIRCLES:
        _plant(root, f"{package}.{module}", f"{guard}import {PACKAGE}.{package}.{imported}")
    ended = _lint(root)
    assert ended.returncode != 0
    _, _, broken = ended.stdout.partition("Broken contracts\n")
    said = re.split(r"^(.+)\n-{5,}\n", broken, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in zip(said[1::2], said[2::2], strict=True)}, lines


@pytest.mark.parametrize(("contract", "module", "imported"), STEPS_OVER + FOR_TYPES_ONLY)
def test_a_step_over_them_is_noticed(
    planted: tuple[dict[str, str], dict[tuple[str, str], int]], contract: str, module: str, imported: str
) -> None:
    said, lines = planted
    shown = "airflow" if contract == AIRFLOW else imported
    # On its own: not as a part of a way by another module.
    assert f"- {PACKAGE}.{module} -> {shown} (l.{lines[module, imported]})" in said[contract]


@pytest.mark.parametrize("package", [package for package, *_ in CIRCLES])
def test_a_circle_is_noticed(planted: tuple[dict[str, str], dict[tuple[str, str], int]], package: str) -> None:
    assert f"No cycles are allowed in {PACKAGE}.{package}." in planted[0]["No circles"]
