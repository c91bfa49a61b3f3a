"""Files of the temporary folder: for this user only, never to the last byte of a disk; a full folder is named."""

import errno
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import (
    InvalidInputError,
    PermanentError,
    TransientError,
    WorkspaceUnavailableError,
)
from airflow_provider_audiences.members import scratch
from airflow_provider_audiences.members.failures import failure_of_disk, is_out_of_memory, worker_failures
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile, ValuesInput
from airflow_provider_audiences.members.scratch import ScratchFile, free_bytes
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace


class SpiedFile(io.BytesIO):
    """A file of a store that tells of each read."""

    on_read: Callable[[], None]

    def read(self, size: int | None = -1, /) -> bytes:
        self.on_read()
        return super().read(size)


ID = "c3f5d2a0-6a28-11e4-bcda-0000000000"

STAGE = """
import json, resource, sys
from pathlib import Path
from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile
from airflow_provider_audiences.members.rejects import RejectsFile
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings

job = json.loads(sys.argv[1])
path = Path(job["path"])
report = Path(job["path"] + ".report")
resource.setrlimit(resource.RLIMIT_FSIZE, (job["most_bytes"], job["most_bytes"]))
file = SourceFile(name=path.name, open=lambda: path.open("rb"))
rejects = RejectsFile(name="rejects", open=lambda: report.open("wb"), file_format="csv", include_values=True)
try:
    with stage(
        FilesInput(files=[file], column=job["column"]),
        rules=StagingRules(rejects=rejects if job["rejects"] else None),
        identifier_kind=AdvertisingIds(),
        settings=StagingSettings(temp_folder=Path(job["folder"]), memory_limit="256MB"),
    ) as staged:
        print("staged", staged.members)
except AudienceError as error:
    print(type(error).__name__, error)
"""


def stage_where_files_may_not_grow(path: Path, folder: Path, *, most_bytes: int, rejects: bool = False) -> str:
    """Stage a file of a store in a process whose files may have so many bytes; return what it prints."""
    folder.mkdir()
    job = {
        "path": str(path),
        "folder": str(folder),
        "most_bytes": most_bytes,
        "column": None if ".txt" in path.name else "idfa",
        "rejects": rejects,
    }
    done = subprocess.run(
        [sys.executable, "-c", STAGE, json.dumps(job)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "nothing is left behind"
    return done.stdout


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one format each: of 300,000 members, or of as many texts that are none."""
    import duckdb

    folder = tmp_path_factory.mktemp("tables")
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE members AS SELECT format('{ID[:-10]}{{:012x}}', i) AS idfa FROM range(300_000) t(i)"
        )
        for name, options in {
            "ids.txt": "csv, HEADER false",
            "ids.csv": "csv",
            "ids.csv.gz": "csv, COMPRESSION gzip",
            "ids.jsonl.zst": "json, COMPRESSION zstd",
            "ids.parquet": "parquet",
        }.items():
            connection.execute(f"COPY members TO '{folder / name}' (FORMAT {options})")
        connection.execute(
            f"COPY (SELECT md5(i::VARCHAR) || repeat('x', 60) FROM range(100_000) t(i)) TO '{folder / 'none.txt'}' "
            "(FORMAT csv, HEADER false)"
        )
    return folder


@pytest.mark.parametrize("name", ["ids.txt", "ids.jsonl.zst", "ids.parquet"])
def test_a_file_that_may_not_grow(name: str, tables: Path, tmp_path: Path) -> None:
    """Whether it is the copy of a table that does not fit, or the members."""
    said = stage_where_files_may_not_grow(tables / name, tmp_path / "work", most_bytes=1_000_000)
    assert said.startswith(f"WorkspaceUnavailableError the temporary folder {tmp_path / 'work'} takes no more: a file ")
    assert "ulimit -f" in said
    assert "set [audiences] temp_folder to a folder on a larger disk" in said


def test_a_file_that_may_grow_enough(tables: Path, tmp_path: Path) -> None:
    said = stage_where_files_may_not_grow(tables / "ids.csv.gz", tmp_path / "work", most_bytes=10**9)
    assert said == "staged 300000\n"


def test_a_report_of_rejects_that_may_not_grow(tables: Path, tmp_path: Path) -> None:
    said = stage_where_files_may_not_grow(tables / "none.txt", tmp_path / "work", most_bytes=2_000_000, rejects=True)
    assert said.startswith(f"WorkspaceUnavailableError the temporary folder {tmp_path / 'work'} takes no more: a file ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE])
def test_what_a_worker_lacks_is_named_and_retried(number: int, tmp_path: Path, scratch: Path) -> None:
    settings = StagingSettings(temp_folder=tmp_path)
    with (
        pytest.raises(TransientError) as caught,
        stage(ValuesInput(chunks=[[]]), rules=StagingRules(), settings=settings, identifier_kind=ID_KIND),
    ):
        raise OSError(number, os.strerror(number), "/a/member")
    assert isinstance(caught.value, WorkspaceUnavailableError)
    assert caught.value.__suppress_context__
    is_of_files = number in {errno.EMFILE, errno.ENFILE}
    assert ("ulimit -n" if is_of_files else str(tmp_path)) in str(caught.value)
    assert "/a/member" not in str(caught.value)


def test_a_worker_without_memory(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnavailableError, match="no memory left"), worker_failures(tmp_path):
        bytearray(1 << 62)


def test_other_failures_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), open_workspace(StagingSettings(temp_folder=tmp_path)):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.parametrize(
    ("text", "is_full", "is_memory"),
    [
        ('IO Error: Could not write file "/tmp/x": No space left on device', True, False),
        ('IO Error: Could not write all bytes to file "x": wanted=1 wrote=0: Disk quota exceeded', True, False),
        ("IO Error: Could not write file: File too large", True, False),
        ("Out of Memory Error: failed to offload data block of size 256.0 KiB (1 GiB/1 GiB used).", True, True),
        ("Out of Memory Error: failed to allocate data of size 512.0 MiB", False, True),
        ("Binder Error: no such column", False, False),
    ],
)
def test_what_a_database_says(text: str, is_full: bool, is_memory: bool, tmp_path: Path) -> None:
    error = RuntimeError(text)
    assert (failure_of_disk(error, tmp_path) is not None) == is_full
    assert is_out_of_memory(error) == is_memory


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT error('exporting a stream failed: OSError: [Errno 24] Too many open files')", "open no further files"),
        ("SELECT error('IO Error: No space left on device')", "takes no more: it is full, or nearly so"),
        ("SELECT error('Out of Memory Error: failed to pin block')", "does not do with its memory"),
        ("SELECT 'a member'::INTEGER", r"the database of staging failed \(ConversionException\)"),
    ],
)
def test_whatever_fails_where_members_are_written_is_an_error_of_ours(
    statement: str, said: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(WorkspaceUnavailableError, match=said) as caught,
        open_workspace(StagingSettings(temp_folder=tmp_path)) as workspace,
        workspace.database_writes() as database,
    ):
        database.execute(statement).fetchall()
    assert "a member" not in str(caught.value)
    assert caught.value.__suppress_context__


class TestFreeSpace:
    """On the disk of these tests; what is free there is made to be little by what has to stay free."""

    @pytest.fixture
    def nothing_to_spare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scratch, "_KEPT_PART", 1)
        monkeypatch.setattr(scratch, "_MAX_KEPT_BYTES", 1 << 62)

    @pytest.mark.usefixtures("nothing_to_spare")
    @pytest.mark.parametrize("name", ["equal.parquet", "equal.txt.zst", "equal.csv.gz", "equal.jsonl.zst"])
    def test_a_small_file_that_unpacks_to_much(self, name: str, tmp_path: Path) -> None:
        """It is stopped while there is room left, not when there is none."""
        path = packed(tmp_path, name)
        assert path.stat().st_size < 250_000
        folder = tmp_path / "work"
        folder.mkdir()
        column = None if ".txt" in name else "idfa"
        file = SourceFile(name=name, open=lambda: path.open("rb"))
        with (
            pytest.raises(WorkspaceUnavailableError, match=f"temporary folder {folder} takes no more: it is full, or"),
            stage(
                FilesInput(files=[file], column=column),
                rules=StagingRules(),
                settings=StagingSettings(temp_folder=folder),
                identifier_kind=ID_KIND,
            ),
        ):
            pass
        assert list(folder.iterdir()) == []

    @pytest.mark.usefixtures("nothing_to_spare")
    def test_small_sources_need_nothing(self, tmp_path: Path) -> None:
        settings = StagingSettings(temp_folder=tmp_path)
        with stage(
            ValuesInput(chunks=[[f"{ID}{n:02x}" for n in range(99)]]),
            rules=StagingRules(),
            settings=settings,
            identifier_kind=ID_KIND,
        ):
            pass

    @pytest.mark.parametrize(
        ("name", "needed_of_free"),
        [("ids.txt", 9), ("ids.csv", 1.01), ("ids.csv.gz", 1.01), ("ids.jsonl.zst", 1.01), ("ids.pq", 1.01)],
    )
    def test_sizes_of_files_are_looked_at_first(self, name: str, needed_of_free: float, tmp_path: Path) -> None:
        opened = []

        def open_it() -> IO[bytes]:
            opened.append(name)
            raise AssertionError("not before the size was looked at")

        size = int((free_bytes(tmp_path) or 0) * needed_of_free)
        files = [SourceFile(name=name, open=open_it, size_bytes=size)]
        settings = StagingSettings(temp_folder=tmp_path)
        with (
            pytest.raises(WorkspaceUnavailableError, match=f"{tmp_path} has .* free, and reading source takes about"),
            stage(FilesInput(files=files), rules=StagingRules(), settings=settings, identifier_kind=ID_KIND),
        ):
            pass
        assert not opened

    @pytest.mark.parametrize("name", ["ids.txt", "ids.txt.gz", "ids.csv", "ids.parquet"])
    def test_what_lies_here_or_may_be_small_is_read(self, name: str, make_file: Callable[..., SourceFile]) -> None:
        """A text of so many bytes may be one long line, and a table on this disk needs no copy."""
        free = free_bytes(Path("/tmp")) or 0
        file = make_file(b"", name)
        sized = SourceFile(name=name, open=file.open, local_path=file.local_path, size_bytes=free)
        with stage(
            FilesInput(files=[sized], file_format=None), rules=StagingRules(), identifier_kind=ID_KIND
        ) as staged:
            assert staged.members == 0


def packed(folder: Path, name: str) -> Path:
    """Make a file of two million equal members."""
    import duckdb

    path = folder / name
    form = {"parquet": "parquet, COMPRESSION zstd"}.get(path.suffix[1:])
    form = form or {"txt": "csv, HEADER false", "csv": "csv", "jsonl": "json"}[name.split(".")[1]]
    form += {".gz": ", COMPRESSION gzip", ".zst": ", COMPRESSION zstd"}.get(path.suffix, "")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT '{ID}01' AS idfa FROM range(2_000_000)) TO '{path}' (FORMAT {form})")
    return path


class TestModes:
    @pytest.mark.parametrize("name", ["ids.csv.gz", "ids.jsonl.zst", "ids.parquet"])
    def test_all_files_are_for_this_user_only(self, name: str, tables: Path, tmp_path: Path) -> None:
        seen: dict[str, int] = {}

        def look() -> None:
            for path in tmp_path.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    seen[path.name] = stat.S_IMODE(path.stat().st_mode)

        def open_it() -> IO[bytes]:
            file = SpiedFile((tables / name).read_bytes())
            file.on_read = look
            return file

        file = SourceFile(name=name, open=open_it)
        with stage(
            FilesInput(files=[file], column="idfa"),
            rules=StagingRules(),
            settings=StagingSettings(temp_folder=tmp_path),
            identifier_kind=ID_KIND,
        ):
            look()
        assert {"lock", "table"} <= set(seen)
        assert set(seen.values()) == {0o600}

    def test_named_files_are_never_those_of_somebody_else(self, tmp_path: Path) -> None:
        (tmp_path / "theirs").write_text("kept")
        (tmp_path / "table").symlink_to(tmp_path / "theirs")
        with pytest.raises(FileExistsError):
            ScratchFile(tmp_path, "table")
        assert (tmp_path / "theirs").read_text() == "kept"


def test_a_temporary_folder_that_is_not_to_be_written(tmp_path: Path) -> None:
    settings = StagingSettings(temp_folder=tmp_path)
    tmp_path.rmdir()
    said = f"the temporary folder {tmp_path} can't be written"
    with pytest.raises(InvalidInputError, match=said) as caught, open_workspace(settings):
        pass
    assert isinstance(caught.value, PermanentError)
    tmp_path.mkdir()
