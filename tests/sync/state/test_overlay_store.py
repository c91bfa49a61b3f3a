"""A file store over another one: both are read as one, and only the upper one changes."""

from pathlib import Path

import pytest

from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.overlay_store import OverlayFileStore


@pytest.fixture
def below(tmp_path: Path) -> LocalFileStore:
    store = LocalFileStore(tmp_path / "below")
    for name in ("kept", "replaced", "deleted", "lease-1.json"):
        store.write(name, name.encode())
    return store


@pytest.fixture
def overlay(below: LocalFileStore, tmp_path: Path) -> OverlayFileStore:
    return OverlayFileStore(below, tmp_path / "own", hides=lambda name: name.startswith("lease-"))


def test_changes_are_seen_here_and_not_below(below: LocalFileStore, overlay: OverlayFileStore, tmp_path: Path) -> None:
    overlay.write("replaced", b"new")
    overlay.create("created", b"created")
    overlay.store("stored", lambda path: path.write_bytes(b"stored"), scratch=tmp_path / "file")
    overlay.delete("deleted")
    assert sorted(overlay.names()) == ["created", "kept", "replaced", "stored"]
    assert {name: overlay.read(name) for name in overlay.names()} == {
        "created": b"created",
        "kept": b"kept",
        "replaced": b"new",
        "stored": b"stored",
    }
    for name in ("deleted", "lease-1.json"):
        with pytest.raises(FileNotFoundError):
            overlay.read(name)
    assert sorted(below.names()) == ["deleted", "kept", "lease-1.json", "replaced"]
    assert below.read("replaced") == b"replaced"


def test_a_name_below_is_taken(overlay: OverlayFileStore) -> None:
    overlay.create("new", b"1")
    for name in ("kept", "new"):
        with pytest.raises(FileExistsError):
            overlay.create(name, b"2")


def test_files_are_fetched_from_where_they_are(overlay: OverlayFileStore, tmp_path: Path) -> None:
    overlay.write("own-file", b"own")
    overlay.fetch("kept", tmp_path / "a")
    overlay.fetch("own-file", tmp_path / "b")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"kept", b"own")


def test_what_is_written_below_later_is_not_seen(below: LocalFileStore, overlay: OverlayFileStore) -> None:
    below.write("later", b"")
    assert "later" not in overlay.names()
