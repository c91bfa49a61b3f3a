"""The layout of an audience's state: whoever asks for another one is told what is there, and the way on."""

from pathlib import Path

import pytest

from airflow_provider_audiences.exceptions import ConflictError
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.layout import layout_of, require_layout
from airflow_provider_audiences.sync.state.manifest import Layout


def test_a_state_that_is_not_there_is_in_one_folder(tmp_path: Path) -> None:
    assert layout_of(LocalFileStore(tmp_path / "audience")) == Layout()


@pytest.mark.parametrize("partitions", [1, 16, 256])
def test_the_same_number_passes(partitions: int) -> None:
    require_layout(Layout(partitions=partitions, leftovers=16), partitions, place="p")


@pytest.mark.parametrize(("partitions", "said"), [(1, "the whole of it"), (256, "256 partitions")])
def test_another_number_is_refused(partitions: int, said: str) -> None:
    with pytest.raises(ConflictError, match=f"p has 16 partitions, and this task asks for {said}") as refused:
        require_layout(Layout(partitions=16), partitions, place="p")
    assert "partitions=16" in str(refused.value)
    assert f"a partitioned sync with partitions={partitions} move the state" in str(refused.value)


def test_no_partitions_are_refused() -> None:
    with pytest.raises(ConflictError, match="p has no partitions, and this task asks for 16 partitions"):
        require_layout(Layout(), 16, place="p")


@pytest.mark.parametrize("partitions", [1, 16])
def test_a_state_that_is_being_moved_is_refused(partitions: int) -> None:
    with pytest.raises(ConflictError, match="is being moved from no partitions to 16 partitions") as refused:
        require_layout(Layout(moves_to=16), partitions, place="p")
    assert "With partitions=16 its task prepare completes the move" in str(refused.value)
    assert "with partitions=1 it gives the move up" in str(refused.value)
