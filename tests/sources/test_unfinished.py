"""Files that are still being written: passed over in folders and patterns, here and in a store; read when named."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from support.airflow_versions import attach

from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.members.reading.inputs import FilesInput
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.sources.unfinished import is_unfinished

UNFINISHED = [
    "b.txt._COPYING_", "b.csv.part", "b.csv.PARTIAL", "b.crdownload", "b.csv.gz.tmp", "b.tmp.gz", "b.csv.temp",
    "b.parquet.inprogress", "part-0.inprogress.7c8a7e1e-0a3b-4a52-8f5e-1234567890ab", "b.filepart", "b.txt.uploading",
    "b.txt.swp", "b.txt~", "b.download", "b.csv.aria2", "b.csv_.gstmp", "b.csv.1f3A9c0D", "b.csv.lock", "b.incomplete",
    "b.writing", "b.zip.!ut", "b.tmp.1234", "~$b.xlsx", "#b.txt#", "b.in_progress", "b.part.zst", "b.opdownload",
    "b.txt.upload", "b.TMP",
]  # fmt: skip
FINISHED = [
    "a.txt", "part-00000", "part.csv", "daily_upload", "export_part", "ids.partner.csv", "tmp.csv", "template.csv",
    "users_temp", "ids.20260102", "ids.1a2b3c4d", "ids.DEADBEEF", "0000_part_00", "data_0_0_0.csv.gz", "ids.tmpl",
    "ids.parts", "download.csv", "ids.upload.csv", "a~b.txt", "part-0001-c000.snappy.parquet", "ids.part1", "lock",
]  # fmt: skip


@pytest.fixture(params=["local", "memory"])
def put(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Puts files with their own names in them, and returns the address of their folder."""
    if request.param == "local":

        def run(*names: Any) -> str:
            for name in names:
                path = tmp_path / "data" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(name)
            return str(tmp_path / "data")

        yield run
        return
    file_system = fsspec.filesystem("memory")
    attach("memory", fs=file_system)

    def pipe(*names: Any) -> str:
        for name in names:
            file_system.pipe(f"/unfinished/{tmp_path.name}/{name}", name.encode())
        return f"memory://unfinished/{tmp_path.name}"

    yield pipe
    file_system.rm("/unfinished", recursive=True)


def found(source: Any) -> list[Any]:
    with open_source(source) as files:
        assert isinstance(files, FilesInput)
        return sorted(file.open().read().decode() for file in files.files)


@pytest.mark.parametrize("name", UNFINISHED)
def test_names_of_unfinished_files(name: str) -> None:
    assert is_unfinished(name)


@pytest.mark.parametrize("name", FINISHED)
def test_names_of_finished_files(name: str) -> None:
    assert not is_unfinished(name)


def test_folders_and_patterns_pass_them_over(put: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    folder = put(*FINISHED, *UNFINISHED, "sub/c.txt", "sub/c.txt.part", "x.tmp/d.txt", "+tmp/e.txt")
    with caplog.at_level(logging.WARNING):
        assert found(folder) == found(f"{folder}/") == sorted([*FINISHED, "sub/c.txt"])
        (message, _) = (record.getMessage() for record in caplog.records)
        assert f"{len(UNFINISHED) + 3} files are still being written by the name, and passed over (" in message
        assert message.count(",") == 4
    assert found(f"{folder}/*") == found(folder)
    assert found(f"{folder}/a*") == ["a.txt", "a~b.txt"]
    assert found(f"{folder}/*/c*") == ["sub/c.txt"]


def test_one_that_is_named_is_read(put: Callable[..., str]) -> None:
    folder = put("a.txt", "b.txt._COPYING_", "c.tmp/d.txt")
    assert found(f"{folder}/b.txt._COPYING_") == ["b.txt._COPYING_"]
    assert found([f"{folder}/a.txt", f"{folder}/b.txt._COPYING_"]) == ["a.txt", "b.txt._COPYING_"]
    assert found(f"{folder}/c.tmp/") == ["c.tmp/d.txt"]
    path = ObjectStoragePath(folder if "://" in folder else f"file://{folder}")
    assert found(path / "b.txt._COPYING_") == ["b.txt._COPYING_"]


def test_a_pattern_that_asks_for_them_reads_them(put: Callable[..., str]) -> None:
    folder = put("a.txt", "b.part", "c.txt.part", "d.tmp", "x.tmp/e.txt", "_f.part")
    assert found(f"{folder}/*.part") == ["b.part", "c.txt.part"]
    assert found(f"{folder}/?.tmp") == ["d.tmp", "x.tmp/e.txt"]
    assert found(f"{folder}/*.tmp/*") == ["x.tmp/e.txt"]


@pytest.mark.parametrize("pattern", ["", "/", "/*", "/b*"])
def test_nothing_else_there(put: Callable[..., str], pattern: str) -> None:
    folder = put("b.txt.part", "b.crdownload")
    with pytest.raises(InvalidInputError, match=r"2 files are still being written by the name, and passed over \(b\."):
        found(folder + pattern)
    with pytest.raises(SourceUnavailableError, match="still being written"):
        found(FileSource(folder + pattern, on_missing="retry"))


def test_a_log_line_only_when_there_are_some(put: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    folder = put("a.txt")
    with caplog.at_level(logging.INFO):
        assert found(folder) == ["a.txt"]
    assert not caplog.records
    put("b.part")
    with caplog.at_level(logging.INFO):
        assert found(folder) == ["a.txt"]
    assert "1 file is still being written by the name, and passed over (b.part)" in caplog.text


class TestMissing:
    @pytest.mark.parametrize("below", ["/day=2/", "/day=2", "/day=2/*.csv", "/day=*/x.csv", "/a.txt/x"])
    def test_that_come_late_are_retried_if_asked_for(self, put: Callable[..., str], below: str) -> None:
        folder = put("a.txt")
        with pytest.raises(SourceUnavailableError) as error:
            found(FileSource(folder + below, on_missing="retry"))
        assert "on_missing='retry': a later try of the task looks again" in str(error.value)
        assert below in str(error.value)
        for on_missing in ("fail", " FAIL "):
            with pytest.raises(InvalidInputError):
                found(FileSource(folder + below, on_missing=cast("Any", on_missing)))

    def test_a_file_that_goes_before_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.touch()
        with open_source(FileSource(path, on_missing="retry")) as files:
            assert isinstance(files, FilesInput)
            path.unlink()
            with pytest.raises(SourceUnavailableError, match="does not exist"):
                files.files[0].open()

    def test_one_of_several(self, put: Callable[..., str]) -> None:
        folder = put("a.txt")
        with pytest.raises(SourceUnavailableError, match=r"b\.txt does not exist"):
            found(FileSource([f"{folder}/a.txt", f"{folder}/b.txt"], on_missing="retry"))

    @pytest.mark.parametrize("value", ["", "skip", None, True, "None"])
    def test_words_that_mean_nothing(self, value: str | bool | None) -> None:
        with pytest.raises(InvalidInputError, match="on_missing must be 'fail' or 'retry'"):
            found(FileSource(str(Path(__file__)), on_missing=value))  # type: ignore[arg-type]  # refused
