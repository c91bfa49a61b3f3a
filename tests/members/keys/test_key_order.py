"""The one order of keys, what is looked up in it, and sets side by side, against Python's sets and dicts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order, key_set
from airflow_provider_audiences.members.keys.key_order import SortedKeys
from airflow_provider_audiences.members.keys.key_runs import KeySetBuilder
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter, side_by_side

Pair = tuple[int, int]

numbers = st.integers(0, 3) | st.sampled_from([2**64 - 1, 2**63]) | st.integers(0, 2**64 - 1)
pairs = st.tuples(numbers, numbers)
lists_of_pairs = st.lists(pairs, max_size=40)

HASHES: dict[str, Callable[[NDArray[np.uint64]], NDArray[np.uint64]]] = {
    "its own": key_order.hashes_of,
    "one for all": lambda keys: np.zeros(len(keys), np.uint64),
    "a few": lambda keys: (keys[:, 0] ^ keys[:, 1]) & np.uint64(3),
    "a few that are far apart": lambda keys: ((keys[:, 0] ^ keys[:, 1]) & np.uint64(3)) << np.uint64(62),
    "the largest": lambda keys: np.full(len(keys), 2**64 - 1, np.uint64),
}
any_hash = st.sampled_from(sorted(HASHES))


def array(found: list[Pair]) -> NDArray[np.uint64]:
    return np.array(found, np.uint64).reshape(len(found), 2)


def pairs_of(keys: NDArray[np.uint64]) -> list[Pair]:
    return [(int(high), int(low)) for high, low in keys.tolist()]


@contextmanager
def few_parts(name: str, *, compared_keys: int = 1 << 17) -> Iterator[None]:
    """Four parts, and hashes of a kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_order, "PART_BITS", 2)
        patch.setattr(key_order, "PARTS", 4)
        patch.setattr(key_order, "hashes_of", HASHES[name])
        patch.setattr(key_set, "_COMPARED_KEYS", compared_keys)
        yield


@settings(deadline=None, max_examples=300)
@given(name=any_hash, found=lists_of_pairs, data=st.data())
def test_unique_is_a_set_in_an_order_that_depends_on_nothing_else(name: str, found: list[Pair], data: Any) -> None:
    shuffled = data.draw(st.permutations(found + found[:7]))
    with few_parts(name):
        keys = key_order.unique(array(found))
        assert len(keys) == len(set(found))
        assert set(pairs_of(keys.keys)) == set(found)
        assert pairs_of(key_order.unique(array(shuffled)).keys) == pairs_of(keys.keys)
        assert pairs_of(key_order.unique(keys.keys).keys) == pairs_of(keys.keys)
        assert keys.hashes.tolist() == HASHES[name](keys.keys).tolist()


@settings(deadline=None, max_examples=300)
@given(name=any_hash, found=lists_of_pairs)
def test_the_order(name: str, found: list[Pair]) -> None:
    """By hash, so that parts stand in the order of their numbers; copies of a key next to each other."""
    with few_parts(name):
        keys = array(found)
        order = key_order.order_of(keys)
        assert sorted(order.tolist()) == list(range(len(found)))
        in_order = keys[order]
        hashes = HASHES[name](in_order).tolist()
        parts = key_order.parts_of(in_order).tolist()
        assert hashes == sorted(hashes)
        assert parts == sorted(parts)
        assert all(0 <= part < 4 for part in parts)
        seen = pairs_of(in_order)
        changes = sum(one != other for one, other in pairwise(seen))
        assert changes == max(0, len(set(found)) - 1)


@settings(deadline=None, max_examples=300)
@given(name=any_hash, keys=st.sets(pairs, max_size=40), others=st.sets(pairs, max_size=40), data=st.data())
def test_match_is_a_dict(name: str, keys: set[Pair], others: set[Pair], data: Any) -> None:
    shared = data.draw(st.sets(st.sampled_from(sorted(others)))) if others else set()
    asked = data.draw(st.permutations(sorted(keys | shared)))
    with few_parts(name):
        found, rows = SortedKeys(array(asked)), key_order.unique(array(sorted(others)))
        row_of = {pair: row for row, pair in enumerate(pairs_of(rows.keys))}
        assert rows.match(found).tolist() == [row_of.get(pair, -1) for pair in asked]


@settings(deadline=None, max_examples=300)
@given(name=any_hash, keys=st.sets(pairs, max_size=40), others=st.sets(pairs, max_size=40), more=st.sets(pairs))
def test_difference_and_union(name: str, keys: set[Pair], others: set[Pair], more: set[Pair]) -> None:
    with few_parts(name):
        one, other, third = (key_order.unique(array(sorted(some))) for some in (keys, others, more))
        for found, expected in (
            (one.difference(other), keys - others),
            (one.union(other), keys | others),
            (one.union(other).difference(third), (keys | others) - more),
            (one.difference(other).union(third), (keys - others) | more),
        ):
            assert pairs_of(found.keys) == pairs_of(key_order.unique(array(sorted(expected))).keys)
            assert found.hashes.tolist() == HASHES[name](found.keys).tolist(), "hashes go with their keys"


@settings(deadline=None, max_examples=300)
@given(name=any_hash, keys=st.sets(pairs, max_size=30), others=st.sets(pairs, max_size=30))
def test_places_are_where_new_keys_go(name: str, keys: set[Pair], others: set[Pair]) -> None:
    with few_parts(name):
        new, old = key_order.unique(array(sorted(keys - others))), key_order.unique(array(sorted(others)))
        inserted = np.insert(old.keys, old.places(new), new.keys, axis=0)
        assert pairs_of(inserted) == pairs_of(key_order.unique(array(sorted(keys | others))).keys)


@pytest.mark.parametrize("name", HASHES)
def test_nothing(name: str) -> None:
    with few_parts(name):
        assert key_order.unique(array([])).keys.shape == (0, 2)
        assert key_order.order_of(array([])).tolist() == []
        assert key_order.parts_of(array([])).tolist() == []
        nothing, one = SortedKeys(array([])), SortedKeys(array([(1, 2)]))
        assert nothing.match(nothing).tolist() == []
        assert one.match(nothing).tolist() == []
        assert nothing.match(one).tolist() == [-1]
        assert one.match(one).tolist() == [0]
        assert one.places(nothing).tolist() == []
        assert nothing.places(one).tolist() == [0]


def test_the_order_never_changes() -> None:
    """What is stored today is compared with what is made by a later version, on another machine."""
    keys = array([(0, 0), (0, 1), (1, 0), (2**64 - 1, 2**64 - 1), (0x0123456789ABCDEF, 0xFEDCBA9876543210)])
    hashes = [0, 0xD6E8FEBED11E0850, 0x17FB89EE35ED72B0, 0xEEE488A187AF7E60, 0x1F63874810BCCD6B]
    assert key_order.hashes_of(keys).tolist() == hashes
    assert key_order.parts_of(keys).tolist() == [number >> 52 for number in hashes]
    assert pairs_of(key_order.unique(keys).keys) == [pairs_of(keys)[row] for row in (0, 2, 4, 1, 3)]


def built(folder: Path, name: str, members: set[Pair]) -> KeySet:
    """A set as staging makes it; its file stays open as long as the set lives."""
    (place := folder / name).mkdir()
    with KeySetBuilder(place) as builder:
        builder.add(array(sorted(members)))
        keys = builder.finish().as_set()
        writer = KeySetWriter(TemporaryFile(buffering=0))  # noqa: SIM115 - it goes with the set
        writer.add(keys.slice(0, keys.count))
    return writer.finish()


@settings(deadline=None, max_examples=150)
@given(
    name=any_hash,
    sets=st.lists(st.sets(pairs, max_size=30), min_size=1, max_size=4),
    common=st.sets(pairs, max_size=10),
    compared_keys=st.integers(1, 20),
)
def test_side_by_side(name: str, sets: list[set[Pair]], common: set[Pair], compared_keys: int) -> None:
    sets = [members | common for members in sets]
    with few_parts(name, compared_keys=compared_keys), TemporaryDirectory() as folder:
        made = [built(Path(folder), str(number), members) for number, members in enumerate(sets)]
        steps = list(side_by_side(*made))
        assert all(len(step) == len(made) for step in steps)
        step_of: dict[Pair, int] = {}
        for number, keys in enumerate(made):
            covered: list[Pair] = []
            for step, slices in enumerate(steps):
                part = pairs_of(keys.slice(slices[number].start, slices[number].stop - slices[number].start))
                assert len(part) == slices[number].stop - slices[number].start
                assert all(step_of.setdefault(pair, step) == step for pair in part)
                covered += part
            assert covered == pairs_of(keys.slice(0, keys.count)), "each slice once, in order, and nothing left out"
            assert set(covered) == sets[number]


def test_steps_are_no_larger_than_they_must_be(tmp_path: Path) -> None:
    """One part, or as many as are worth a call; so memory does not grow with the sets."""
    members = {(number, 0) for number in range(4000)}
    with few_parts("its own", compared_keys=1500):
        made = [built(tmp_path, "a", members), built(tmp_path, "b", set(list(members)[:400]))]
        largest = max(int(size) for size in np.diff(made[0].starts() + made[1].starts()))
        steps = [sum(part.stop - part.start for part in slices) for slices in side_by_side(*made)]
        assert sum(steps) == 4400
        assert max(steps) <= max(1500, largest)
