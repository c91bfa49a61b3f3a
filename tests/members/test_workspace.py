"""The folder of staging: private, gone after whatever happened, and not taken from anybody who uses it."""

import io
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fixtures import MakeIds
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.inputs import (
    FilesInput,
    FrameInput,
    MemberInput,
    SourceFile,
    ValuesInput,
)
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace

ID = str(uuid.uuid4())


def in_store(content: bytes, name: str) -> SourceFile:
    return SourceFile(name=name, open=lambda: io.BytesIO(content))


def run(source: MemberInput, *, settings: StagingSettings | None = None, **rules: Any) -> None:
    with stage(source, rules=StagingRules(**rules), settings=settings, identifier_kind=ID_KIND):
        pass


def start(script: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


class TestGone:
    def test_after_success(self, scratch: Path) -> None:
        with stage(ValuesInput(chunks=[[ID]]), rules=StagingRules(), identifier_kind=ID_KIND) as staged:
            (folder,) = scratch.iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.stat().st_uid == os.getuid()
            assert staged.lines(0, 1) == f"{ID}\n".encode()
        assert list(scratch.iterdir()) == []

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_after_a_failure_in_the_block(self, error: type[BaseException], scratch: Path) -> None:
        with pytest.raises(error), stage(ValuesInput(chunks=[[ID]]), rules=StagingRules(), identifier_kind=ID_KIND):
            raise error
        assert list(scratch.iterdir()) == []

    @pytest.mark.parametrize("rules", [{"on_malformed": "fail"}, {"max_malformed_ratio": 0.0}])
    def test_after_a_refusal(self, rules: dict[str, Any], scratch: Path) -> None:
        with pytest.raises(InvalidInputError):
            run(ValuesInput(chunks=[[ID, "x"]]), **rules)
        assert list(scratch.iterdir()) == []

    @pytest.mark.parametrize("error", [OSError("the share is gone"), KeyboardInterrupt(), SystemExit(1)])
    @pytest.mark.parametrize("count", [1, 300_000])
    def test_after_a_source_that_breaks(self, error: BaseException, count: int, scratch: Path) -> None:
        def chunks() -> Iterator[list[str]]:
            for _ in range(5):
                yield [ID] * count
            raise error

        with pytest.raises(type(error)):
            run(ValuesInput(chunks=chunks()))
        assert list(scratch.iterdir()) == []

    @pytest.mark.parametrize(
        "source",
        [
            FilesInput(files=[in_store(b"\x1f\x8bxx", "f.gz")]),
            FilesInput(files=[in_store(b"PAR1", "f.parquet")]),
            FilesInput(files=[in_store(b'{"idfa', "f.jsonl")]),
            FilesInput(files=[in_store(b"a,b\n1,2\n", "f.csv")]),
            FilesInput(files=[in_store(ID.encode(), "f.csv")]),
            FrameInput(frame=object()),
            ValuesInput(chunks=[[7]]),
        ],
    )
    def test_after_a_source_that_cannot_be_read(self, source: MemberInput, scratch: Path) -> None:
        with pytest.raises(InvalidInputError):
            run(source)
        assert list(scratch.iterdir()) == []

    def test_of_two_at_once_only_one(self, scratch: Path) -> None:
        with stage(ValuesInput(chunks=[[ID]]), rules=StagingRules(), identifier_kind=ID_KIND) as outer:
            with stage(
                ValuesInput(chunks=[[ID, str(uuid.uuid4())]]), rules=StagingRules(), identifier_kind=ID_KIND
            ) as inner:
                assert len(list(scratch.iterdir())) == 2
                assert inner.members == 2
            assert len(list(scratch.iterdir())) == 1
            assert outer.lines(0, 9) == f"{ID}\n".encode()
        assert list(scratch.iterdir()) == []


HOLD = """
import sys
from pathlib import Path
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings

def chunks():
    for start in range(0, 3_000_000, 500_000):
        yield [f"{number:08x}-0000-0000-0000-000000000001" for number in range(start, start + 500_000)]
        if start == 1_500_000:
            print("ready", flush=True)
            sys.stdin.readline()

with stage(
    ValuesInput(chunks=chunks()), rules=StagingRules(), identifier_kind=AdvertisingIds(),
    settings=StagingSettings(temp_folder=Path(sys.argv[1])),
) as staged:
    batches = [staged.lines(first, 100_000) for first in range(0, staged.members, 100_000)]
    print(staged.members, len(set(b"".join(batches).split())), flush=True)
"""


class TestAbandoned:
    def test_what_a_killed_process_leaves_is_removed_by_the_next(self, tmp_path: Path) -> None:
        settings = StagingSettings(temp_folder=tmp_path)
        killed, living = start(HOLD, str(tmp_path)), start(HOLD, str(tmp_path))
        with killed, living:
            try:
                assert killed.stdout is not None
                assert living.stdout is not None
                assert killed.stdout.readline() == living.stdout.readline() == "ready\n"
                before = set(tmp_path.iterdir())
                assert len(before) == 2
                killed.send_signal(signal.SIGKILL)
                killed.wait()
                assert set(tmp_path.iterdir()) == before
                with open_workspace(settings) as workspace:
                    (others,) = set(tmp_path.iterdir()) - {workspace.folder}
                    assert others in before
                # The one that lives did not notice.
                out, err = living.communicate("go on\n", timeout=60)
                assert (out, living.returncode) == ("3000000 3000000\n", 0), err
            finally:
                killed.kill()
                living.kill()
        assert list(tmp_path.iterdir()) == []

    def test_sigterm_as_airflow_sends_it(self, tmp_path: Path) -> None:
        """Airflow turns the signal into an exception; so does this."""
        handler = (
            "import signal\ndef stop(*_):\n    raise RuntimeError('terminated')\nsignal.signal(signal.SIGTERM, stop)\n"
        )
        with start(handler + HOLD, str(tmp_path)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.terminate()
            _, err = process.communicate(timeout=60)
        assert "terminated" in err
        assert list(tmp_path.iterdir()) == []

    def test_others_folders_are_left_alone(self, tmp_path: Path) -> None:
        kept = [tmp_path / "audiences-staging-new", tmp_path / "other", tmp_path / "audiences-staging"]
        for folder in kept:
            folder.mkdir()
        (tmp_path / "other" / "lock").touch()
        (tmp_path / "audiences-staging-file").touch()
        abandoned = tmp_path / "audiences-staging-old"
        (abandoned / "deep" / "er").mkdir(parents=True)
        (abandoned / "lock").touch()
        with open_workspace(StagingSettings(temp_folder=tmp_path)):
            assert not abandoned.exists()
        assert set(tmp_path.iterdir()) == {*kept, tmp_path / "audiences-staging-file"}

    def test_many_that_begin_at_once_do_not_remove_each_other(self, tmp_path: Path) -> None:
        script = """
import sys
from pathlib import Path
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
print("ready", flush=True)
sys.stdin.readline()
for _ in range(400):
    with open_workspace(StagingSettings(temp_folder=Path(sys.argv[1]))) as workspace:
        (workspace.folder / "file").write_text("x")
        assert (workspace.folder / "file").read_text() == "x"
"""
        processes = [start(script, str(tmp_path)) for _ in range(6)]
        try:
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            errors = [process.communicate(timeout=60)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert errors == [""] * 6
        assert list(tmp_path.iterdir()) == []


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("256MB", 256_000_000), ("512mb", 512_000_000), (" 2GB ", 2_000_000_000), ("1.5 GB", 1_500_000_000),
            ("0.5GiB", 2**29), ("300000KB", 300_000_000), ("1024 MiB", 2**30), ("262144KiB", 2**28),
        ],
    )  # fmt: skip
    def test_memory_limit(self, text: str, size: int) -> None:
        assert StagingSettings(memory_limit=text).memory_limit_bytes == size

    @pytest.mark.parametrize(
        "limit",
        [
            "", "512", "MB", "512 M", "1TB", "-1GB", "1e9KB", "1,5GB", "512MB;", "\uff15\uff11\uff12MB",
            "9" * 400 + "GB", 512, 512.0, None, True, b"512MB",
        ],
    )  # fmt: skip
    def test_what_is_no_memory_limit(self, limit: Any) -> None:
        with pytest.raises(InvalidInputError, match="memory_limit must be a number with a unit, such as '512MB'"):
            StagingSettings(memory_limit=limit)

    @pytest.mark.parametrize("limit", ["255MB", "0GB", "0.2GB", "244MiB"])
    def test_too_little_memory(self, limit: str) -> None:
        with pytest.raises(InvalidInputError, match="memory_limit must be at least 256MB"):
            StagingSettings(memory_limit=limit)

    def test_temp_folder_is_used(self, tmp_path: Path, scratch: Path) -> None:
        folder = tmp_path / "it's a [folder]*"
        folder.mkdir()
        source = FilesInput(files=[in_store(f"idfa\n{ID}\n".encode(), "f.csv")])
        with stage(
            source, rules=StagingRules(), settings=StagingSettings(temp_folder=folder), identifier_kind=ID_KIND
        ) as staged:
            assert staged.members == 1
            assert len(list(folder.iterdir())) == 1
        assert list(folder.iterdir()) == list(scratch.glob("audiences*")) == []

    def test_temp_folder_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for path in (tmp_path / "missing", tmp_path / "file"):
            with pytest.raises(InvalidInputError, match="is no folder on this worker: make it"):
                StagingSettings(temp_folder=path)


EXHAUST = """
import resource, sys, time, traceback
from pathlib import Path
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile, ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings

folder, count, file_size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def chunks():
    for start in range(0, count, 100_000):
        numbers = range(start, start + 100_000)
        yield [f"{number * 2654435761 % 2**32:08x}-5ec7-5ec7-5ec7-{number:012x}" for number in numbers]

if file_size:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
try:
    with stage(
        ValuesInput(chunks=chunks()), rules=StagingRules(), identifier_kind=AdvertisingIds(),
        settings=StagingSettings(temp_folder=folder, memory_limit="256MB"),
    ) as staged:
        size = 100_000
        found = sum(staged.lines(first, size).count(b"\\n") for first in range(0, staged.members, size))
        print(staged.members, found)
except BaseException as error:
    print(type(error).__name__, str(folder) in str(error))
    traceback.print_exc()
    sys.exit(1)
"""


class TestExhaustion:
    def test_more_members_than_fit_into_memory(self, tmp_path: Path) -> None:
        with start(EXHAUST, str(tmp_path), "3000000", "0") as process:
            out, err = process.communicate(timeout=120)
        assert (out, process.returncode) == ("3000000 3000000\n", 0), err
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("file_size", [1_000_000, 17_000_000, 40_000_000, 47_999_999])
    def test_a_disk_that_fills_up_is_an_error_and_nothing_stays(self, file_size: int, tmp_path: Path) -> None:
        """Files that must not grow any more fail as those on a full disk do."""
        with start(EXHAUST, str(tmp_path), "3000000", str(file_size)) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 1, out
        assert out == "WorkspaceUnavailableError True\n", err
        assert "a file there may not grow so large" in err
        assert "5ec7-5ec7" not in err
        assert list(tmp_path.iterdir()) == []


def test_the_system_limits_of_this_process_are_untouched() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_old_workspaces_cost_no_time(tmp_path: Path, make_ids: MakeIds) -> None:
    """A folder that was just made, without a lock yet, is nobody's to wait for."""
    for number in range(200):
        (tmp_path / f"audiences-staging-{number}").mkdir()
    began = time.monotonic()
    run(ValuesInput(chunks=[make_ids(10)]), settings=StagingSettings(temp_folder=tmp_path))
    assert time.monotonic() - began < 10
