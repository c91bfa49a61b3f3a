"""``doctor``: what it finds by itself, what only ``--test`` finds, and what is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from support.fixtures import Connect

from airflow_provider_audiences import __version__
from airflow_provider_audiences.cli import connection_checks
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.get_provider_info import get_provider_info

Run = Callable[..., Any]
CLOCK = ("clock", "applovin_default")
Found = dict[tuple[str, str], tuple[str, str]]


@pytest.fixture
def doctor(run: Run) -> Callable[..., tuple[int, Found]]:
    """Runs doctor; returns the exit code, and status and detail by area and name (the worst if there are several)."""

    def act(*arguments: str) -> tuple[int, Found]:
        ended = run("doctor", *arguments, "-o", "json")
        found: Found = {}
        for row in ended.content():
            key = (row["area"], row["name"])
            if key not in found or row["status"] in {"wrong", "warning"}:
                found[key] = (row["status"], row["detail"])
        return ended.code, found

    return act


def test_what_is_right(doctor: Any, stored: Any, emulator: AudiencesEmulator) -> None:
    before = stored.contents()
    code, found = doctor("--conn-id", "applovin_default", "--conn-id", "pai_default")
    assert code == 0
    assert found["versions", "airflow-provider-audiences"] == ("info", __version__)
    assert found["settings", "state_path"] == ("info", str(stored.state))
    for name in ("reachable", "writable", "private", "shared"):
        assert found["state path", name][0] == "ok"
    host = emulator.url.removeprefix("http://")
    assert found["connections", "applovin_default"] == ("ok", f"its fields are right; requests go to {host}")
    assert found["connections", "pai_default"][0] == "ok"
    assert emulator.requests() == []
    assert stored.contents() == before


def test_the_apis_are_really_called(doctor: Any, stored: Any, emulator: AudiencesEmulator) -> None:
    before = stored.contents()
    code, found = doctor("--test", "--conn-id", "applovin_default", "--conn-id", "pai_default")
    assert code == 0
    assert found["connections", "applovin_default, test"] == (
        "ok",
        "AppLovin accepted the Management Key. Audiences in the account: 1.",
    )
    assert found["connections", "pai_default, test"][0] == "ok"
    assert found[CLOCK][0] == "ok"  # the machine may be so busy that a second passes
    assert found["state path", "writable"] == ("ok", "a file was written and deleted")
    assert {request["operation"] for request in emulator.requests()} >= {"applovin.list"}
    assert stored.contents() == before


@pytest.mark.parametrize(
    ("ahead", "status", "side"),
    [(-100, "warning", "behind"), (100, "warning", "ahead of"), (2000, "wrong", "ahead of")],
)
def test_a_wrong_clock(
    ahead: int, status: str, side: str, doctor: Any, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = types.SimpleNamespace(time=lambda: time.time() + ahead)
    monkeypatch.setattr(connection_checks, "time", clock)
    _, found = doctor("--test", "--conn-id", "applovin_default")
    shown = re.match(r"this machine's clock is ([0-9,]+) s (.+) that of its server; set it", found[CLOCK][1])
    assert shown
    assert found[CLOCK][0] == status
    assert int(shown[1].replace(",", "")) == pytest.approx(abs(ahead), abs=5)
    assert shown[2] == side


def test_wrong_fields_and_keys(doctor: Any, connect: Connect, state_path: Path) -> None:
    connect("applovin", password="a wrong key", extra={"max_retires": 3})
    code, found = doctor("--test", "--conn-id", "applovin_default")
    assert code == 1
    assert found["connections", "applovin_default, test"][0] == "wrong"
    assert "max_retires" in found["connections", "applovin_default"][1]
    connect("applovin", host="http://example.com")
    code, found = doctor("--conn-id", "applovin_default")
    assert (code, found["connections", "applovin_default"][0]) == (1, "wrong")
    assert "plain http" in found["connections", "applovin_default"][1]


def test_a_server_that_does_not_answer(doctor: Any, connect: Connect, state_path: Path) -> None:
    connect("pai", host="http://127.0.0.1:9")
    code, found = doctor("--test", "--conn-id", "pai_default")
    assert code == 1
    assert found["clock", "pai_default"] == ("warning", "not compared: ConnectionError of its server")


@pytest.mark.skipif(get_base_airflow_version_tuple() < (3, 0), reason="tasks of Airflow 2 may read its database")
@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--conn-id", "absent"], ["list"]])
def test_in_a_task_of_airflow_3(words: list[str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "airflow-db-not-allowed:///",
        "AIRFLOW_CONN_APPLOVIN_DEFAULT": json.dumps({"conn_type": "applovin", "password": "a-key-of-the-environment"}),
    }
    program = [sys.executable, "-m", "airflow_provider_audiences.cli.console", *words, "-o", "json"]
    ended = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert "ArgumentError" not in ended.stderr
    rows = json.loads(ended.stdout)
    found = {row["name"]: (row["status"], row["detail"]) for row in rows if row.get("area") == "connections"}
    if words == ["list"]:
        assert (ended.returncode, rows) == (0, [])
    elif words == ["doctor"]:
        assert found["applovin_default"][0] == "ok"
        status, said = found["database"]
        assert status == "warning"
        assert "may not read Airflow's database" in said
        assert "AIRFLOW_CONN_…" in said
    else:
        assert found["absent"][0] == "wrong"
        assert "there is no such connection" in found["absent"][1]


def test_connections_of_the_environment_and_the_database(
    doctor: Any, airflow_database: None, connect: Connect, state_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "postgres"}))
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", '{"conn_type": "pai"')
    with create_session() as session:
        session.add(Connection(conn_id="stored_pai", conn_type="pai", password="a-key-of-the-database"))
        session.add(Connection(conn_id="stored_http", conn_type="http"))
    try:
        code, found = doctor()
    finally:
        with create_session() as session:
            session.execute(delete(Connection).where(Connection.conn_id.in_(["stored_pai", "stored_http"])))
    assert code == 1
    checked = {name: status for (area, name), (status, _) in found.items() if area == "connections"}
    assert checked == {"applovin_default": "ok", "pai_default": "ok", "stored_pai": "ok", "broken": "wrong"}


@pytest.mark.parametrize(
    ("conn_id", "said"), [("nobody", "there is no such connection"), ("warehouse", "it has the type postgres")]
)
def test_connections_that_are_none_of_ours(
    conn_id: str, said: str, doctor: Any, state_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "postgres"}))
    code, found = doctor("--conn-id", conn_id)
    assert (code, found["connections", conn_id][0]) == (1, "wrong")
    assert said in found["connections", conn_id][1]


def test_files_that_others_may_read(doctor: Any, stored: Any) -> None:
    stored.state.chmod(0o755)
    _, found = doctor("--conn-id", "applovin_default")
    assert found["state path", "private"] == ("ok", "others may enter it, and read no file in it")
    for folder in stored.state.rglob("*"):
        folder.chmod(0o755)
    code, found = doctor("--conn-id", "applovin_default")
    status, said = found["state path", "private"]
    assert (code, status) == (1, "wrong")
    assert "head-000000000001.json" in said
    assert f"chmod -R go= on {stored.state}" in said


def test_folders_that_a_sync_deletes_meanwhile(doctor: Any, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (stored.state, *stored.state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o600)
    deleted = stored.folder(stored.audience_id)
    list_entries = Path.iterdir

    def after_a_deletion(folder: Path) -> Any:
        if folder == deleted:
            shutil.rmtree(folder, ignore_errors=True)
        return list_entries(folder)

    monkeypatch.setattr(Path, "iterdir", after_a_deletion)
    code, found = doctor("--conn-id", "applovin_default")
    assert not deleted.exists()
    assert (code, found["state path", "private"][0]) == (0, "ok")


def test_a_folder_of_another_user() -> None:
    look = """
import os, sys
from pathlib import Path
from airflow_provider_audiences.cli.state_checks import _private
if os.geteuid() == 0:  # root may look into everything
    os.seteuid(65534)
print(_private(Path(sys.argv[1])))
"""
    with tempfile.TemporaryDirectory() as root:
        closed = Path(root) / "applovin"
        closed.mkdir(mode=0o001)
        Path(root).chmod(0o755)
        ended = subprocess.run([sys.executable, "-c", look, root], capture_output=True, text=True, check=False)
        closed.chmod(0o700)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "status='warning'" in ended.stdout
    assert "this user may not look into all of it (applovin): run doctor as the worker's user" in ended.stdout


def test_a_state_path_that_is_not_made_yet(doctor: Any, state_path: Path) -> None:
    code, found = doctor("--conn-id", "applovin_default")
    assert (code, found["state path", "reachable"][1]) == (0, "it is empty, or not made yet")
    assert not state_path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_path_that_can_not_be_written(doctor: Any, stored: Any) -> None:
    stored.state.chmod(0o500)
    code, found = doctor("--conn-id", "applovin_default")
    assert (code, found["state path", "writable"][0]) == (1, "wrong")


@pytest.mark.parametrize(
    ("setting", "value", "key"),
    [
        ("STATE_PATH", "relative/folder", ("state path", "address")),
        ("MEMORY_LIMIT", "plenty", ("settings", "staging")),
        ("TEMP_FOLDER", "/nowhere", ("settings", "staging")),
    ],
)
def test_wrong_settings(
    setting: str, value: str, key: tuple[str, str], doctor: Any, state_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__AUDIENCES__{setting}", value)
    code, found = doctor("--conn-id", "applovin_default")
    assert (code, found[key][0]) == (1, "wrong")
    assert value in found[key][1]


def test_workers_that_do_not_share_the_disk(doctor: Any, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    code, found = doctor("--conn-id", "applovin_default")
    assert (code, found["state path", "shared"][0]) == (1, "wrong")
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH_IS_SHARED", "True")
    assert doctor("--conn-id", "applovin_default")[1]["state path", "shared"][0] == "ok"


def test_all_settings_are_shown(doctor: Any) -> None:
    shown = [name for area, name in doctor("--conn-id", "applovin_default")[1] if area == "settings"]
    assert shown == [*get_provider_info()["config"]["audiences"]["options"], "staging"]


def test_all_packages_that_this_one_needs_are_shown(doctor: Any) -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = {re.match(r"[\w-]+", requirement)[0] for requirement in declared}  # type: ignore[index] # all match
    shown = {name: status for (area, name), (status, _) in doctor()[1].items() if area == "versions"}
    assert needed <= shown.keys()
    assert set(shown.values()) == {"info"}
    assert {"alibabacloud-credentials", "deltalake"}.isdisjoint(needed)
    assert {"pyarrow", "s3fs"} <= shown.keys()
