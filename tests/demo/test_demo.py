"""The demo at a small size, and what it says when something is wrong."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_audiences.members.inputs import FilesInput, SourceFile
from airflow_provider_audiences.members.staging import StagingRules, stage

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from demo import run as demo_run  # noqa: E402
from demo import standalone  # noqa: E402
from demo.device_ids import write_device_ids  # noqa: E402
from demo.environment import Workspace  # noqa: E402


def test_the_file_has_the_counts_that_it_claims(tmp_path: Path) -> None:
    made = write_device_ids(tmp_path / "ids.txt", lines=5_000, seed=1, dirt=2.0)
    file = SourceFile(name="ids.txt", open=lambda: made.path.open("rb"))
    with stage(FilesInput(files=[file]), rules=StagingRules()) as staged:
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


def test_a_task_that_would_be_retried_is_reported_at_once(tmp_path: Path) -> None:
    """The reason is in the report, and the demo does not wait for Airflow's retry."""
    env = {"AIRFLOW_VAR_AUDIENCES_DATA_FOLDER": ""}
    script = (
        "import demo.environment as e\n"
        "original = e.Workspace.environment\n"
        f"e.Workspace.environment = lambda self, *a: original(self, *a) | {env!r}\n"
        "from demo.run import main\n"
        "raise SystemExit(main(['--lines', '1000', '--workspace', 'test-failure']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 1
    assert "applovin_audience_refresh for 2026-11-20 ended as failed" in done.stderr
    assert "update_audience: InvalidInputError" in done.stderr


def test_a_dag_run_that_takes_too_long_is_named_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_run, "_DAG_TIMEOUT_SECONDS", 0)
    workspace = Workspace(tmp_path)
    workspace.logs.mkdir()
    with pytest.raises(demo_run.DemoError, match="my_dag for 2026-03-01 took longer than 0 s and was ended"):
        demo_run.run_dag(workspace, "my_dag", "2026-03-01", dict(os.environ))


def test_a_process_group_is_ended_as_a_whole() -> None:
    sleeper = "import time; time.sleep(60)"
    leader = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleeper!r}]); print('up', flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", leader], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    standalone.end_group(process.pid)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    process.stdout.close()
