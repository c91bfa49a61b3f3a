"""The layout of an audience's state: read, required, and noticed if it is damaged."""

from pathlib import Path

import pytest

from airflow_provider_audiences.exceptions import ConflictError, LedgerLostError
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.layout import LAYOUT_FILE, Layout, layout_of, require_layout, write_layout

LAYOUT = Layout(partitions=16, has_unknown_members=True)


@pytest.fixture
def files(tmp_path: Path) -> LocalFileStore:
    return LocalFileStore(tmp_path / "audience")


def test_a_layout_is_read_as_it_was_written(files: LocalFileStore) -> None:
    assert layout_of(files) is None
    assert require_layout(files, 1) is None
    write_layout(files, LAYOUT)
    assert layout_of(files) == require_layout(files, 16) == LAYOUT


@pytest.mark.parametrize(("partitions", "said"), [(1, "the whole of it"), (256, "256 partitions")])
def test_another_number_is_refused(files: LocalFileStore, partitions: int, said: str) -> None:
    write_layout(files, LAYOUT)
    with pytest.raises(ConflictError, match=f"has 16 partitions, and this task asks for {said}") as refused:
        require_layout(files, partitions)
    assert "partitions=16" in str(refused.value)


def test_no_partitions_are_refused(files: LocalFileStore) -> None:
    with pytest.raises(ConflictError, match="has no partitions, and this task asks for 16 partitions"):
        require_layout(files, 16)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"partitions": 16, "checksum": "x"}'])
def test_a_damaged_layout_is_noticed(files: LocalFileStore, content: bytes) -> None:
    files.write(LAYOUT_FILE, content)
    with pytest.raises(LedgerLostError, match=r"layout\.json is damaged"):
        require_layout(files, 1)
