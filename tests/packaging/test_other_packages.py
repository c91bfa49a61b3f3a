"""A package that brings an ad platform of its own: its operators, assets and commands work as those of this package."""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import billboards
from support.fixtures import MakeContext, MakeIds

from airflow_provider_audiences.assets.airflow_assets import given_asset
from airflow_provider_audiences.assets.uris import canonical_uri
from airflow_provider_audiences.common import targets
from airflow_provider_audiences.common.targets import (
    OWN_KINDS,
    AdPlatform,
    platform_of_connection,
    platforms,
    target_kinds,
)
from airflow_provider_audiences.exceptions import GuardError, InvalidInputError
from airflow_provider_audiences.ui.static_files import targets_table

TESTS = Path(billboards.__file__).parents[1]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of Python's path, for packages that are installed there before anything asks for platforms."""
    caches = (targets.target_kinds, targets.platforms, targets.synced_kinds)
    for known in caches:
        known.cache_clear()
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for known in caches:
        known.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The platform's folder, to which a connection leads."""
    folder = tmp_path / "platform"
    folder.mkdir()
    connection = json.dumps({"conn_type": "billboards", "host": str(folder)})
    monkeypatch.setenv("AIRFLOW_CONN_BILLBOARDS_DEFAULT", connection)
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    return folder


def test_its_screen_is_synced(site: Path, place: Path, task_context: MakeContext, make_ids: MakeIds) -> None:
    billboards.install(site)
    ids = make_ids(3_000)

    def sync(source: list[str]) -> billboards.BillboardsSyncScreenOperator:
        return billboards.BillboardsSyncScreenOperator(task_id="sync", screen_id="Main St. 1", source=source)

    operator = sync(ids[:2_500])
    assert [outlet.uri for outlet in operator.outlets] == ["billboards://billboards_default/screens/Main%20St.%201"]
    report = operator.execute(task_context())
    assert (report["added"], report["live"], report["batches"]) == (2_500, 2_500, 3)
    report = sync(ids[500:]).execute(task_context())
    assert (report["added"], report["removed"], report["refreshed"], report["drift"]) == (500, 500, 0, 0)
    assert json.loads((place / "Main St. 1.json").read_text()) == sorted(ids[500:])
    with pytest.raises(GuardError, match="max_removed_ratio"):
        sync(ids[2_900:]).execute(task_context())
    assert json.loads((place / "Main St. 1.json").read_text()) == sorted(ids[500:])


def test_its_assets_are_checked_like_ours(site: Path) -> None:
    billboards.install(site)
    assert canonical_uri("billboards://a/screens/x") == "billboards://a/screens/x"
    with pytest.raises(InvalidInputError, match=r"none of billboards://<account>/screens/<screen_id>"):
        given_asset("billboards://a/walls/x")


def test_the_page_and_connections_know_it(site: Path) -> None:
    billboards.install(site)
    assert '"billboards": {"screens": "screen"}' in targets_table()
    assert '"billboards": {"screen": "Screen"}' in targets_table()
    assert platform_of_connection("billboards") == billboards.BILLBOARDS
    assert [platform.name for platform in platforms()] == ["applovin", "pai", "billboards"]


def test_the_command_line_plans_for_it(site: Path, place: Path, tmp_path: Path, make_ids: MakeIds) -> None:
    billboards.install(site)
    source = tmp_path / "ids.txt"
    source.write_text("\n".join(make_ids(7)))
    command = [sys.executable, "-m", "airflow_provider_audiences.cli.console", "plan", "Main"]
    ended = subprocess.run(
        [*command, "--kind", "billboards-screen", "--source", str(source), "-o", "json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(TESTS)])},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["api"], found["audience"], found["added"]) == ("billboards", "Main", 7)
    assert list(place.iterdir()) == []


def test_doctor_says_that_its_hook_has_no_checks(site: Path, place: Path) -> None:
    billboards.install(site)
    ended = subprocess.run(
        [sys.executable, "-m", "airflow_provider_audiences.cli.console", "doctor", "--test",
         "--conn-id", "billboards_default", "-o", "json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(TESTS)])},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = json.loads(ended.stdout)
    [about] = [finding for finding in found if finding["name"] == "billboards_default"]
    assert (about["status"], about["detail"]) == (
        "warning",
        "the hook of Billboards has no checks of a connection's fields",
    )
    assert {"versions", "settings"} <= {finding["area"] for finding in found}


def test_a_platform_is_checked_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="one word of a-z and 0-9, and not 'bill_boards'"):
        AdPlatform(name="bill_boards", title="B", conn_types=("b",), hook="x:Y")
    with pytest.raises(ValueError, match="the platform b has no type of connections"):
        AdPlatform(name="b", title="B", conn_types=(), hook="x:Y")


@pytest.mark.parametrize(
    ("leads_to", "why"),
    [
        ("support.no_such_module:KINDS", "ModuleNotFoundError"),
        ("support.billboards:NO_SUCH_NAME", "AttributeError"),
        ("support.billboards:BILLBOARDS", "TypeError"),
        ("airflow_provider_audiences.common.targets:GROUP", "pai-group is named as another one"),
        ("support.billboards:TWICE", "billboards-screen is named as another one"),
        ("support.billboards:OF_THEIR_CONNECTIONS", "the connection type applovin is another platform's"),
    ],
)
def test_one_that_is_broken_is_left_out(site: Path, caplog: pytest.LogCaptureFixture, leads_to: str, why: str) -> None:
    billboards.install(site, leads_to=leads_to)
    with caplog.at_level(logging.WARNING):
        assert target_kinds() == OWN_KINDS
    [said] = [record.getMessage() for record in caplog.records if record.name == targets.__name__]
    assert f"entry point {leads_to} is left out" in said
    assert why in said
