"""The demo at a small size, and what it says when something is wrong."""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.kinds import ID_KIND

from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile
from airflow_provider_audiences.members.staging import StagedMembers, StagingRules, stage

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from demo import dag_runs, output, standalone  # noqa: E402
from demo.days import DAYS, OPT_OUTS, written_days  # noqa: E402
from demo.device_ids import digest_of, write_device_ids  # noqa: E402
from demo.environment import Workspace  # noqa: E402


@contextmanager
def staged_file(path: Path) -> Iterator[StagedMembers]:
    file = SourceFile(name=path.name, open=lambda: path.open("rb"))
    with stage(FilesInput(files=[file]), rules=StagingRules(), identifier_kind=ID_KIND) as staged:
        yield staged


def test_the_file_has_the_counts_that_it_claims(tmp_path: Path) -> None:
    made = write_device_ids(tmp_path / "ids.txt", lines=5_000, seed=1, dirt=2.0)
    with staged_file(made.path) as staged:
        found = (staged.members, staged.duplicates, staged.zeroed, staged.malformed, staged.blank)
    assert found == (made.members, made.duplicates, made.zeroed, made.malformed, made.blank)
    assert made.path.read_bytes().count(b"\n") == made.lines == 5_000


def test_the_days_files_lead_to_what_the_demo_expects(tmp_path: Path) -> None:
    """Worked out again by plain sets, from what the provider reads in the files."""
    audience: set[str] = set()
    seen = []
    for day in written_days(tmp_path, lines=4_000):
        seen.append(day.day)
        with staged_file(day.file.path) as staged:
            source = set(staged.lines(0, staged.members).decode().split())
        opted_out = set((tmp_path / OPT_OUTS).read_text().split())
        if day.is_stopped:
            assert len(audience - source) > 0.4 * len(audience)
        else:
            assert day.file.members == len(source)
            wanted = source - opted_out
            assert {name: day.expected[name] for name in ("added", "removed", "unchanged", "suppressed", "live")} == {
                "added": len(wanted - audience),
                "removed": len(audience - wanted),
                "unchanged": len(wanted & audience),
                "suppressed": len(source & opted_out),
                "live": len(wanted),
            }
            audience = wanted
        assert day.digest == digest_of(audience)
    assert seen == list(DAYS)
    assert opted_out - source, "some of those who opted out never were in the audience"
    assert day.is_stopped


def test_the_same_seed_makes_the_same_file_and_another_does_not(tmp_path: Path) -> None:
    files = [write_device_ids(tmp_path / f"{n}.txt", lines=500, seed=seed).path for n, seed in enumerate((7, 7, 8))]
    assert Counter(path.read_bytes() for path in files).most_common(1)[0][1] == 2


def test_a_failed_dag_is_named_with_task_and_reason() -> None:
    result = {"state": "failed", "tasks": {"a": "success", "b": "failed"}, "failures": {"b": "NotFoundError: gone"}}
    text = dag_runs.why_failed("my_dag", "2026-03-01", result)
    assert "my_dag for 2026-03-01" in text
    assert "b=failed" in text
    assert "b: NotFoundError: gone" in text


def test_a_figure_that_is_wrong_fails_the_demo() -> None:
    with pytest.raises(output.DemoError, match="users held: 3, and it should be 4"):
        output.expect("users held", 3, 4)


def test_the_whole_demo_with_small_files() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.run", "--lines", "3000", "--workspace", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,  # a busy machine takes its time
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Lapsed buyers         48,213 people  48,213 people  48,213 people" in done.stdout
    assert "On 2026-11-21 it had to fail, and did: GroupRejectedError: " in done.stdout
    assert "History: The audience did not pass the review" in done.stdout
    assert "It had to fail, and did: GuardError: stopped by max_removed_ratio" in done.stdout
    assert "as it was before" in done.stdout
    assert {path.name for path in (ROOT / ".demo/test/airflow").iterdir()} >= {"audiences"}


@pytest.mark.parametrize(("exit_code", "must_fail"), [(0, True), (1, False)])
def test_a_run_that_ends_otherwise_than_it_must_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int, must_fail: bool
) -> None:
    state = "failed" if exit_code else "success"
    result = {"state": state, "tasks": {"a": state}, "failures": {}, "returned": {}}
    (tmp_path / "run_dag.py").write_text(
        f"import json, sys\nopen(sys.argv[3], 'w').write(json.dumps({result!r}))\nsys.exit({exit_code})\n"
    )
    monkeypatch.setattr(dag_runs, "RUN_DAG", [sys.executable, str(tmp_path / "run_dag.py")])
    workspace = Workspace(tmp_path)
    workspace.logs.mkdir()
    with pytest.raises(output.DemoError, match=f"ended as {state}"):
        dag_runs.run_dag(workspace, "my_dag", "2026-03-01", dict(os.environ), must_fail=must_fail)
    ended = dag_runs.run_dag(workspace, "my_dag", "2026-03-01", dict(os.environ), must_fail=not must_fail)
    assert ended.state == state


def test_a_run_that_is_not_wanted_any_more_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run_dag.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(dag_runs, "RUN_DAG", [sys.executable, str(tmp_path / "run_dag.py")])
    workspace = Workspace(tmp_path)
    workspace.logs.mkdir()
    stop = threading.Event()
    stop.set()
    with pytest.raises(output.DemoError, match="was ended"):
        dag_runs.run_dag(workspace, "my_dag", "2026-03-01", dict(os.environ), stop=stop)


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
    assert "applovin_audience_sync for 2026-11-20 ended as failed" in done.stderr
    assert "sync_audience: InvalidInputError" in done.stderr


def test_a_dag_run_that_takes_too_long_is_named_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_runs, "_TIMEOUT_SECONDS", 0)
    workspace = Workspace(tmp_path)
    workspace.logs.mkdir()
    with pytest.raises(output.DemoError, match="my_dag for 2026-03-01 took longer than 0 s and was ended"):
        dag_runs.run_dag(workspace, "my_dag", "2026-03-01", dict(os.environ))


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
