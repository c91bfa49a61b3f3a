"""The files of members that were changed directly: they come back, and are written anew only if they have changed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.members.keys.key_order import order_of
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.direct_changes import DirectChanges
from airflow_provider_audiences.sync.state.direct_change_files import fetch_direct_changes, store_direct_changes
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, KeyFile
from airflow_provider_audiences.sync.state.tables import StateTables


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(StagingSettings(temp_folder=tmp_path)) as workspace:
        yield workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def tables(folder: Path, workspace: Workspace) -> StateTables:
    return StateTables(LocalFileStore(folder), workspace, key_column="advertising_id")


def key_set(workspace: Workspace, *numbers: int) -> KeySet:
    keys = np.array([[number, number] for number in numbers], np.uint64).reshape(-1, 2)
    writer = KeySetWriter(workspace.new_file(), key_bytes=16)
    writer.add(keys[order_of(keys)])
    return writer.finish()


def numbers_of(keys: KeySet) -> set[int]:
    return {int(high) for high, _ in keys.slice(0, keys.count).tolist()}


def test_both_sets_come_back(tables: StateTables, workspace: Workspace) -> None:
    given = DirectChanges(held_back=key_set(workspace, 1, 2), added_directly=key_set(workspace, 3))
    files = store_direct_changes(tables, given, before=DirectChangeFiles())
    again = fetch_direct_changes(tables, files, workspace)
    assert (numbers_of(again.held_back), numbers_of(again.added_directly)) == ({1, 2}, {3})


def test_nobody_needs_no_file(tables: StateTables, workspace: Workspace, folder: Path) -> None:
    files = store_direct_changes(tables, DirectChanges.none(workspace), before=DirectChangeFiles())
    assert files == DirectChangeFiles(held_back=KeyFile(), added_directly=KeyFile())
    assert not folder.exists()
    assert not fetch_direct_changes(tables, files, workspace)


def test_a_set_that_has_not_changed_keeps_its_file(tables: StateTables, workspace: Workspace, folder: Path) -> None:
    first = DirectChanges(held_back=key_set(workspace, 1, 2), added_directly=key_set(workspace, 3))
    before = store_direct_changes(tables, first, before=DirectChangeFiles())
    second = DirectChanges(held_back=key_set(workspace, 2, 1), added_directly=key_set(workspace, 3, 4))
    after = store_direct_changes(tables, second, before=before)
    assert after.held_back == before.held_back
    assert after.added_directly.file != before.added_directly.file, "a file is never written twice"
    names = {after.held_back.file, after.added_directly.file, before.added_directly.file}
    assert {path.name for path in folder.iterdir()} == names, "the old file goes once no manifest names it"
    assert numbers_of(fetch_direct_changes(tables, after, workspace).added_directly) == {3, 4}


def test_a_file_that_is_lost_is_an_error(tables: StateTables, workspace: Workspace, folder: Path) -> None:
    given = DirectChanges(held_back=key_set(workspace, 1), added_directly=key_set(workspace, 3))
    files = store_direct_changes(tables, given, before=DirectChangeFiles())
    (folder / files.held_back.file).unlink()
    with pytest.raises(LedgerLostError, match="is missing"):
        fetch_direct_changes(tables, files, workspace)
