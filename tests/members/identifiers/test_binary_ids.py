"""Advertising IDs as 16 bytes: a column of UUIDs gives the members and the rejects that its texts would give."""

import uuid
from collections.abc import Callable

import duckdb
import nanoarrow
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.members.columns import (
    TextColumn,
    column_of_arrow,
    column_of_lines,
    column_of_uuids,
    column_of_values,
)
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds, IdentifierKind, PhoneNumbers
from airflow_provider_audiences.members.reading.null_values import without_null_values

NULL = uuid.uuid5(uuid.NAMESPACE_DNS, "stands for nothing")
ZERO = uuid.UUID(int=0)
PRINTABLE = uuid.UUID(bytes=b"0123456789abcdef")

values = st.lists(st.none() | st.sampled_from([ZERO, NULL, PRINTABLE]) | st.uuids(), min_size=1, max_size=40)


def from_arrow(rows: list[uuid.UUID | None]) -> TextColumn:
    array = pa.array([None if row is None else row.bytes for row in [NULL, *rows]], pa.uuid())
    return column_of_arrow(nanoarrow.c_array(array.slice(1)))


def from_duckdb(rows: list[uuid.UUID | None]) -> TextColumn:
    with duckdb.connect(config={"arrow_lossless_conversion": True}) as database:
        relation = database.sql("SELECT unnest($rows::uuid[])", params={"rows": rows})
        with nanoarrow.c_array_stream(relation) as stream:
            (batch,) = stream
            return column_of_arrow(batch.child(0))


MAKERS: dict[str, Callable[[list[uuid.UUID | None]], TextColumn]] = {
    "bytes": lambda rows: column_of_uuids([None if row is None else row.bytes for row in rows]),
    "values": lambda rows: column_of_values(rows, name="source", first_row=1),
    "Arrow": from_arrow,
    "DuckDB": from_duckdb,
}


def outcome(column: TextColumn, kind: IdentifierKind) -> tuple[object, object]:
    parsed = kind.parse(column)
    return sorted(parsed.keys.tolist()), {reason: rows.tolist() for reason, rows in parsed.rejected.items()}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", [AdvertisingIds(), PhoneNumbers()], ids=["advertising IDs", "phone numbers"])
@settings(max_examples=25, deadline=None)
@given(rows=values)
def test_uuids_are_what_their_texts_are(maker: str, kind: IdentifierKind, rows: list[uuid.UUID | None]) -> None:
    texts = ["" if row is None else str(row) for row in rows]
    lines, column = column_of_lines("".join(f"{text}\n" for text in texts).encode()), MAKERS[maker](rows)
    assert column.uuids or not any(rows)
    assert [column.text(row).decode() for row in range(len(column))] == texts
    assert outcome(column, kind) == outcome(lines, kind)
    for nulls in (["NULL"], [str(NULL)], [str(NULL).upper(), f"{{{ZERO}}}"], [str(ZERO), ""]):
        assert outcome(without_null_values(column, nulls), kind) == outcome(without_null_values(lines, nulls), kind)


def test_pieces_of_uuids_are_uuids() -> None:
    rows = [uuid.UUID(int=number) for number in range(1, 70_000)]
    pieces = list(column_of_uuids([row.bytes for row in rows]).pieces())
    assert len(pieces) == 3
    keys = np.concatenate([AdvertisingIds().parse(piece).keys for piece in pieces])
    assert keys.tolist() == [[0, row.int] for row in rows]
