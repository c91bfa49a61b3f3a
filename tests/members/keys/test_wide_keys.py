"""Keys of other widths than 16 bytes: the same sets, in the same files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.members.key_width import WORD_BYTES
from airflow_provider_audiences.members.keys import key_order, key_sets
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, fingerprint_of
from airflow_provider_audiences.members.keys.key_tables import KeyTableError, read_key_table, write_key_table
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace

Key = tuple[int, ...]

words = st.integers(0, 2) | st.sampled_from([2**64 - 1, 2**63]) | st.integers(0, 2**64 - 1)
widths = st.sampled_from([2, 3, 4, 8])


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[int, list[Key], list[Key]]:
    """A width in words, and keys of two sets, some of which differ in their last word only."""
    width = draw(widths)
    key = st.tuples(*[words] * width) | st.tuples(*[st.just(7)] * (width - 1), words)
    return width, draw(st.lists(key, max_size=20)), draw(st.lists(key, max_size=20))


def array(keys: list[Key], width: int) -> Keys:
    return np.array(keys, np.uint64).reshape(len(keys), width)


def keys_in(found: KeySet) -> list[Key]:
    return [tuple(key) for key in found.slice(0, found.count).tolist()]


def set_of(keys: list[Key], width: int, workspace: Workspace) -> KeySet:
    writer = KeySetWriter(workspace.new_file(), key_bytes=workspace.key_bytes)
    writer.add(key_order.unique(array(keys, width)).keys)
    return writer.finish()


@settings(max_examples=60, deadline=None)
@given(two_sets())
def test_sets_are_those_of_python(given_sets: tuple[int, list[Key], list[Key]]) -> None:
    width, some, others = given_sets
    key_bytes = width * WORD_BYTES
    with open_workspace(StagingSettings(), key_bytes=key_bytes) as workspace, TemporaryDirectory() as folder:
        with KeySetBuilder(Path(folder), key_bytes=key_bytes) as builder:
            builder.add(array(some, width))
            builder.add(array(others, width))
            together = keys_in(builder.finish().as_set())
        first, second = set_of(some, width, workspace), set_of(others, width, workspace)
        assert sorted(together) == sorted({*some, *others})
        assert keys_in(key_sets.union(first, second, workspace)) == together
        assert set(keys_in(key_sets.intersection(first, second, workspace))) == {*some} & {*others}
        assert set(keys_in(key_sets.difference(first, second, workspace))) == {*some} - {*others}
        empty = key_sets.empty_key_set(workspace)
        assert empty.slice(0, 0).shape == (0, width)
        assert keys_in(key_sets.union(empty, first, workspace)) == keys_in(first)


@settings(max_examples=30, deadline=None)
@given(two_sets())
def test_a_table_is_read_as_it_was_written(given_sets: tuple[int, list[Key], list[Key]]) -> None:
    width, some, _ = given_sets
    with open_workspace(StagingSettings(), key_bytes=width * WORD_BYTES) as workspace, TemporaryDirectory() as folder:
        written = set_of(some, width, workspace)
        path = Path(folder) / "keys.parquet"
        path.touch()
        pieces = ((written.slice(first, 7), ()) for first in range(0, written.count, 7))
        write_key_table(workspace, path, pieces, key_column="member")
        writer = KeySetWriter(workspace.new_file(), key_bytes=workspace.key_bytes)
        for keys, _ in read_key_table(workspace, path, ()):
            writer.add(keys)
        read = writer.finish()
        assert keys_in(read) == keys_in(written)
        assert fingerprint_of(read) == fingerprint_of(written)


@pytest.mark.parametrize("lengths", [(32, 24), (32, 31), (0, 0), (33, 33), (16, 16)])
def test_values_that_are_no_keys_are_refused(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    path = tmp_path / "keys.parquet"
    with open_workspace(StagingSettings(), key_bytes=32) as workspace:
        with workspace.database_writes() as cursor:
            values = ", ".join(f"('{'a' * length}'::BLOB)" for length in lengths)
            cursor.execute(f"COPY (SELECT * FROM (VALUES {values}) AS t(member)) TO '{path}' (FORMAT parquet)")
        with pytest.raises(KeyTableError):
            list(read_key_table(workspace, path, ()))
