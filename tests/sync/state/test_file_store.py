"""Folders of state on a disk, in memory and in a real S3 server: the same promises."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from airflow_provider_audiences.exceptions import InvalidInputError, StateUnavailableError
from airflow_provider_audiences.sync.state.file_store import FileStore, LocalFileStore, ObjectFileStore

KINDS = ["local", "memory", "s3"]
MEGABYTE = 10**6
SECRET = "sesame-key"


@pytest.fixture(params=KINDS)
def open_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., FileStore]:
    """Opens a folder, as each process does for itself: ``open_folder(name)``; nothing was ever written to it."""
    base = uuid.uuid4().hex

    def make(name: str = "audience") -> FileStore:
        if request.param == "local":
            return LocalFileStore(tmp_path / "base" / name)
        options = request.getfixturevalue("s3_options") if request.param == "s3" else {}
        # Not the instance that others have: what one lists must not hide what another wrote.
        file_system = fsspec.filesystem(request.param, skip_instance_cache=True, **options)
        return ObjectFileStore(file_system, f"/state/{base}/{name}".lstrip("/"), name=f"{request.param}://state/{name}")

    return make


@pytest.fixture
def folder(open_folder: Callable[..., FileStore]) -> FileStore:
    return open_folder()


# All of them


def test_folders_are_told_from_files(open_folder: Callable[..., LocalFileStore | ObjectFileStore]) -> None:
    above = open_folder("above")
    assert above.folders() == []
    above.write("file", b"")
    open_folder("above/one").write("file", b"")
    open_folder("above/two/deep").write("file", b"")
    assert sorted(above.folders()) == ["one", "two"]
    assert open_folder("above/two").folders() == ["deep"]
    assert open_folder("above/one").folders() == []


def test_one_writer_only_creates_a_file(open_folder: Callable[..., FileStore]) -> None:
    """Of many that try at the same moment, and of those that come later; what is there stays as it is."""
    made, refused = [], []
    start = threading.Barrier(8, timeout=30)
    folders = [open_folder() for _ in range(8)]

    def create(number: int) -> None:
        folder = folders[number]
        start.wait()
        for name in ("head-1.json", "head-2.json", "head-3.json"):
            try:
                folder.create(name, str(number).encode())
                made.append((name, number))
            except FileExistsError:
                refused.append(name)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = open_folder()
    assert len(refused) == 21
    assert {(name, int(folder.read(name))) for name in folder.names()} == set(made)
    with pytest.raises(FileExistsError):
        folder.create("head-2.json", b"late")
    assert {(name, int(folder.read(name))) for name in folder.names()} == set(made)
    folder.delete("head-2.json")
    folder.create("head-2.json", b"9")
    assert folder.read("head-2.json") == b"9"


def test_a_create_whose_reply_was_lost(s3_options: dict[str, Any]) -> None:
    """The store has made the file, and says nothing: who asks again learns that it is there."""
    file_system = fsspec.filesystem("s3", skip_instance_cache=True, **s3_options)
    folder = ObjectFileStore(file_system, f"/state/{uuid.uuid4().hex}", name="s3://state")
    pipe_file = file_system.pipe_file

    def silent(*args: Any, **kwargs: Any) -> None:
        pipe_file(*args, **kwargs)
        raise TimeoutError("no reply in time")

    file_system.pipe_file = silent
    with pytest.raises(FileExistsError):
        folder.create("head-1.json", b"1")
    assert folder.read("head-1.json") == b"1"


def test_a_file_system_that_looks_first_is_not_trusted(tmp_path: Path) -> None:
    """Most file systems of fsspec look whether a name is free, and write then: two may do so at once."""
    folder = ObjectFileStore(
        fsspec.filesystem("dir", path=str(tmp_path), fs=fsspec.filesystem("file")), "/a", name="dir"
    )
    with pytest.raises(NotImplementedError):
        folder.create("head-1.json", b"1")


def test_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    folder = LocalFileStore(tmp_path / "state")
    with pytest.raises(NotImplementedError):
        folder.create("head-1.json", b"1")
    assert folder.names() == []


def test_a_link_whose_reply_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system repeats a request, and finds what the first one has made."""
    link = os.link

    def twice(*args: Any, **kwargs: Any) -> None:
        link(*args, **kwargs)
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", twice)
    folder = LocalFileStore(tmp_path / "state")
    folder.create("head-1.json", b"1")
    assert (folder.names(), folder.read("head-1.json")) == (["head-1.json"], b"1")
    with pytest.raises(FileExistsError):
        folder.create("head-1.json", b"2")
    assert (folder.names(), folder.read("head-1.json")) == (["head-1.json"], b"1")


def store(folder: FileStore, name: str, content: bytes, tmp_path: Path) -> None:
    """Store a large file, of which others see nothing while it is written."""
    before = sorted(folder.names())

    def write(path: Path) -> None:
        assert path.read_bytes() == b""
        assert mode_of(path) == 0o600
        path.write_bytes(content)
        assert [name for name in sorted(folder.names()) if not name.endswith(".part")] == before

    folder.store(name, write, scratch=tmp_path / "made")


@pytest.mark.parametrize("error", [RuntimeError("the fold failed"), KeyboardInterrupt(), InvalidInputError("no")])
def test_a_large_file_whose_content_is_not_finished(folder: FileStore, tmp_path: Path, error: BaseException) -> None:
    """What made it says why, in its own words; nothing of it stays, here and there."""

    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)) as caught:
        folder.store("ledger-1.parquet", write, scratch=tmp_path / "made")
    assert caught.value is error
    assert folder.names() == []
    assert not (tmp_path / "made").exists()


def test_files(folder: FileStore) -> None:
    assert folder.names() == []
    folder.write("head.json", b"one")
    folder.write("plan-1.json", b"")
    assert sorted(folder.names()) == ["head.json", "plan-1.json"]
    assert (folder.read("head.json"), folder.read("plan-1.json")) == (b"one", b"")
    folder.write("head.json", b"two, and longer")
    assert folder.read("head.json") == b"two, and longer"
    folder.write("head.json", b"3")
    assert folder.read("head.json") == b"3"
    folder.delete("plan-1.json")
    assert folder.names() == ["head.json"]
    folder.delete("plan-1.json")
    folder.delete("head.json")
    assert folder.names() == []


def test_what_is_not_there(folder: FileStore, tmp_path: Path) -> None:
    for written in ([], ["other"]):
        for name in written:
            folder.write(name, b"x")
        with pytest.raises(FileNotFoundError):
            folder.read("head.json")
        with pytest.raises(FileNotFoundError):
            folder.fetch("head.json", tmp_path / "copy")
        assert not os.path.lexists(tmp_path / "copy")
        folder.delete("head.json")
        assert folder.names() == written


def test_whole_files(folder: FileStore, tmp_path: Path) -> None:
    content = os.urandom(3 * MEGABYTE)
    store(folder, "ledger-1.parquet", content, tmp_path)
    assert not (tmp_path / "made").exists()
    folder.fetch("ledger-1.parquet", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == folder.read("ledger-1.parquet") == content
    (tmp_path / "fetched").unlink()
    assert folder.read("ledger-1.parquet") == content, "what was fetched may go"
    store(folder, "ledger-1.parquet", b"", tmp_path)
    assert folder.read("ledger-1.parquet") == b""
    assert folder.names() == ["ledger-1.parquet"]


def test_others_see_it_at_once(open_folder: Callable[..., FileStore]) -> None:
    """Two processes: each has looked before, so that a listing that is kept would be an old one."""
    one, other = open_folder(), open_folder()
    assert one.names() == other.names() == []
    one.write("lease-1.json", b"1")
    assert other.names() == ["lease-1.json"]
    other.write("lease-2.json", b"2")
    assert sorted(one.names()) == ["lease-1.json", "lease-2.json"]
    other.write("lease-1.json", b"11")
    assert one.read("lease-1.json") == b"11"
    other.delete("lease-1.json")
    assert one.names() == ["lease-2.json"]
    with pytest.raises(FileNotFoundError):
        one.read("lease-1.json")


def test_neighbours_are_not_confused(open_folder: Callable[..., FileStore]) -> None:
    one, other, third = open_folder("a1"), open_folder("a10"), open_folder("a%2F[b] 'c'?#*")
    one.write("head.json", b"1")
    other.write("head.json", b"10")
    third.write("head.json", b"c")
    assert one.names() == other.names() == third.names() == ["head.json"]
    one.delete("head.json")
    assert (one.names(), other.read("head.json"), third.read("head.json")) == ([], b"10", b"c")


@pytest.mark.parametrize(("open_folder", "times"), [("local", 200), ("s3", 30)], indirect=["open_folder"])
def test_no_reader_ever_sees_a_part(open_folder: Callable[..., FileStore], times: int) -> None:
    writer, reader = open_folder(), open_folder()
    writer.write("head.json", b"." * MEGABYTE)
    has_ended = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not has_ended.is_set():
            content = reader.read("head.json")
            seen.add(content[:1] if content == content[:1] * MEGABYTE else b"a part")

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(times):
        writer.write("head.json", bytes([number % 10 + 48]) * MEGABYTE)
    has_ended.set()
    thread.join()
    assert seen - {b"."} <= {bytes([48 + digit]) for digit in range(10)}
    assert len(seen) > 1
    assert reader.names() == ["head.json"]


# A disk


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalFileStore]:
    before = os.umask(0)
    yield LocalFileStore(tmp_path / "a" / "b")
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_may_look(local: LocalFileStore, tmp_path: Path) -> None:
    local.write("head.json", b"1")
    store(local, "ledger.parquet", b"x", tmp_path)
    assert mode_of(tmp_path / "a" / "b") == 0o700
    for _ in range(2):
        assert [mode_of(tmp_path / "a" / "b" / name) for name in ("head.json", "ledger.parquet")] == [0o600] * 2
        local.write("head.json", b"2")
        store(local, "ledger.parquet", b"x", tmp_path)


def test_what_was_left_unfinished_has_another_name(local: LocalFileStore, tmp_path: Path) -> None:
    local.write("head.json", b"1")
    (tmp_path / "a" / "b" / "ledger-2.parquet-00ff.part").write_bytes(b"half")
    assert sorted(local.names()) == ["head.json", "ledger-2.parquet-00ff.part"]
    local.delete("ledger-2.parquet-00ff.part")
    assert local.names() == ["head.json"]


def test_a_write_that_fails_leaves_all_as_it_was(local: LocalFileStore, tmp_path: Path) -> None:
    local.write("head.json", b"1")
    (tmp_path / "a" / "b" / "plan").mkdir()
    (tmp_path / "a" / "b" / "plan" / "x").touch()
    with pytest.raises(StateUnavailableError, match="Is a directory"):
        local.write("plan", b"2")
    with pytest.raises(StateUnavailableError):
        local.store("head.json", lambda _: (tmp_path / "a").write_bytes(b"3"), scratch=tmp_path / "made")
    assert local.read("head.json") == b"1"
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["head.json", "plan"]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_the_end(
    local: LocalFileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut can't be tried here: what is told to the disk is written down, and then done."""
    told: list[tuple[str, bool]] = []
    really_sync = os.fsync

    def sync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        told.append((kind, (tmp_path / "a" / "b" / "head.json").exists()))
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    local.write("head.json", b"1")
    assert told == [("file", False), ("folder", True)]


WRITER = """
import itertools, sys
from pathlib import Path
from airflow_provider_audiences.sync.state.file_store import LocalFileStore

folder = LocalFileStore(Path(sys.argv[1]))
for number in itertools.count():
    folder.write("head.json", str(number % 10).encode() * 3_000_000)
    if number == 3:
        print("at work", flush=True)
"""


@pytest.mark.parametrize("number", range(3))
def test_a_writer_that_is_killed(number: int, tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "state")], stdout=subprocess.PIPE)
    assert writer.stdout
    with writer.stdout:
        assert writer.stdout.readline() == b"at work\n"
        threading.Event().wait(0.01 * number)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(30) == -signal.SIGKILL
    folder = LocalFileStore(tmp_path / "state")
    assert all(name == "head.json" or name.startswith("head.json-") for name in folder.names())
    content = folder.read("head.json")
    assert content == content[:1] * 3_000_000
    folder.write("head.json", b"next")
    assert folder.read("head.json") == b"next"


# Places that fail


def calls(folder: FileStore, tmp_path: Path) -> dict[str, Callable[[], object]]:
    return {
        "names": folder.names,
        "read": lambda: folder.read("head.json"),
        "write": lambda: folder.write("head.json", b"x"),
        "fetch": lambda: folder.fetch("head.json", tmp_path / "copy"),
        "store": lambda: store(folder, "head.json", b"x", tmp_path),
        "delete": lambda: folder.delete("head.json"),
    }


METHODS = ["names", "read", "write", "fetch", "store", "delete"]


@pytest.mark.parametrize("method", METHODS)
def test_a_disk_that_fails(method: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailableError) as caught:
        calls(LocalFileStore(tmp_path / "file" / "state"), tmp_path)[method]()
    assert str(caught.value).startswith(f"{tmp_path}/file/state: Not a directory. Check [audiences] state_path")


@pytest.mark.parametrize("method", ["write", "store"])
def test_a_folder_that_goes_while_it_is_written_to(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the place that failed: no file is missing that somebody asked for."""
    really_sync = os.fsync

    def sync(descriptor: int) -> None:
        really_sync(descriptor)
        shutil.rmtree(tmp_path / "state")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(StateUnavailableError, match="No such file or directory"):
        calls(LocalFileStore(tmp_path / "state"), tmp_path)[method]()


class Broken:
    """A store that is out of order, and whose errors say too much."""

    def invalidate_cache(self) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError(f"SignatureDoesNotMatch: {SECRET}")

        return fail


@pytest.mark.parametrize("method", METHODS)
def test_a_store_that_fails(method: str, tmp_path: Path) -> None:
    folder = ObjectFileStore(Broken(), "state/a/", name="s3://state/a")
    with pytest.raises(StateUnavailableError) as caught:
        calls(folder, tmp_path)[method]()
    assert str(caught.value).startswith("s3://state/a: RuntimeError. Check [audiences] state_path")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("method", ["write", "store"])
def test_a_bucket_that_does_not_exist(method: str, s3_options: dict[str, Any], tmp_path: Path) -> None:
    folder = ObjectFileStore(fsspec.filesystem("s3", **s3_options), "no-such-bucket/a", name="s3://no-such-bucket/a")
    with pytest.raises(StateUnavailableError, match=r"^s3://no-such-bucket/a: "):
        calls(folder, tmp_path)[method]()


@pytest.mark.parametrize("method", METHODS)
def test_a_store_that_nobody_reaches(method: str, s3_options: dict[str, Any], tmp_path: Path) -> None:
    config = {"connect_timeout": 1, "retries": {"max_attempts": 0}}
    options = s3_options | {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": config}
    file_system = fsspec.filesystem("s3", skip_instance_cache=True, **options)
    file_system.retries = 1
    with pytest.raises(StateUnavailableError, match=r"^s3://state/a: "):
        calls(ObjectFileStore(file_system, "state/a", name="s3://state/a"), tmp_path)[method]()


def test_a_prefix_that_a_console_made(s3_options: dict[str, Any]) -> None:
    """It is an object of its own, which is no file of ours."""
    file_system = fsspec.filesystem("s3", skip_instance_cache=True, **s3_options)
    file_system.pipe_file("state/console/a/", b"")
    folder = ObjectFileStore(file_system, "state/console/a", name="s3://state/console/a")
    assert folder.names() == []
    folder.write("head.json", b"1")
    assert folder.names() == ["head.json"]


def test_a_wrong_option_of_a_stores_connection_is_a_mistake(s3_options: dict[str, Any]) -> None:
    """It shows at the first call only; no later try mends it."""
    options = s3_options | {"client_kwargs": {**s3_options["client_kwargs"], "regoin": "eu"}}
    file_system = fsspec.filesystem("s3", skip_instance_cache=True, **options)
    folder = ObjectFileStore(file_system, "/state/x", name="s3://state/x")
    for call in (folder.names, lambda: folder.write("a", b"1"), lambda: folder.create("a", b"1")):
        with pytest.raises(InvalidInputError, match="it takes no option regoin") as caught:
            call()
        assert SECRET not in str(caught.value)
