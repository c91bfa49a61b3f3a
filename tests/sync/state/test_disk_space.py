"""Room for the end of a sync: it is asked for before the first request."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import StateUnavailableError, WorkspaceUnavailableError
from airflow_provider_audiences.members import workspace as workspace_module
from airflow_provider_audiences.members.scratch import free_bytes
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.state.disk_space import DiskSpace
from airflow_provider_audiences.sync.state.file_store import LocalFileStore, ObjectFileStore

OTHER_DISK = Path("/dev/shm")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(StagingSettings(temp_folder=tmp_path)) as workspace:
        yield workspace


def content_of(path: Path, bytes_each: float) -> int:
    """Return for how many members there is just no room any more."""
    return int((free_bytes(path) or 0) / bytes_each * 1.1)


def test_there_is_enough(workspace: Workspace, tmp_path: Path) -> None:
    for folder in (LocalFileStore(tmp_path / "not" / "there" / "yet"), ObjectFileStore(None, "a/b", name="s3://a/b")):
        DiskSpace(folder, workspace).require(1_000)
    assert not (tmp_path / "not").exists()


def test_too_little_in_the_temporary_folder(workspace: Workspace, tmp_path: Path) -> None:
    in_store = DiskSpace(ObjectFileStore(None, "a/b", name="s3://a/b"), workspace)
    members = content_of(tmp_path, 16)
    with pytest.raises(WorkspaceUnavailableError) as caught:
        in_store.require(members)
    assert f"{tmp_path} has " in str(caught.value)
    assert f"MB free, and a ledger of {members:,} members takes about " in str(caught.value)
    assert "nothing was sent" in str(caught.value)


def test_too_little_for_the_state(workspace: Workspace, tmp_path: Path) -> None:
    """The ledger is written there alone: room in the temporary folder is no matter."""
    assert OTHER_DISK.stat().st_dev != tmp_path.stat().st_dev
    with pytest.raises(StateUnavailableError) as caught:
        DiskSpace(LocalFileStore(OTHER_DISK / "audiences" / "a"), workspace).require(content_of(OTHER_DISK, 16))
    assert f"{OTHER_DISK} has " in str(caught.value)
    assert "move [audiences] state_path with all that it holds to a larger disk" in str(caught.value)


@pytest.mark.parametrize("works", ["sync", "apply"])
def test_nothing_is_sent_without_room(works: str, synced: SyncedAudience, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"{number:08x}-6a28-11e4-bcda-{number:012x}" for number in range(3)]
    plan_id = synced.run(ids, plan_only=True).plan_id
    with monkeypatch.context() as patch:
        # The folder of these tests is none of a disk, so that the ledger would be made in the temporary folder.
        patch.setattr(workspace_module, "free_bytes", lambda _place: 2 * 16)
        with pytest.raises(WorkspaceUnavailableError, match="nothing was sent"):
            synced.apply(plan_id) if works == "apply" else synced.run(ids)
    assert synced.wire.posts == []
    assert synced.run(ids).added == 3
