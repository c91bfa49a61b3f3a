"""Set operations on sets of keys, against Python's own sets."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.members.keys.key_order import order_of
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.members.keys.key_sets import difference, empty_key_set, intersection, union
from airflow_provider_audiences.members.workspace import Workspace

Pairs: TypeAlias = frozenset[tuple[int, int]]

halves = st.integers(0, 3) | st.sampled_from([2**63, 2**64 - 1])
pairs = st.frozensets(st.tuples(halves, halves), max_size=12)


def key_set(members: Pairs, workspace: Workspace) -> KeySet:
    keys = np.array(sorted(members), np.uint64).reshape(-1, 2)
    writer = KeySetWriter(workspace.new_file(), key_bytes=16)
    writer.add(keys[order_of(keys)])
    return writer.finish()


def pairs_of(keys: KeySet) -> list[tuple[int, int]]:
    return [(int(high), int(low)) for high, low in keys.slice(0, keys.count).tolist()]


@pytest.mark.parametrize(
    ("operation", "of_sets"),
    [(union, frozenset.union), (intersection, frozenset.intersection), (difference, frozenset.difference)],
    ids=["union", "intersection", "difference"],
)
@given(members=pairs, others=pairs)
def test_against_a_set(
    workspace: Workspace,
    operation: Callable[[KeySet, KeySet, Workspace], KeySet],
    of_sets: Callable[[Pairs, Pairs], Pairs],
    members: Pairs,
    others: Pairs,
) -> None:
    first, second = key_set(members, workspace), key_set(others, workspace)
    result = operation(first, second, workspace)
    # In the order of keys, each of them once: what a set of the same members has.
    assert pairs_of(result) == pairs_of(key_set(of_sets(members, others), workspace))
    assert (pairs_of(first), pairs_of(second)) == tuple(pairs_of(key_set(own, workspace)) for own in (members, others))


def test_an_empty_set_has_nobody(workspace: Workspace) -> None:
    empty = empty_key_set(workspace)
    assert (empty.count, pairs_of(empty), empty.key_bytes) == (0, [], workspace.key_bytes)


def test_nothing_is_copied_where_one_set_is_the_result(workspace: Workspace) -> None:
    some, empty = key_set(frozenset({(1, 1)}), workspace), empty_key_set(workspace)
    assert union(some, empty, workspace) is some
    assert union(empty, some, workspace) is some
    assert difference(some, empty, workspace) is some
    assert intersection(empty, some, workspace) is empty
