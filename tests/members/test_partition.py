"""Partitions: each member and each text is in exactly one, whatever its spelling."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spelled_ids import ids, spellings, texts

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import column_of_values
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.partition import Partition, partitions
from airflow_provider_audiences.members.partition_kinds import PartitionKind

COUNTS = st.sampled_from([16, 256])


def parsed(text: str, kind: Any = None) -> Any:
    return (kind or AdvertisingIds()).parse(column_of_values([text], name="s", first_row=1, takes_numbers=False))


def homes(keys: Any, count: int) -> list[Partition]:
    return [partition for partition in partitions(count) if partition.mask(keys).any()]


def test_names_and_numbers() -> None:
    assert [partition.hex for partition in partitions(16)] == list("0123456789abcdef")
    assert [len(partitions(count)) for count in (1, 16, 256)] == [1, 16, 256]
    found = Partition.named(" 0A ")
    assert (found.hex, found.count, found.number, found.name, str(found)) == (
        "0a", 256, 10, "0a", "partition 0a of 256",
    )  # fmt: skip
    whole = Partition.named("whole")
    assert (whole.hex, whole.count, whole.number, whole.name) == ("", 1, 0, "whole")
    assert whole.mask(np.array([[2**64 - 1, 0]], np.uint64)).tolist() == [True]
    assert str(whole) == "the whole audience"


@pytest.mark.parametrize("name", ["", "g", "abc", "1/16", None, 5, "a\n0", "ａ"])  # noqa: RUF001
def test_other_names_are_refused(name: Any) -> None:
    with pytest.raises(InvalidInputError, match="partition must be one hex digit"):
        Partition.named(name)


@pytest.mark.parametrize("count", [0, 4, 17, "16", True, None, 4096])
def test_other_counts_are_refused(count: Any) -> None:
    with pytest.raises(InvalidInputError, match="partitions must be one of 1, 16, 256"):
        partitions(count)


@given(text=texts, count=COUNTS)
def test_every_text_is_read_by_exactly_one_partition(text: str, count: int) -> None:
    assert sum(partition.takes(text) for partition in partitions(count)) == 1


@given(text=spellings(), count=COUNTS)
def test_a_member_is_read_by_its_own_partition_or_by_the_first(text: str, count: int) -> None:
    keys = parsed(text).keys
    (reader,) = [partition for partition in partitions(count) if partition.takes(text)]
    if len(keys):
        (home,) = homes(keys, count)
        assert reader == home or reader.number == 0


@settings(max_examples=30)
@given(member=ids, count=COUNTS, data=st.data())
def test_no_spelling_moves_a_member(member: str, count: int, data: Any) -> None:
    (home,) = homes(parsed(member).keys, count)
    assert home.takes(member)
    other = data.draw(spellings(st.just(member)))
    for partition in {home, *data.draw(st.lists(st.sampled_from(partitions(count)), max_size=5))}:
        kind = PartitionKind(AdvertisingIds(), partition=partition, argument="source", drops_others=True)
        # Whoever reads everything keeps the member in its own partition only.
        assert len(parsed(other, kind).keys) == (len(parsed(other).keys) if partition == home else 0)


@settings(max_examples=30)
@given(member=ids, count=COUNTS, data=st.data())
def test_a_member_of_another_partition_is_an_error_and_not_lost(member: str, count: int, data: Any) -> None:
    (home,) = homes(parsed(member).keys, count)
    for partition in {home, *data.draw(st.lists(st.sampled_from(partitions(count)), max_size=5))}:
        kind = PartitionKind(AdvertisingIds(), partition=partition, argument="source", drops_others=False)
        if partition == home:
            assert len(parsed(member, kind).keys) == 1
            continue
        with pytest.raises(InvalidInputError, match="has read 1 advertising ID of other partitions from source") as e:
            parsed(member, kind)
        assert member not in str(e.value)
        assert "partition.where" in str(e.value)


def test_texts_that_are_no_members_are_counted_once() -> None:
    column = column_of_values(
        ["x", "", "00000000-0000-0000-0000-000000000000", "aaaaaaaa-0000-4000-8000-000000000001"],
        name="s", first_row=1, takes_numbers=False,
    )  # fmt: skip
    found = {}
    for partition in partitions(16):
        kind = PartitionKind(AdvertisingIds(), partition=partition, argument="source", drops_others=True)
        result = kind.parse(column)
        found[partition.hex] = (len(result.keys), sum(map(len, result.rejected.values())))
    assert (found.pop("0"), found.pop("a")) == ((0, 3), (1, 0))
    assert set(found.values()) == {(0, 0)}
