"""Which files a source means: one, many, folders, globs; here and in an object store."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from support.airflow_versions import attach

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.inputs import FilesInput
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sources.opening import open_source

NAMES = [
    "day=1/b.txt",
    "day=1/a b#c.txt",
    "day=1/hour=2/d.txt",
    "day=1/empty.txt",
    "day=2/e.txt",
    "day=2/ids[1].txt",
    # What writers leave beside their data:
    "day=1/_SUCCESS",
    "day=1/.a.txt.crc",
    "day=1/_temporary/0/x.txt",
    "day=1/.hidden/x.txt",
    "day=1/sub_$folder$",
    "_root/f.txt",
]
DAY_1 = ["day=1/a b#c.txt", "day=1/b.txt", "day=1/empty.txt", "day=1/hour=2/d.txt"]
DAY_2 = ["day=2/e.txt", "day=2/ids[1].txt"]


@pytest.fixture(params=["local", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder of files, each with its own name in it; and that name as its content."""
    if request.param == "memory":
        file_system = fsspec.filesystem("memory")
        attach("memory", fs=file_system)
        address = f"memory://bucket/{tmp_path.name}"
        for name in NAMES:
            file_system.pipe(f"/bucket/{tmp_path.name}/{name}", b"" if "empty" in name else name.encode())
        yield address
        file_system.rm("/bucket", recursive=True)
        return
    for name in NAMES:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else name.encode())
    yield str(tmp_path / "data") if request.param == "local" else f"file://{tmp_path}/data"


def found(source: Any) -> list[Any]:
    """The names of the files that a source means, after checking that each is the one it is called."""
    names = []
    with open_source(source) as files:
        assert isinstance(files, FilesInput)
        for file in files.files:
            with file.open() as opened:
                content = opened.read()
            assert file.open().read(3) == content[:3]
            if file.local_path is not None:
                assert file.local_path.read_bytes() == content
            assert content == b"" or file.name.endswith(content.decode())
            names.append(content.decode() or "day=1/empty.txt")
    return names


@pytest.mark.parametrize(
    ("below", "names"),
    [
        ("/day=1", DAY_1),
        ("/day=1/", DAY_1),
        ("", [*DAY_1, *DAY_2]),
        ("/day=2/e.txt", ["day=2/e.txt"]),
        ("/day=*", [*DAY_1, *DAY_2]),
        ("/day=*/", [*DAY_1, *DAY_2]),
        ("/day=?/?.txt", ["day=1/b.txt", "day=2/e.txt"]),
        ("/day=[2-9]/*.txt", DAY_2),
        ("/**/d.txt", ["day=1/hour=2/d.txt"]),
        ("/day=1/*", DAY_1),
        # Given by name they are meant.
        ("/_root", ["_root/f.txt"]),
        ("/_root/*", ["_root/f.txt"]),
        ("/_*/*.txt", ["_root/f.txt"]),
        ("/day=1/_SUCCESS", ["day=1/_SUCCESS"]),
        # No glob: there is such a file.
        ("/day=2/ids[1].txt", ["day=2/ids[1].txt"]),
    ],
)
def test_a_file_a_folder_or_a_glob(root: str, below: str, names: list[Any]) -> None:
    assert found(root + below) == names
    assert found(FileSource(f" {root}{below}\n")) == names


def test_many(root: str) -> None:
    assert found([f"{root}/day=2/e.txt", f"{root}/day=1/b.txt"]) == ["day=2/e.txt", "day=1/b.txt"]
    assert found((f"{root}/day=2", f"{root}/day=1/")) == [*DAY_2, *DAY_1]
    assert found(FileSource([f"{root}/day=2/e.txt", f"{root}/day=?/e.txt", f"{root}/day=2"])) == DAY_2


def test_path_objects(root: str) -> None:
    path = ObjectStoragePath(root if "://" in root else f"file://{root}")
    assert found(path) == [*DAY_1, *DAY_2]
    assert found([path / "day=2", f"{root}/day=1/b.txt"]) == [*DAY_2, "day=1/b.txt"]
    assert found(path / "day=2" / "e.txt") == ["day=2/e.txt"]


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("/no such", "does not exist"),
        ("/day=1/b.txt/below", "does not exist"),
        ("/no*", "no file matches it"),
        ("/day=1/sub*", "no file matches it"),
        ("/day=1/_temporary/0/none/", "does not exist"),
    ],
)
def test_what_is_not_there_is_named(root: str, below: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as refusal, open_source(root + below):
        pass
    assert f"{root}{below}" in str(refusal.value).replace("file://", "file://")
    assert said in str(refusal.value)


def test_a_folder_with_nothing_to_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(InvalidInputError, match=r"the folder has no files to read \(names that begin with _"):
        found(tmp_path)


def test_what_a_file_is_read_as_is_handed_down(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with open_source(FileSource(tmp_path / "a", column="idfa", file_format="csv")) as files:
        assert isinstance(files, FilesInput)
        assert (files.column, files.file_format) == ("idfa", "csv")
    with open_source(str(tmp_path / "a")) as files:
        assert isinstance(files, FilesInput)
        assert (files.column, files.file_format) == (None, None)
    with pytest.raises(InvalidInputError, match=r"file_format must be one of text, csv, jsonl, parquet, not 'xml'"):
        found(FileSource(tmp_path / "a", file_format="xml"))  # type: ignore[arg-type]  # refused
    with pytest.raises(
        InvalidInputError, match="column must be the name of one, not 3: a number goes with header=False"
    ):
        found(FileSource(tmp_path / "a", file_format="csv", column=3))


@pytest.mark.parametrize("path", [7, None, {"a": 1}, [None], ["/a", 7], b"/a"])
def test_what_is_no_path_is_refused(path: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"is not a path|does not exist"):
        found(FileSource(path))


def test_a_file_address_without_a_path_is_no_folder() -> None:
    with pytest.raises(InvalidInputError, match=r"file://ids\.txt: give the whole path"):
        found("file://ids.txt")


def test_an_empty_list_of_paths_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"empty list of paths"):
        found(FileSource([]))


def test_links_are_followed_and_never_in_circles(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_bytes(b"a.txt")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_bytes(b"b.txt")
    (data / "link").symlink_to(tmp_path / "other")
    (data / "round").symlink_to(data)
    assert sorted(found(data)) == ["a.txt", "b.txt"]
    os.mkfifo(data / "pipe")  # nobody would ever write into it
    assert sorted(found(data)) == ["a.txt", "b.txt"]
    (data / "broken").symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidInputError, match=r"does not exist"):
        found(data)


def test_globs_may_begin_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"a.txt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert found("*.txt") == found("./*.txt") == found("~/*.txt") == found(f"{tmp_path}/*") == ["a.txt"]


def test_a_file_that_is_gone_when_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    with open_source(path) as files:
        assert isinstance(files, FilesInput)
        path.unlink()
        with pytest.raises(InvalidInputError, match=r"a\.txt does not exist"):
            files.files[0].open()


def test_whatever_opens_is_a_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("ids.txt", "ids.txt")
        with open_source(zipfile.Path(archive, "ids.txt")) as files:
            assert isinstance(files, FilesInput)
            (file,) = files.files
            assert file.open().read() == b"ids.txt"


def test_a_store_whose_package_is_not_whole_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> Any:
        raise ImportError("Airflow FS S3 protocol requires the s3fs library")

    monkeypatch.setattr(ObjectStoragePath, "fs", property(broken))
    with pytest.raises(InvalidInputError, match=r"install the provider package that serves s3://, with its extra"):
        found("s3://bucket/ids.txt")


def test_what_is_shown_of_a_file_has_no_secret(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/bucket/ids.txt", b"x")
    attach("memory", conn_id="me:sesame", fs=fsspec.filesystem("memory"))
    with open_source("memory://me:sesame@bucket/ids.txt") as files:
        assert isinstance(files, FilesInput)
        assert files.files[0].name == "memory://me:***@bucket/ids.txt"
        assert "sesame" not in repr(files)


def test_paths_of_pathlib_are_local(tmp_path: Path) -> None:
    with open_source(Path(tmp_path)) if list(tmp_path.iterdir()) else open_source([__file__]) as files:
        assert isinstance(files, FilesInput)
        assert files.files[0].local_path == Path(__file__)
