"""IDs by the thousand against the one rule, text by text."""

import uuid

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.fixtures import MakeIds

from airflow_provider_audiences.members.columns import ParsedMembers, TextColumn, column_of_lines, column_of_values
from airflow_provider_audiences.members.identifiers import advertising_id_codec
from airflow_provider_audiences.members.identifiers.advertising_id import parse_advertising_id
from airflow_provider_audiences.members.identifiers.advertising_id_codec import (
    advertising_id_lines,
    parse_advertising_ids,
)
from airflow_provider_audiences.members.reject_reasons import RejectReason

ID = b"c77bbe4e-6a28-11e4-bcda-14109fdf9591"
ZERO = b"00000000-0000-0000-0000-000000000000"


def keys_of(parsed: ParsedMembers) -> list[bytes]:
    return sorted(int(high).to_bytes(8) + int(low).to_bytes(8) for high, low in parsed.keys.tolist())


def check(column: TextColumn) -> ParsedMembers:
    """The column must be judged as the rule judges its texts, one by one."""
    expected = [parse_advertising_id(column.text(row)) for row in range(len(column))]
    before = column.data.tobytes(), column.starts.tolist(), column.lengths.tolist()
    parsed = parse_advertising_ids(column)

    assert keys_of(parsed) == sorted(key for key in expected if not isinstance(key, RejectReason))
    for reason in RejectReason:
        rows = [row for row, found in enumerate(expected) if found is reason]
        assert parsed.rejected.get(reason, np.empty(0)).tolist() == rows
    assert (column.data.tobytes(), column.starts.tolist(), column.lengths.tolist()) == before
    return parsed


def column(texts: list[bytes]) -> TextColumn:
    return column_of_values(texts, name="source", first_row=1)


wrapping = st.binary(max_size=2) | st.text("\"' \t\r\v\f", max_size=3).map(str.encode)
ids = st.sampled_from([ID, ID.upper(), ZERO]) | st.uuids().map(lambda value: str(value).encode())
spoiled = st.builds(
    lambda text, position, change: text[:position] + change + text[position + len(change) :],
    ids,
    st.integers(0, 36),
    st.binary(min_size=1, max_size=2),
)
texts = st.one_of(
    ids,
    st.builds(lambda before, text, after: before + text + after, wrapping, ids | spoiled, wrapping),
    spoiled,
    st.binary(max_size=45),
    st.binary(min_size=36, max_size=39),
    st.just(b""),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(texts, max_size=30))
@example([])
@example([b""])
@example([b"x" * 36])
@example([b"\xef\xbb\xbf" + ID, b'"' + ID + b'"\r', b"'" + ID + b'"', b'""' + ID[:-2] + b'""', b'"' + ID[1:]])
def test_every_text_is_judged_as_by_the_rule(values: list[bytes]) -> None:
    check(column(values))


@settings(max_examples=300, deadline=None)
@given(st.lists(texts | st.just(b"\r"), max_size=20), st.booleans())
def test_lines(values: list[bytes], ends: bool) -> None:
    block = b"\n".join(values) + (b"\n" if ends else b"")
    if block:
        found = column_of_lines(block)
        assert [found.text(row) for row in range(len(found))] == block.removesuffix(b"\n").split(b"\n")
        check(found)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_texts_that_share_their_bytes_and_leave_gaps(data: st.DataObject) -> None:
    pieces = data.draw(st.lists(texts, max_size=8))
    buffer = b"".join(pieces)
    lengths = st.sampled_from([0, 1, 2, 35, 36, 37, 38, 39, 40]) | st.integers(0, len(buffer))
    rows = data.draw(st.lists(st.tuples(st.integers(0, len(buffer)), lengths), max_size=20))
    begins = np.cumsum([0, *map(len, pieces)]).tolist()
    rows += [(begin, 36) for begin in begins]
    rows = [(start, min(length, len(buffer) - start)) for start, length in rows]
    check(
        TextColumn(
            data=np.frombuffer(buffer, np.uint8),
            starts=np.array([start for start, _ in rows], np.int64),
            lengths=np.array([length for _, length in rows], np.int64),
        )
    )


@pytest.mark.parametrize("size", [0, 1, 35, 36, 37])
def test_buffers_about_as_long_as_one_id(size: int) -> None:
    buffer = (ID + b"\r")[:size]
    for length in range(size + 1):
        starts = np.arange(size - length + 1, dtype=np.int64)
        check(TextColumn(data=np.frombuffer(buffer, np.uint8), starts=starts, lengths=np.full(len(starts), length)))


@pytest.mark.parametrize("wrap", [b"%s", b'"%s"', b"%s\r", b"'%s'\r", b" %s", b"\xef\xbb\xbf%s"])
def test_every_byte_at_every_position(wrap: bytes) -> None:
    texts = [
        wrap % (ID[:position] + bytes([byte]) + ID[position + 1 :]) for position in range(36) for byte in range(256)
    ]
    parsed = check(column(texts))
    # Not only as the rule has it: 32 digits may be any of 22 characters, and the hyphens stay what they are.
    # With a wrapping, a quote or a space at either end only makes the ID too short.
    assert len(parsed.keys) == 32 * 22 + 4


@pytest.mark.parametrize("rows", [16_383, 16_384, 16_385, 40_000])
@pytest.mark.parametrize("every", [1, 2, 999])
def test_more_rows_than_are_decoded_at_once(rows: int, every: int) -> None:
    texts = [
        str(uuid.UUID(int=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)).encode()
        for number in range(rows)
    ]
    texts[every - 1 :: every] = [text[:-1] + b"g" for text in texts[every - 1 :: every]]
    texts[-1] = ZERO
    check(column(texts))


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=30), st.integers(1, 5))
def test_steps_make_no_difference(values: list[bytes], step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advertising_id_codec, "_STEP", step)
        check(column(values))


@pytest.mark.parametrize("id_case", ["lower", "upper"])
@given(st.lists(st.binary(min_size=16, max_size=16), max_size=40))
def test_lines_are_the_inverse(id_case: str, keys: list[bytes]) -> None:
    numbers = np.frombuffer(b"".join(keys), ">u8").reshape(-1, 2).astype(np.uint64)
    lines = advertising_id_lines(numbers, id_case=id_case)  # type: ignore[arg-type]

    written = "".join(f"{uuid.UUID(bytes=key)}\n" for key in keys)
    assert lines.decode() == (written if id_case == "lower" else written.upper())
    assert keys_of(check(column(lines.splitlines()))) == sorted(key for key in keys if any(key))


def test_lines_of_more_than_one_step() -> None:
    keys = np.random.default_rng(7).integers(1, 2**64, (50_001, 2), np.uint64)
    parsed = parse_advertising_ids(column_of_lines(advertising_id_lines(keys)))

    assert not parsed.rejected
    assert parsed.keys.tolist() == keys.tolist()


def test_threads_do_not_share_their_buffers(make_ids: MakeIds) -> None:
    from concurrent.futures import ThreadPoolExecutor

    columns = [column([text.encode() for text in make_ids(20_000, start=1 + 100_000 * part)]) for part in range(8)]
    alone = [parse_advertising_ids(item).keys.tolist() for item in columns]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            together = [parsed.keys.tolist() for parsed in pool.map(parse_advertising_ids, columns)]
            assert together == alone
