"""
The large files of a state: few open files whatever the size, so that a ledger of any size is folded, and no copy of a
ledger's members.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import pytest
from support.synced import AudienceOverHttp

from airflow_provider_audiences.exceptions import LedgerLostError, StateUnavailableError, WorkspaceUnavailableError
from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.ledger import Ledger, LedgerRows
from airflow_provider_audiences.sync.state.file_store import FileStore, LocalFileStore, ObjectFileStore
from airflow_provider_audiences.sync.state.tables import StateTables

MEMBERS = 20_000
PIECE_ROWS = 32
"""More than 600 pieces a column: with an open file for each, 256 are used up."""

SCRIPT = """
import json, resource, sys
from pathlib import Path
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.keys import key_set
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient
from airflow_provider_audiences.redaction import Secret
from airflow_provider_audiences.sync.audience_sync import AudienceSync
from airflow_provider_audiences.sync.guards import Guards
from airflow_provider_audiences.sync.open_audience import open_audience
from airflow_provider_audiences.sync.settings import DeliverySettings, SyncSettings
from airflow_provider_audiences.sync.state import tables
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.lease import Holder

job = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
if job["most_bytes"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (job["most_bytes"], job["most_bytes"]))
key_set._COMPARED_KEYS = tables._PIECE_ROWS = job["piece_rows"]
delivery = DeliverySettings(batch_size=100_000, max_parallel_requests=2, max_drift=None, drift_patience_seconds=0)
guards = Guards(
    allow_empty=True, max_removed_ratio=None, max_added_ratio=None, max_removed=None, max_added=None, min_members=0,
    min_suppressed=0,
)
settings = SyncSettings.checked(
    limits=AUDIENCE_LIMITS, mode=job["mode"], ttl_seconds=100_000, refresh_before_seconds=None, next_run_seconds=None,
    initial="fail", on_lost_ledger="fail", guards=guards,
)
ids = [f"{number:08x}-6a28-11e4-bcda-{number:012x}" for number in range(*job["range"])]
try:
    with (
        AppLovinClient(api_key=Secret(job["key"]), base_url=job["url"]) as client,
        open_audience(
            AudienceDestination(client, job["audience_id"], identifier_kind=AdvertisingIds()),
            LocalFileStore(Path(job["path"])),
            holder=Holder(key="k", try_number=1),
        ) as audience,
        stage(ValuesInput(chunks=[ids]), rules=StagingRules(), identifier_kind=AdvertisingIds()) as staged,
    ):
        print(json.dumps(AudienceSync(audience, delivery_settings=delivery).run(staged, None, settings).as_dict()))
except AudienceError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


def ids(first: int, end: int) -> list[str]:
    return [f"{number:08x}-6a28-11e4-bcda-{number:012x}" for number in range(first, end)]


def sync_within_limits(
    over_http: AudienceOverHttp, first: int, end: int, *, mode: str = "mirror", most_bytes: int = 0
) -> dict[str, Any]:
    """Sync some members in a process that may have 256 files open, and perhaps none larger than so many bytes."""
    job = {
        "key": over_http.emulator.api_key,
        "url": over_http.emulator.url,
        "path": str(over_http.path),
        "audience_id": over_http.audience_id,
        "piece_rows": PIECE_ROWS,
        "range": [first, end],
        "mode": mode,
        "most_bytes": most_bytes,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(job)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_few_open_files_from_the_first_sync_on(over_http: AudienceOverHttp) -> None:
    assert sync_within_limits(over_http, 0, MEMBERS)["live"] == MEMBERS
    # The ledger is read, compared and folded again.
    report = sync_within_limits(over_http, 1_000, MEMBERS + 500)
    assert (report["added"], report["removed"], report["live"]) == (500, 1_000, MEMBERS - 500)
    assert sorted(over_http.members) == ids(1_000, MEMBERS + 500)


def test_a_sync_that_got_stuck_in_the_fold_goes_on(
    over_http: AudienceOverHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it was sent, and no try since could open enough files: this version folds it, and sends nothing."""

    def stuck(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(StateTables, "store_ledger", stuck)
        for _ in range(2):
            with pytest.raises(WorkspaceUnavailableError, match="may open no further files"):
                over_http.run(ids(0, MEMBERS), opened={"batch": 100_000, "key": "k"})
    assert len(over_http.members) == MEMBERS
    over_http.emulator.clear_requests()
    report = sync_within_limits(over_http, 0, MEMBERS)
    assert (report["batches"], report["batches_skipped_by_resume"], report["live"]) == (0, 1, MEMBERS)
    assert [request["operation"] for request in over_http.emulator.requests()] == ["applovin.list"]


def test_a_disk_that_fills_up_in_the_fold_loses_nothing(over_http: AudienceOverHttp) -> None:
    """The members are there; the next run folds what was written down, and sends nothing twice."""
    assert sync_within_limits(over_http, 0, 4_000)["live"] == 4_000
    report = sync_within_limits(over_http, 4_000, 5_000, mode="append", most_bytes=4_500 * 16)
    assert report["error"] == "StateUnavailableError"
    assert f"{over_http.path}: File too large. Make room there" in report["message"]
    assert not [name for name in over_http.folder.names() if name.endswith(".part")]
    assert sorted(over_http.members) == ids(0, 5_000)
    over_http.emulator.clear_requests()
    report = sync_within_limits(over_http, 4_000, 5_000, mode="append")
    assert (report["batches"], report["batches_skipped_by_resume"], report["live"]) == (0, 1, 5_000)
    assert [request["operation"] for request in over_http.emulator.requests()] == ["applovin.list"]


def test_a_disk_that_fills_up_before_the_first_request(over_http: AudienceOverHttp) -> None:
    report = sync_within_limits(over_http, 0, 5_000, most_bytes=50_000)
    assert report["error"] == "WorkspaceUnavailableError"
    assert over_http.members == []
    assert sync_within_limits(over_http, 0, 5_000)["live"] == 5_000


ROWS = 130_000
"""More than a row group of the file has."""
NAME = "ledger.parquet"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(StagingSettings(temp_folder=tmp_path)) as workspace:
        yield workspace


def stored_rows() -> LedgerRows:
    keys = key_order.unique(np.random.default_rng(1).integers(0, 2**64, (ROWS, 2), np.uint64)).keys
    times = np.random.default_rng(2).integers(2, 9, ROWS, np.uint32)
    return LedgerRows(keys=keys, earliest_expiry=times, latest_expiry=times + np.uint32(10))


def store(files: FileStore, workspace: Workspace) -> str:
    """Store the ledger of these rows, and return its fingerprint."""
    tables = StateTables(files, workspace, key_column="advertising_id")
    return tables.store_ledger(NAME, (rows for rows in [stored_rows()]), now=1).stored.fingerprint


def fetched(files: FileStore, workspace: Workspace, fingerprint: str) -> Ledger:
    return StateTables(files, workspace, key_column="advertising_id").ledger(NAME, fingerprint=fingerprint)


def is_as_stored(ledger: Ledger) -> bool:
    rows, stored = ledger.rows(slice(0, ROWS)), stored_rows()
    columns = ("keys", "earliest_expiry", "latest_expiry")
    return all(np.array_equal(getattr(rows, name), getattr(stored, name)) for name in columns)


def bytes_in(folder: Path) -> int:
    """Return the bytes of all files in a folder that this process has open, with or without a name."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).startswith(f"{folder}/"):
                found += entry.stat().st_size
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


def test_a_ledger_on_a_disk_is_not_copied(workspace: Workspace, tmp_path: Path) -> None:
    """Only its times are, which are small in the file and not in order there."""
    files = LocalFileStore(tmp_path / "state")
    fingerprint = store(files, workspace)
    before = bytes_in(workspace.folder)
    ledger = fetched(files, workspace, fingerprint)
    assert bytes_in(workspace.folder) - before == ROWS * 2 * 4
    assert is_as_stored(ledger)


def test_a_ledger_of_an_object_store_is_copied_once(workspace: Workspace) -> None:
    files = ObjectFileStore(fsspec.filesystem("memory"), "/test_tables/once", name="memory://once")
    fingerprint = store(files, workspace)
    before = bytes_in(workspace.folder)
    ledger = fetched(files, workspace, fingerprint)
    size = fsspec.filesystem("memory").size(f"/test_tables/once/{NAME}")
    assert bytes_in(workspace.folder) - before == size + ROWS * 2 * 4
    assert {path.name for path in workspace.folder.iterdir()} == {"lock"}, "it goes with the process"
    assert is_as_stored(ledger)


def test_a_ledger_may_be_deleted_while_it_is_used(workspace: Workspace, tmp_path: Path) -> None:
    """A sync that has taken over deletes it; this one ends when it tries to change the state."""
    files = LocalFileStore(tmp_path / "state")
    ledger = fetched(files, workspace, store(files, workspace))
    files.delete(NAME)
    assert is_as_stored(ledger)


def test_a_ledger_that_is_changed_while_it_is_used_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path / "state")
    ledger = fetched(files, workspace, store(files, workspace))
    os.truncate(tmp_path / "state" / NAME, 100_000)
    with pytest.raises(StateUnavailableError, match=f"{NAME} was changed while it was in use"):
        ledger.rows(slice(0, 10))


@pytest.mark.parametrize("place", [100, 100_000, ROWS * 16])
def test_a_ledger_with_another_member_is_lost(workspace: Workspace, tmp_path: Path, place: int) -> None:
    """The fingerprint is that of all members, whichever way they are read."""
    files = LocalFileStore(tmp_path / "state")
    fingerprint = store(files, workspace)
    with (tmp_path / "state" / NAME).open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(LedgerLostError, match=f"{NAME} is not what was written there"):
        fetched(files, workspace, fingerprint)


@pytest.mark.parametrize("options", ["COMPRESSION snappy", "COMPRESSION zstd, ROW_GROUP_SIZE 4096"])
def test_a_ledger_of_an_earlier_version_is_read_on(workspace: Workspace, tmp_path: Path, options: str) -> None:
    files = LocalFileStore(tmp_path / "state")
    fingerprint = store(files, workspace)
    path = tmp_path / "state" / NAME
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{path}') TO '{tmp_path / 'old'}' (FORMAT parquet, {options})")
    (tmp_path / "old").replace(path)
    assert is_as_stored(fetched(files, workspace, fingerprint))
