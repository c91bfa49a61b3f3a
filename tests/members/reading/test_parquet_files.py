"""Parquet: binary values that are UUIDs, text or neither; structs; several columns."""

import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_audiences.members.reading.chunks import read_members
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace

Read = Callable[..., list[str]]
Refuse = Callable[..., str]

IDS = [uuid.uuid5(uuid.NAMESPACE_DNS, str(number)) for number in range(50)]
TEXTS = [str(item) for item in IDS]
BYTES = [item.bytes for item in IDS]


def parquet(**columns: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, row_group_size=10)
    return written.getvalue()


@pytest.mark.parametrize("kind", [pa.binary(16), pa.binary(), pa.large_binary(), pa.uuid()])
@pytest.mark.parametrize("values", [BYTES, [None, *BYTES, None], [uuid.UUID(int=0).bytes, *BYTES], BYTES[:1]])
def test_16_bytes_each_are_uuids(kind: Any, values: list[bytes | None], read_file: Read) -> None:
    expected = ["" if value is None else str(uuid.UUID(bytes=value)) for value in values]
    assert read_file(parquet(idfa=pa.array(values, kind)), "f.parquet") == expected


@pytest.mark.parametrize("value", ["+0013700000000", "0123456789abcdef", "13700000000     ", "手机号手机!"])
def test_text_of_16_bytes_stays_text(value: str, read_file: Read) -> None:
    assert read_file(parquet(phone=pa.array([value.encode(), value.encode()], pa.binary())), "f.pq") == [value] * 2


def test_text_of_other_lengths(read_file: Read) -> None:
    for kind in (pa.binary(), pa.binary(36)):
        assert read_file(parquet(idfa=pa.array([text.encode() for text in TEXTS], kind)), "f.parquet") == TEXTS
    assert read_file(parquet(idfa=pa.array([None, None], pa.binary(16))), "f.parquet") == ["", ""]


@pytest.mark.parametrize(
    "values",
    [
        [TEXTS[0].encode(), BYTES[1]],
        [BYTES[1], TEXTS[0].encode()],
        [BYTES[0], BYTES[1], b""],
        [BYTES[0] + b"\xff", BYTES[1] + b"\xff"],
        [BYTES[0] + BYTES[1]],
        [b"\xff"],
    ],
)
def test_neither_is_refused(values: list[bytes], refuse_file: Refuse) -> None:
    message = refuse_file(parquet(idfa=pa.array(values, pa.binary())), "f.parquet", hidden=tuple(TEXTS[:2]))
    assert "its values are binary, neither text nor 16 bytes each: cast them to text" in message


def test_fields_of_structs(read_file: Read, refuse_file: Refuse) -> None:
    kind = pa.struct([("id", pa.binary(16)), ("Text", pa.string()), ("inner", pa.struct([("x.y", pa.string())]))])
    rows = [{"id": IDS[0].bytes, "Text": TEXTS[1], "inner": {"x.y": TEXTS[2]}}, None, {"id": None, "Text": None}]
    content = parquet(**{"device": pa.array(rows, kind), "device.id": pa.array(TEXTS[3:6])})
    assert read_file(content, "f.parquet", column="device.text") == [TEXTS[1], "", ""]
    assert read_file(content, "f.parquet", column="device.inner.x.y") == [TEXTS[2], "", ""]
    assert read_file(content, "f.parquet", column="device.id") == TEXTS[3:6]  # a column of that very name first
    assert read_file(parquet(device=pa.array(rows, kind)), "f.parquet", column="device.id") == [TEXTS[0], "", ""]
    assert "has no column 'device.x'; it has 'device'" in refuse_file(
        parquet(device=pa.array(rows, kind)), "f.parquet", column="device.x"
    )


def test_several_columns_of_any_type(read_file: Read) -> None:
    content = parquet(idfa=pa.array(BYTES, pa.binary(16)), n=pa.array(range(50)), gaid=pa.array(TEXTS[::-1]))
    assert sorted(read_file(content, "f.parquet", column=["gaid", "idfa"])) == sorted([*TEXTS, *TEXTS])


def test_other_columns_may_be_binary(read_file: Read) -> None:
    content = parquet(idfa=pa.array(TEXTS), blob=pa.array([b"\xff\x00"] * 50, pa.binary()))
    assert read_file(content, "f.parquet", column="idfa") == TEXTS


def test_a_name_that_looks_like_a_member_beside_the_column(read_file: Read, refuse_file: Refuse) -> None:
    content = parquet(**{"idfa": pa.array(TEXTS), "2026-01-01 00:00:00": pa.array(range(50))})
    assert read_file(content, "f.parquet", column="IDFA") == TEXTS
    assert "has a member where the names" in refuse_file(content, "f.parquet", column="gaid")


@pytest.mark.parametrize("kind", [pa.binary(16), pa.uuid()])
def test_uuids_stay_16_bytes_on_their_way(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    path.write_bytes(parquet(device=pa.StructArray.from_arrays([pa.array(BYTES, kind)], names=["id"])))
    file = SourceFile(name=path.name, open=lambda: path.open("rb"), local_path=path)
    with open_workspace(StagingSettings(temp_folder=tmp_path)) as workspace:
        chunks = list(read_members(FilesInput(files=[file], column="device.id"), workspace=workspace))
    assert all(chunk.column.uuids for chunk in chunks)
    assert [chunk.column.text(row).decode() for chunk in chunks for row in range(len(chunk.column))] == TEXTS
