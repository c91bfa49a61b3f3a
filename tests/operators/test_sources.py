"""Where members may come from, through an operator; and that nothing is sent when a source is wrong."""

import gzip
import os
import uuid
from pathlib import Path

import fsspec
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.operators.applovin import (
    AppLovinAppendUsersOperator,
    AppLovinCreateAudienceOperator,
)

try:
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach


@pytest.fixture(autouse=True)
def _connected(connect):
    """All of these tests talk to the emulator."""


@pytest.fixture
def send(task_context, emulator):
    """Appends a source to a new audience and returns the members that arrived."""

    def run(source):
        create = AppLovinCreateAudienceOperator(task_id="create", name="A", platform="ios", package_name="p")
        audience_id = create.execute(task_context())
        operator = AppLovinAppendUsersOperator(task_id="append", audience_id=audience_id, source=source)
        operator.execute(task_context())
        return emulator.members(audience_id)

    return run


@pytest.fixture
def refused(task_context, emulator):
    """Appends a source and returns the text of the refusal."""

    def run(source):
        operator = AppLovinAppendUsersOperator(task_id="append", audience_id="a", source=source)
        with pytest.raises(InvalidInputError) as refusal:
            operator.execute(task_context())
        assert isinstance(refusal.value, AirflowFailException)
        assert emulator.requests() == []
        return str(refusal.value)

    return run


@pytest.fixture
def file(tmp_path, make_ids, as_body):
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
def test_members_may_be_given_themselves(send, make_ids, of):
    assert send(of(make_ids(5))) == make_ids(5)


class _Entry:
    """A path that is neither text nor pathlib's, as os.scandir gives them."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)

    def __str__(self):
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
def test_members_may_be_in_a_local_file(send, file, make_ids, of):
    assert send(of(file)) == make_ids(5)


def test_a_path_may_begin_at_home(send, file, make_ids, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    assert send(f"~/{file.name}") == make_ids(5)


def test_a_path_may_be_relative(send, file, make_ids, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert send(file.name) == make_ids(5)


@pytest.fixture
def memory_store():
    """A store in memory behind memory://, as a provider package would bring one."""
    return attach("memory", fs=fsspec.filesystem("memory"))


@pytest.mark.usefixtures("memory_store")
@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_members_may_be_in_an_object_store(send, make_ids, as_body, as_text, zipped):
    path = ObjectStoragePath(f"memory://bucket/{uuid.uuid4()}/ids.txt{'.gz' if zipped else ''}")
    path.parent.mkdir(parents=True, exist_ok=True)
    body = as_body(make_ids(5))
    path.write_bytes(gzip.compress(body) if zipped else body)
    assert send(str(path) if as_text else path) == make_ids(5)


@pytest.mark.parametrize("name", ["ids.txt.gz", "ids"])
def test_gzip_is_seen_whatever_the_name(send, tmp_path, make_ids, as_body, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(as_body(make_ids(5))))
    assert send(str(path)) == make_ids(5)


def test_a_path_may_have_a_uuid_in_it(send, tmp_path, make_ids, as_body):
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
def test_a_file_that_is_missing_or_a_folder_is_named(refused, tmp_path, of):
    missing = tmp_path / "no such.txt"
    assert "no such.txt does not exist" in refused(of(missing))
    assert f"{tmp_path} is a folder" in refused(of(tmp_path))
    (tmp_path / "plain").touch()
    assert "does not exist" in refused(of(tmp_path / "plain" / "below"))


def test_a_file_that_may_not_be_read_is_named(refused, file, monkeypatch):
    def closed(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", str(file))

    # The tests may run as root, whom no mode stops.
    monkeypatch.setattr(Path, "open", closed)
    assert "may not be read" in refused(str(file))


@pytest.mark.usefixtures("memory_store")
def test_an_object_that_is_missing_is_named(refused):
    assert "memory://bucket/none.txt does not exist" in refused("memory://bucket/none.txt")


def test_a_store_without_a_file_system_says_what_is_missing(refused):
    text = refused("nosuch://me:sesame@bucket/ids.txt?token=sesame")
    assert "nosuch://" in text
    assert "install" in text
    assert "sesame" not in text


@pytest.mark.parametrize("source", ["", "  \n ", None, 7, 1.5, b"abc", {"a": 1}, object()])
def test_what_is_no_source_is_refused(refused, source):
    assert "source is" in refused(source)


@pytest.mark.parametrize("value", [7, 1.5, ["nested"], {"a": 1}, object()])
def test_what_is_no_member_is_refused_by_its_place(refused, value, make_ids):
    assert "item 2" in refused([*make_ids(1), value])


@pytest.mark.parametrize("separator", ["\n", ",", ", ", ";", " ", "', '"])
@pytest.mark.parametrize("wrap", ["{}", "[{}]", "['{}']", '["{}"]', "({})", "\ufeff{}"])
def test_text_with_members_in_it_is_refused_without_showing_them(refused, make_ids, separator, wrap):
    # What a template makes of a list; or a file's content where its path was meant.
    ids = make_ids(3)
    text = refused(wrap.format(separator.join(ids)))
    assert "render_template_as_native_obj" in text
    assert ids[0] not in text


def test_one_member_as_text_is_refused_without_showing_it(refused, make_ids):
    text = refused(make_ids(1)[0].upper())
    assert make_ids(1)[0].upper() not in text


def test_text_that_is_no_path_is_refused_without_showing_it(refused):
    text = refused("x" * 5000)
    assert "too long" in text
    assert "xxx" not in text


def test_other_failures_of_a_file_system_are_not_called_a_wrong_input(task_context, emulator, file, monkeypatch):
    def broken(*_args, **_kwargs):
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
        ("ids", gzip.compress(b"x" * 1000)[:-9], "damaged"),
        ("ids", "idfa\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_in_a_wrong_format_is_refused(refused, tmp_path, name, body, said):
    (tmp_path / name).write_bytes(body)
    assert said in refused(tmp_path / name)
