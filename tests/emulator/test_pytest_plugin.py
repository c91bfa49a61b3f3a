import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import urllib.request

addresses = set()


def test_uses_the_emulator(audiences_emulator):
    assert audiences_emulator.requests() == []
    audiences_emulator.settings(processing_seconds=0)
    try:
        urllib.request.urlopen(audiences_emulator.url + "/audiences/list")
    except urllib.error.HTTPError as error:
        assert error.code == 403
    assert len(audiences_emulator.requests()) == 1
    addresses.add(audiences_emulator.url)


def test_finds_nothing_of_the_test_before(audiences_emulator):
    assert audiences_emulator.requests() == []
    assert audiences_emulator.settings()["processing_seconds"] == 5
    addresses.add(audiences_emulator.url)
    assert len(addresses) == 1
"""


@pytest.mark.parametrize("module", ["testing", "pytest_plugin"])
def test_the_fixtures_work_in_a_project_of_somebody_else(tmp_path: Path, module: str) -> None:
    plugin = f"airflow_provider_audiences.emulator.{module}"
    (tmp_path / "conftest.py").write_text(f"pytest_plugins = [{plugin!r}]\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
