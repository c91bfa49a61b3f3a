"""Partitions of real databases: PostgreSQL places texts as the rule in Python does, and its UUIDs."""

import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.spelled_ids import texts

from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.partition import Partition, partitions, placed_text
from airflow_provider_audiences.members.partition_kinds import PartitionKind
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.sources import SqlSource
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.sources.partitions import PartitionedReading
from airflow_provider_audiences.sources.predicates import predicate


def found(cursor: Any, asked: Any) -> dict[int, list[str]]:
    cursor.execute("SELECT n FROM given ORDER BY n")
    placed: dict[int, list[str]] = {number: [] for (number,) in cursor.fetchall()}
    for partition in asked:
        cursor.execute(f"SELECT n FROM given WHERE {predicate('idfa', partition, dialect='postgresql')}")
        for (number,) in cursor.fetchall():
            placed[number].append(partition.hex)
    return placed


def test_postgresql_places_texts_as_the_rule_does(postgres: Any) -> None:
    cursor = postgres.cursor()
    cursor.execute("CREATE TABLE given (n integer, idfa text)")

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(some=st.lists(texts, min_size=1, max_size=20))
    def check(some: list[str]) -> None:
        cursor.execute("TRUNCATE given")
        for number, text in enumerate(some):
            cursor.execute("INSERT INTO given VALUES (%s, %s)", (number, text))
        expected = {number: [placed_text(text, digits=1)] for number, text in enumerate(some)}
        assert found(cursor, partitions(16)) == expected
        asked = {Partition.named("00"), *(Partition(hex=placed_text(text, digits=2)) for text in some)}
        expected = {number: [placed_text(text, digits=2)] for number, text in enumerate(some)}
        assert found(cursor, asked) == expected

    check()


def test_a_uuid_column_is_read_in_parts(postgres: Any) -> None:
    cursor = postgres.cursor()
    cursor.execute("CREATE TABLE people (idfa uuid)")
    ids = [uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(300)]
    for member in [*ids, None]:
        cursor.execute("INSERT INTO people VALUES (%s)", (None if member is None else str(member),))
    read: dict[str, list[str]] = {}
    for partition in partitions(16):
        source, is_narrowed = PartitionedReading(partition=partition, placed=frozenset()).narrowed(
            "source", SqlSource("warehouse", "SELECT idfa FROM people WHERE true", column="idfa")
        )
        assert is_narrowed
        kind = PartitionKind(AdvertisingIds(), partition=partition, argument="source", drops_others=False)
        with (
            open_source(source) as values,
            stage(values, rules=StagingRules(), identifier_kind=kind) as staged,
        ):
            read[partition.hex] = sorted(staged.lines(0, staged.members).decode().split())
    assert read == {digit: sorted(str(one) for one in ids if str(one)[0] == digit) for digit in "0123456789abcdef"}
