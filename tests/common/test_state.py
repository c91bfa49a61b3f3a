"""Where syncs keep their state, by Airflow's configuration; and who a task is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support.airflow_versions import attach
from support.fixtures import MakeContext

from airflow_provider_audiences.common.state import holder_of, state_store
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sync.state.file_store import LocalFileStore, ObjectFileStore


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda value: monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", value)


@pytest.mark.parametrize("address", ["", "  "])
def test_is_below_airflows_home_by_default(
    configured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    configured(address)
    folder = state_store("applovin", "host", "id")
    assert isinstance(folder, LocalFileStore)
    assert folder.name == str(tmp_path / "audiences/applovin/host/id")
    assert list(tmp_path.iterdir()) == []


def test_is_in_the_users_home_when_airflow_has_none(tmp_path: Path) -> None:
    code = "from airflow_provider_audiences.common.state import state_store; print(state_store('a').name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [f"{tmp_path}/airflow/audiences/a"], done.stderr[-2000:]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/state", "/data/state"),
        (" /data/my state/ ", "/data/my state"),
        ("~/state", "{home}/state"),
        ("file:///data/my%20state", "/data/my state"),
        ("FILE:///data/state", "/data/state"),
    ],
)
def test_may_be_a_folder(
    configured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, path: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    configured(address)
    folder = state_store("a", "b")
    assert isinstance(folder, LocalFileStore)
    assert folder.name == path.format(home=tmp_path) + "/a/b"


@pytest.mark.parametrize(
    ("address", "path"),
    [("memory://bucket/my state/", "/bucket/my state"), ("memory://store@bucket", "/bucket")],
)
def test_may_be_a_store(configured: Callable[[str], None], tmp_path: Path, address: str, path: str) -> None:
    store = fsspec.filesystem("memory")
    for conn_id in (None, "store"):
        attach("memory", conn_id=conn_id, fs=store)
    configured(address)
    folder = state_store(tmp_path.name, "b:c")
    assert isinstance(folder, ObjectFileStore)
    assert folder.name == f"{address.rstrip('/')}/{tmp_path.name}/b%3Ac"
    folder.write("head.json", b"x")
    assert folder.names() == ["head.json"]
    assert store.cat_file(f"{path}/{tmp_path.name}/b%3Ac/head.json") == b"x"
    assert state_store(tmp_path.name, "b:c").read("head.json") == b"x"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("state", "state_path state must be absolute"),
        ("./state", "must be absolute"),
        ("file://state", "give the whole path"),
        ("nosuch://me:sesame@bucket/state?key=sesame", r"nosuch://me:\*\*\*@bucket/state\?….*no file system takes it"),
    ],
)
def test_that_is_wrong_is_refused(configured: Callable[[str], None], address: str, said: str) -> None:
    configured(address)
    with pytest.raises(InvalidInputError, match=said) as refusal:
        state_store("a")
    assert "sesame" not in str(refusal.value)


def test_names_are_no_paths_and_stay_apart(configured: Callable[[str], None], tmp_path: Path) -> None:
    configured(str(tmp_path / "state"))
    names = ["..", ".", "a/b", "a b", "a%2Fb", "%2E", "a\nb", "ä", "host:1"]
    for name in names:
        state_store("applovin", name).write("head.json", name.encode())
    assert [state_store("applovin", name).read("head.json").decode() for name in names] == names
    found = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("head.json")}
    assert found == {("state", "applovin")}
    assert len(list((tmp_path / "state/applovin").iterdir())) == len(names)


@pytest.mark.parametrize(
    ("map_index", "said"),
    [(-1, ""), (None, ""), (0, ", map index 0"), (7, ", map index 7")],
)
def test_a_task_is_the_same_over_its_tries(task_context: MakeContext, map_index: int | None, said: str) -> None:
    tries = [holder_of(task_context(map_index=map_index, try_number=number)) for number in (1, 2)]
    assert [holder.key for holder in tries] == [f"DAG dag, run run, task task{said}"] * 2
    assert [holder.try_number for holder in tries] == [1, 2]


@pytest.mark.parametrize("change", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0}], ids=str)
def test_other_tasks_are_others(task_context: MakeContext, change: dict[str, Any]) -> None:
    assert holder_of(task_context(**change)).key != holder_of(task_context()).key
