"""Members removed or added directly, against Python's own sets: who stays out, and who stays in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.members.keys.key_order import order_of
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.members.workspace import StagingSettings, Workspace, open_workspace
from airflow_provider_audiences.sync.direct_changes import DirectChanges

members = st.frozensets(st.integers(0, 7))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_workspace(StagingSettings(temp_folder=tmp_path_factory.mktemp("work"))) as workspace:
        yield workspace


@dataclass(frozen=True)
class Sent:
    """What a plan has sent."""

    additions: KeySet
    removals: KeySet
    replaces: bool
    held_back: KeySet | None


def key_set(numbers: frozenset[int], workspace: Workspace) -> KeySet:
    keys = np.array([[number, number] for number in sorted(numbers)], np.uint64).reshape(-1, 2)
    writer = KeySetWriter(workspace.new_file(), key_bytes=16)
    writer.add(keys[order_of(keys)])
    return writer.finish()


def numbers_of(keys: KeySet) -> frozenset[int]:
    return frozenset(int(high) for high, _ in keys.slice(0, keys.count).tolist())


def made(held_back: frozenset[int], added_directly: frozenset[int], workspace: Workspace) -> DirectChanges:
    return DirectChanges(held_back=key_set(held_back, workspace), added_directly=key_set(added_directly, workspace))


def both_of(changes: DirectChanges) -> tuple[frozenset[int], frozenset[int]]:
    return numbers_of(changes.held_back), numbers_of(changes.added_directly)


@given(held_back=members, added_directly=members, removed=members)
def test_a_removal_directly(
    workspace: Workspace, held_back: frozenset[int], added_directly: frozenset[int], removed: frozenset[int]
) -> None:
    after = made(held_back, added_directly, workspace).with_removed(key_set(removed, workspace), workspace)
    assert both_of(after) == (held_back | removed, added_directly - removed)


@given(held_back=members, added_directly=members, added=members, replaces=st.booleans())
def test_an_addition_directly(
    workspace: Workspace,
    held_back: frozenset[int],
    added_directly: frozenset[int],
    added: frozenset[int],
    replaces: bool,
) -> None:
    before = made(held_back, added_directly, workspace)
    after = before.with_added(key_set(added, workspace), workspace, replaces=replaces)
    assert both_of(after) == (held_back - added, added if replaces else added_directly | added)


@given(
    held_back=members,
    added_directly=members,
    additions=members,
    removals=members,
    ledger=members,
    stay_held_back=st.none() | members,
    replaces=st.booleans(),
)
def test_a_sync(
    workspace: Workspace,
    held_back: frozenset[int],
    added_directly: frozenset[int],
    additions: frozenset[int],
    removals: frozenset[int],
    ledger: frozenset[int],
    stay_held_back: frozenset[int] | None,
    replaces: bool,
) -> None:
    stay = None if stay_held_back is None else key_set(held_back & stay_held_back, workspace)
    after = made(held_back, added_directly, workspace).after(
        Sent(key_set(additions, workspace), key_set(removals, workspace), replaces, stay),
        ledger=key_set(ledger, workspace),
        workspace=workspace,
    )
    kept_out = held_back - additions if stay_held_back is None else (held_back & stay_held_back) - additions
    kept_in = frozenset() if replaces else (added_directly - removals) & ledger
    assert both_of(after) == (kept_out, kept_in)


def test_nobody_was_changed_directly(workspace: Workspace) -> None:
    nobody = DirectChanges.none(workspace)
    assert not nobody
    assert nobody.with_removed(key_set(frozenset({1}), workspace), workspace)
    assert nobody.with_added(key_set(frozenset({1}), workspace), workspace, replaces=False)
