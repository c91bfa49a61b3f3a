"""Where members may come from, through an operator; and that nothing is sent when a source is wrong."""

import contextlib
import gzip
import io
import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from support.airflow_versions import attach
from support.fixtures import AsBody, Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinUpdateAudienceOperator,
)
from airflow_provider_audiences.sources import FileSource, SqlSource


@pytest.fixture(autouse=True)
def _connected(connect: Connect) -> None:
    """All of these tests talk to the emulator."""


@pytest.fixture
def send(make_audience: MakeAudience, task_context: MakeContext, emulator: AudiencesEmulator) -> Callable[..., Any]:
    """Appends a source to a new audience and returns the members that arrived."""

    def run(source: Any) -> Any:
        audience_id = make_audience(uuid.uuid4().hex)
        operator = AppLovinAppendUsersOperator(task_id="append", audience_id=audience_id, source=source)
        operator.execute(task_context())
        return emulator.members(audience_id)

    return run


@pytest.fixture
def refused(task_context: MakeContext, emulator: AudiencesEmulator) -> Callable[..., str]:
    """Appends a source and returns the text of the refusal."""

    def run(source: Any) -> str:
        operator = AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=source)
        with pytest.raises(InvalidInputError) as refusal:
            operator.execute(task_context())
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []
        return str(refusal.value)

    return run


@pytest.fixture
def file(tmp_path: Path, make_ids: MakeIds, as_body: AsBody) -> Any:
    path = tmp_path / "my ids.txt"
    path.write_bytes(as_body(make_ids(5)))
    return path


@pytest.mark.parametrize(
    "of",
    [
        list,
        tuple,
        set,
        iter,
        lambda ids: (item for item in ids),
        lambda ids: [item.encode() for item in ids],
        lambda ids: [uuid.UUID(item) for item in ids],
        lambda ids: [*ids, None],
    ],
    ids=["list", "tuple", "set", "iterator", "generator", "bytes", "uuid", "with-none"],
)
def test_members_may_be_given_themselves(send: Callable[..., Any], make_ids: MakeIds, of: Any) -> None:
    assert send(of(make_ids(5))) == make_ids(5)


class _Entry:
    """A path that is neither text nor pathlib's, as os.scandir gives them."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize(
    "of",
    [
        str,
        lambda path: f"  {path}\n",
        lambda path: path,
        _Entry,
        lambda path: path.as_uri(),
        lambda path: f"file://{path}",
        lambda path: ObjectStoragePath(f"file://{path}"),
        lambda path: ObjectStoragePath(path.as_uri().replace("%20", " ")),
    ],
    ids=["text", "text-with-space", "path", "pathlike", "uri", "file-url", "object-path", "object-path-2"],
)
def test_members_may_be_in_a_local_file(send: Callable[..., Any], file: Any, make_ids: MakeIds, of: Any) -> None:
    assert send(of(file)) == make_ids(5)


def test_a_path_may_begin_at_home(
    send: Callable[..., Any], file: Any, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    assert send(f"~/{file.name}") == make_ids(5)


def test_a_path_may_be_relative(
    send: Callable[..., Any], file: Any, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert send(file.name) == make_ids(5)


@pytest.fixture
def memory_store() -> Any:
    """A store in memory behind memory://, as a provider package would bring one."""
    return attach("memory", fs=fsspec.filesystem("memory"))


@pytest.mark.usefixtures("memory_store")
@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_members_may_be_in_an_object_store(
    send: Callable[..., Any], make_ids: MakeIds, as_body: AsBody, as_text: bool, zipped: bool
) -> None:
    path = ObjectStoragePath(f"memory://bucket/{uuid.uuid4()}/ids.txt{'.gz' if zipped else ''}")
    path.parent.mkdir(parents=True, exist_ok=True)
    body = as_body(make_ids(5))
    path.write_bytes(gzip.compress(body) if zipped else body)
    assert send(str(path) if as_text else path) == make_ids(5)


@pytest.mark.parametrize("name", ["ids.txt.gz", "ids"])
def test_gzip_is_seen_whatever_the_name(
    send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, as_body: AsBody, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(as_body(make_ids(5))))
    assert send(str(path)) == make_ids(5)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_members_of_several_columns(
    send: Callable[..., Any],
    tmp_path: Path,
    make_ids: MakeIds,
    task_context: MakeContext,
    emulator: AudiencesEmulator,
    mark: str,
) -> None:
    ids = make_ids(6)
    (tmp_path / "a.csv").write_text(f"{mark}idfa,n,gaid\n{ids[0]},1,{ids[1]}\n{ids[2]},2,\n{ids[0]},3,{ids[3]}\n")
    source = FileSource(tmp_path / "a.csv", column=["idfa", "gaid"])
    assert send(source) == ids[:4]
    report = AppLovinAppendUsersOperator(task_id="t", audience_id="a", source=source, dry_run=True).execute(
        task_context()
    )
    assert report["members_by_column"] == {"idfa": 3, "gaid": 2}
    assert report["planned_ids"] == 4


def test_files_of_a_landing_folder_that_are_not_whole_are_not_sent(
    send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, as_body: AsBody
) -> None:
    (tmp_path / "a.txt").write_bytes(as_body(make_ids(20)))
    (tmp_path / "b.txt._COPYING_").write_bytes(as_body(make_ids(5, start=20)))
    assert send(f"{tmp_path}/") == make_ids(20)
    assert send(str(tmp_path / "b.txt._COPYING_")) == make_ids(5, start=20)


def test_an_archive_is_named(refused: Callable[..., str], tmp_path: Path, make_ids: MakeIds, as_body: AsBody) -> None:
    import tarfile

    (tmp_path / "a.txt").write_bytes(as_body(make_ids(10)))
    with tarfile.open(tmp_path / "ids.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.txt", "a.txt")
    assert "ids.tar.gz is a tar archive, not text: unpack it" in refused(str(tmp_path / "ids.tar.gz"))


def test_a_partition_that_comes_late_is_left_to_the_tasks_retries(
    tmp_path: Path, task_context: MakeContext, emulator: AudiencesEmulator
) -> None:
    source = FileSource(f"{tmp_path}/day={{{{ ds }}}}/", on_missing="retry")
    operator = AppLovinAppendUsersOperator(task_id="t", audience_id="a", source=source)
    operator.render_template_fields({"ds": "2026-01-02"})
    with pytest.raises(SourceUnavailableError, match="day=2026-01-02/ does not exist") as refusal:
        operator.execute(task_context())
    assert not isinstance(refusal.value, AirflowFailException)
    assert emulator.requests() == []


def test_a_path_may_have_a_uuid_in_it(
    send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, as_body: AsBody
) -> None:
    folder = tmp_path / str(uuid.uuid4())
    folder.mkdir()
    path = folder / f"part-00000-{uuid.uuid4()}-c000.txt"
    path.write_bytes(as_body(make_ids(2)))
    operator = AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=str(path))
    assert operator.source == str(path)
    assert send(str(path)) == make_ids(2)


@pytest.mark.parametrize(
    "of", [str, Path, lambda path: f"file://{path}", lambda path: ObjectStoragePath(f"file://{path}")]
)
def test_a_file_that_is_missing_or_an_empty_folder_is_named(
    refused: Callable[..., str], tmp_path: Path, of: Callable[..., Any] | type[Any]
) -> None:
    missing = tmp_path / "no such.txt"
    assert "no such.txt does not exist" in refused(of(missing))
    assert f"{tmp_path}: the folder has no files" in refused(of(tmp_path))
    (tmp_path / "plain").touch()
    assert "does not exist" in refused(of(tmp_path / "plain" / "below"))


def test_a_file_that_may_not_be_read_is_named(
    refused: Callable[..., str], file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_args: Any, **_kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(file))

    # The tests may run as root, whom no mode stops.
    monkeypatch.setattr(Path, "open", closed)
    assert "may not be read" in refused(str(file))


@pytest.mark.usefixtures("memory_store")
def test_an_object_that_is_missing_is_named(refused: Callable[..., str]) -> None:
    assert "memory://bucket/none.txt does not exist" in refused("memory://bucket/none.txt")


def test_a_store_without_a_file_system_says_what_is_missing(refused: Callable[..., str]) -> None:
    text = refused("nosuch://me:sesame@bucket/ids.txt?token=sesame")
    assert "nosuch://" in text
    assert "install" in text
    assert "sesame" not in text


@pytest.mark.parametrize("source", ["", "  \n ", None, 7, 1.5, b"abc", {"a": 1}, object()])
def test_what_is_no_source_is_refused(refused: Callable[..., str], source: Any) -> None:
    assert "source is" in refused(source)


@pytest.mark.parametrize("value", [7, 1.5, ["nested"], {"a": 1}, object()])
def test_what_is_no_member_is_refused_by_its_place(refused: Callable[..., str], value: Any, make_ids: MakeIds) -> None:
    assert "item 2" in refused([*make_ids(1), value])


@pytest.mark.parametrize("separator", ["\n", ",", ", ", ";", " ", "', '"])
@pytest.mark.parametrize("wrap", ["{}", "[{}]", "['{}']", '["{}"]', "({})", "\ufeff{}"])
def test_text_with_members_in_it_is_refused_without_showing_them(
    refused: Callable[..., str], make_ids: MakeIds, separator: str, wrap: str
) -> None:
    # What a template makes of a list; or a file's content where its path was meant.
    ids = make_ids(3)
    text = refused(wrap.format(separator.join(ids)))
    assert "render_template_as_native_obj" in text
    assert ids[0] not in text


def test_one_member_as_text_is_refused_without_showing_it(refused: Callable[..., str], make_ids: MakeIds) -> None:
    text = refused(make_ids(1)[0].upper())
    assert make_ids(1)[0].upper() not in text


def test_text_that_is_no_path_is_refused_without_showing_it(refused: Callable[..., str]) -> None:
    text = refused("x" * 5000)
    assert "too long" in text
    assert "xxx" not in text


def test_other_failures_of_a_file_system_are_not_called_a_wrong_input(
    task_context: MakeContext, emulator: AudiencesEmulator, file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(Path, "open", broken)
    operator = AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=str(file))
    with pytest.raises(OSError, match=r"Input/output error"):
        operator.execute(task_context())
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("ids.gz", b"plain\n", "not gzip"),
        ("ids", gzip.compress(b"x" * 1000, mtime=0)[:-9], "damaged"),
        ("ids", "idfa\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_in_a_wrong_format_is_refused(
    refused: Callable[..., str], tmp_path: Path, name: str, body: Any, said: str
) -> None:
    (tmp_path / name).write_bytes(body)
    assert said in refused(tmp_path / name)


def _table(ids: Any, **columns: Any) -> dict[str, Any]:
    """Columns and rows with the IDs in ``idfa`` and something else beside them."""
    return {"idfa": ids, "n": list(range(len(ids))), **columns}


def _csv(ids: Any, name: str = "idfa") -> bytes:
    return "".join(f"{line}\n" for line in [f"n,{name}", *(f"{n},{item}" for n, item in enumerate(ids))]).encode()


def _jsonl(ids: Any) -> bytes:
    return "".join(json.dumps({"n": n, "idfa": item}) + "\n" for n, item in enumerate(ids)).encode()


def _parquet(ids: Any) -> Any:
    buffer = io.BytesIO()
    pq.write_table(pa.table(_table(ids)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gz", "zst"])
@pytest.mark.parametrize(("ending", "body"), [("csv", _csv), ("jsonl", _jsonl), ("json", _jsonl), ("ndjson", _jsonl)])
def test_a_file_may_have_columns(
    send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, ending: str, body: Callable[..., Any], compress: Any
) -> None:
    packed = {bytes: "", gzip.compress: ".gz", zstandard.compress: ".zst"}[compress]
    path = tmp_path / f"people.{ending}{packed}"
    path.write_bytes(compress(body(make_ids(5))))
    assert send(FileSource(str(path), column="idfa")) == make_ids(5)


@pytest.mark.parametrize("ending", ["parquet", "pq"])
def test_a_file_may_be_parquet(send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, ending: str) -> None:
    path = tmp_path / f"people.{ending}"
    path.write_bytes(_parquet(make_ids(5)))
    assert send(FileSource(path, column="idfa")) == make_ids(5)


def test_the_format_may_be_said(send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds) -> None:
    path = tmp_path / "people.dat"
    path.write_bytes(_csv(make_ids(5)))
    assert send(FileSource(path, column="idfa", file_format="csv")) == make_ids(5)


def test_one_column_needs_no_name(send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds) -> None:
    (tmp_path / "ids.csv").write_text("\n".join(["gaid", *make_ids(5)]))
    assert send(str(tmp_path / "ids.csv")) == make_ids(5)


def test_a_folder_is_one_source(send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds) -> None:
    folder = tmp_path / "day=1"
    (folder / "hour=1").mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    (folder / "part-0.parquet").write_bytes(_parquet(make_ids(3)))
    (folder / "hour=1" / "part-1.parquet").write_bytes(_parquet(make_ids(3, start=3)))
    source = FileSource(str(tmp_path / "day=*"), column="idfa")
    assert send(source) == make_ids(5)


def test_a_list_of_paths_is_many_files(
    send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, as_body: AsBody
) -> None:
    for name, start in (("a", 1), ("b", 3)):
        (tmp_path / name).write_bytes(as_body(make_ids(2, start=start)))
    assert send([str(tmp_path / "a"), f"file://{tmp_path}/b"]) == make_ids(4)
    assert send((tmp_path / "a", ObjectStoragePath(f"file://{tmp_path}/b"))) == make_ids(4)


@pytest.mark.parametrize(
    "of",
    [
        lambda ids: pd.DataFrame({"idfa": ids}),
        pd.Series,
        lambda ids: pl.DataFrame({"idfa": ids}),
        lambda ids: pl.LazyFrame({"idfa": ids}),
        lambda ids: pl.Series("idfa", ids),
        lambda ids: pa.table({"idfa": ids}),
    ],
    ids=["pandas", "pandas-series", "polars", "polars-lazy", "polars-series", "arrow"],
)
def test_a_data_frame_is_a_source(send: Callable[..., Any], make_ids: MakeIds, of: Any) -> None:
    assert send(of(make_ids(5))) == make_ids(5)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_column_that_is_not_there_is_named_beside_those_that_are(
    refused: Callable[..., str], tmp_path: Path, make_ids: MakeIds, ending: str
) -> None:
    path = tmp_path / f"people.{ending}"
    path.write_bytes({"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[ending](make_ids(2)))
    text = refused(FileSource(path, column="gaid"))
    assert "gaid" in text
    assert "idfa" in text
    assert path.name in text
    # Two columns, and one is meant.
    text = refused(str(path))
    assert "idfa" in text
    assert "column" in text


def test_damaged_parquet_is_named(refused: Callable[..., str], tmp_path: Path, make_ids: MakeIds) -> None:
    path = tmp_path / "people.parquet"
    path.write_bytes(_parquet(make_ids(2))[:-20])
    assert "people.parquet" in refused(str(path))


def test_files_of_two_formats_are_not_mixed(refused: Callable[..., str], tmp_path: Path, make_ids: MakeIds) -> None:
    (tmp_path / "a.csv").write_bytes(_csv(make_ids(2)))
    (tmp_path / "b.parquet").write_bytes(_parquet(make_ids(2)))
    text = refused(str(tmp_path))
    assert "a.csv" in text
    assert "b.parquet" in text


def test_an_empty_source_is_refused_where_it_would_empty_an_audience(
    task_context: MakeContext, emulator: AudiencesEmulator, tmp_path: Path
) -> None:
    (tmp_path / "ids.csv").write_text("idfa\n")
    sources: list[Any] = [[], iter(()), str(tmp_path / "ids.csv"), pd.DataFrame({"idfa": []}, dtype="str")]
    for source in sources:
        operator = AppLovinUpdateAudienceOperator(task_id="update", audience_id="a", source=source)
        with pytest.raises(InvalidInputError, match="empty"):
            operator.execute(task_context())
    assert emulator.requests() == []


def test_an_iterator_is_never_a_list(send: Callable[..., Any], make_ids: MakeIds) -> None:
    waiting = []

    def generate() -> Iterator[Any]:
        for position, item in enumerate(make_ids(100_000)):
            waiting.append(item)
            if position % 20_000 == 19_999:
                waiting.clear()
            yield item

    assert len(send(generate())) == 100_000


def test_a_source_that_fails_on_the_way_sends_nothing(
    task_context: MakeContext, emulator: AudiencesEmulator, make_ids: MakeIds
) -> None:
    def generate() -> Iterator[Any]:
        yield from make_ids(50_000)
        raise ZeroDivisionError

    operator = AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=generate())
    with pytest.raises(ZeroDivisionError):
        operator.execute(task_context())
    assert emulator.requests() == []


def test_members_may_come_from_a_query(
    send: Callable[..., Any], tmp_path: Path, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "db")}))
    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as database:
        database.execute("CREATE TABLE people (idfa, n)")
        database.executemany("INSERT INTO people VALUES (?, 1)", [(item,) for item in [*make_ids(5), None]])
        database.commit()
    source = SqlSource("lite", "SELECT * FROM people WHERE n = ?", column="IDFA", parameters=[1], chunk_size=2)
    assert send(source) == make_ids(5)


def test_a_list_of_paths_and_of_members_is_refused(refused: Callable[..., str], make_ids: MakeIds) -> None:
    text = refused(["/data/a.txt", make_ids(1)[0]])
    assert "list of paths and of other things" in text
    assert make_ids(1)[0] not in text


def test_a_pipe_is_refused_and_not_waited_for(refused: Callable[..., str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(str(tmp_path / "pipe"))


@pytest.mark.parametrize("separator", [":", "/", "|", "="])
def test_members_between_other_separators_are_not_shown(
    refused: Callable[..., str], make_ids: MakeIds, separator: str
) -> None:
    ids = make_ids(2)
    assert ids[0] not in refused(separator.join(ids))
    assert ids[0] not in refused(f"idfa{separator}{ids[0]}".replace("/", "-"))
