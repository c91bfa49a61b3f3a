"""The demo at a small size, and what it says when something is wrong."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_audiences.members.lines import lines_of_file
from airflow_provider_audiences.members.staging import StagingRules, stage

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from demo import run as demo_run  # noqa: E402
from demo.device_ids import write_device_ids  # noqa: E402


def test_the_file_has_the_counts_that_it_claims(tmp_path: Path) -> None:
    made = write_device_ids(tmp_path / "ids.txt", lines=5_000, seed=1, dirt=2.0)
    with made.path.open("rb") as file, stage(lines_of_file(file, name="ids.txt"), rules=StagingRules()) as staged:
        found = (staged.members, staged.duplicates, staged.zeroed, staged.malformed, staged.blank)
    assert found == (made.members, made.duplicates, made.zeroed, made.malformed, made.blank)
    assert made.path.read_bytes().count(b"\n") == made.lines == 5_000


def test_the_same_seed_makes_the_same_file_and_another_does_not(tmp_path: Path) -> None:
    files = [write_device_ids(tmp_path / f"{n}.txt", lines=500, seed=seed).path for n, seed in enumerate((7, 7, 8))]
    assert Counter(path.read_bytes() for path in files).most_common(1)[0][1] == 2


def test_a_failed_dag_is_named_with_task_and_reason() -> None:
    result = {"state": "failed", "tasks": {"a": "success", "b": "failed"}, "failures": {"b": "NotFoundError: gone"}}
    text = demo_run.why_failed("my_dag", "2026-03-01", result)
    assert "my_dag for 2026-03-01" in text
    assert "b=failed" in text
    assert "b: NotFoundError: gone" in text


def test_a_figure_that_is_wrong_fails_the_demo() -> None:
    with pytest.raises(demo_run.DemoError, match="users held: 3, and it should be 4"):
        demo_run.expect("users held", 3, 4)


def test_the_whole_demo_with_small_files() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.run", "--lines", "3000", "--workspace", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Lapsed buyers          1  48,213  2026-11-21" in done.stdout
