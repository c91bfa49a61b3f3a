"""``make check`` finds the tests of each file that may change."""

from pathlib import Path

import pytest
from changed import ROOT, files_for

MODULES = [
    str(path.relative_to(ROOT))
    for path in (ROOT / "airflow_provider_audiences").rglob("*.py")
    if not path.name.startswith("__")
]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ("airflow_provider_audiences/sync/guards.py", ["tests/sync/test_guards.py"]),
        ("airflow_provider_audiences/members/keys/key_set.py", ["tests/members/keys/test_key_runs.py"]),
        ("airflow_provider_audiences/operators/sync_base.py", ["tests/operators/test_applovin_sync.py"]),
        ("tests/sync/test_drift.py", ["tests/sync/test_drift.py"]),
        ("tests/support/direct_changes.py", ["tests/sync/test_recorded_delivery.py"]),
    ],
)
def test_files_for_a_file(changed: str, found: list[str]) -> None:
    assert set(found) <= set(files_for([changed]))


def test_every_module_has_tests() -> None:
    assert len(MODULES) > 300
    assert [name for name in MODULES if not files_for([name])] == []


def test_other_files_have_none() -> None:
    assert files_for(["docs/sync.md", "Makefile", "tests/support/nothing.py"]) == []
    assert Path(files_for(["tests/conftest.py", "tests/packaging/test_changed.py"])[0]).name == "test_changed.py"
