"""Lines of files: block boundaries, long lines, gzip whole and damaged, encodings."""

import gzip
import io
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.advertising_id import Refusal, parse_advertising_id
from airflow_provider_audiences.members.lines import lines_of_file, lines_of_values

ID = b"c77bbe4e-6a28-11e4-bcda-14109fdf9591"
KEY = bytes.fromhex(ID.replace(b"-", b"").decode())
MIB = 1 << 20


class ShortReads(io.RawIOBase):
    """A file that returns at most so many bytes a read, as network file systems do."""

    def __init__(self, content: bytes, sizes: Iterable[int]) -> None:
        self._inner = io.BytesIO(content)
        self._sizes = list(sizes)
        self._reads = 0

    def read(self, size: int = -1) -> bytes:
        most = self._sizes[self._reads % len(self._sizes)]
        self._reads += 1
        return self._inner.read(most if size < 0 else min(size, most))


def read(content: bytes, *, name: str = "ids.txt", sizes: Iterable[int] = (MIB,)) -> list[bytes]:
    return list(lines_of_file(ShortReads(content, sizes), name=name))  # type: ignore[arg-type]


def expected(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"a", ID, b"\xe2\x80\xa8", b"\x85"])),
    st.lists(st.integers(1, 50), min_size=1),
)
def test_only_line_feeds_end_lines(parts: list[bytes], sizes: list[int]) -> None:
    content = b"".join(parts)
    assert read(content, sizes=sizes) == expected(content)


@given(st.binary(max_size=300), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_gzip_gives_the_same_lines(content: bytes, sizes: list[int]) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    assert read(gzip.compress(content, mtime=0), name="ids.gz", sizes=sizes) == expected(content)


def test_gzip_is_known_by_its_content_not_by_its_name() -> None:
    assert read(gzip.compress(ID), name="ids.txt") == [ID]


def test_gzip_of_several_members() -> None:
    content = gzip.compress(ID + b"\n") + gzip.compress(b"") + gzip.compress(b"x\ny")
    assert read(content) == [ID, b"x", b"y"]


@pytest.mark.parametrize("sizes", [(MIB,), (1,), (7, 3)])
def test_every_truncation_of_gzip_is_noticed(sizes: tuple[int, ...]) -> None:
    whole = gzip.compress(b"\n".join([ID] * 50), mtime=0)
    for length in range(len(whole)):
        with pytest.raises(InvalidInputError, match=r"ids\.gz is (damaged|named \.gz and is not gzip)"):
            read(whole[:length], name="ids.gz", sizes=sizes)


def test_every_flipped_byte_of_gzip_data_is_noticed() -> None:
    whole = gzip.compress(ID * 3, mtime=0)
    for position in range(10, len(whole)):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0x55
        try:
            lines = read(bytes(spoiled), name="ids.gz")
        except InvalidInputError as error:
            assert "damaged" in str(error)  # noqa: PT017 - most positions, not all
        else:
            assert lines == [ID * 3]


@pytest.mark.parametrize("garbage", [b"garbage", b"\x1f\x8bgarbage"])
def test_garbage_after_gzip(garbage: bytes) -> None:
    with pytest.raises(InvalidInputError, match="damaged"):
        read(gzip.compress(ID) + garbage)


@pytest.mark.parametrize("content", [ID, b"", b"\x1f", b"PK\x03\x04"])
def test_named_gz_and_not_gzip(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"ids\.txt\.gz is named \.gz and is not gzip"):
        read(content, name="ids.txt.gz")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("sizes", [(MIB,), (1,)])
def test_utf16(encoding: str, compressed: bool, sizes: tuple[int, ...]) -> None:
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    content = marks.get(encoding, b"") + ID.decode().encode(encoding)
    with pytest.raises(InvalidInputError, match="UTF-16: save it as UTF-8"):
        read(gzip.compress(content) if compressed else content, sizes=sizes)


def test_bom_of_utf8_is_part_of_the_first_line() -> None:
    (line,) = read(b"\xef\xbb\xbf" + ID)
    assert parse_advertising_id(line) == KEY


def test_empty_file() -> None:
    assert read(b"") == []
    assert read(gzip.compress(b""), name="ids.gz") == []


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 200_000, MIB - 1, MIB, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("sizes", [(MIB,), (1000,)])
def test_long_line_counts_once(length: int, end: bytes, sizes: tuple[int, ...]) -> None:
    lines = read(ID + b"\n" + b"x" * length + b"\n" + ID + end, sizes=sizes)

    assert [parse_advertising_id(line) for line in lines] == [KEY, Refusal.MALFORMED, KEY]
    assert all(len(line) <= MIB + (1 << 16) for line in lines)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(60_000, 70_000),
    st.sampled_from([b" ", b'"', b"x"]),
    st.booleans(),
    st.lists(st.integers(500, 90_000), min_size=1, max_size=4),
)
def test_block_boundaries_do_not_change_what_a_long_line_is(
    padding: int, char: bytes, before: bool, sizes: list[int]
) -> None:
    line = char * padding + ID if before else ID + char * padding
    content = b"a\n" + line + b"\n" + ID
    at_once = [parse_advertising_id(item) for item in read(content, sizes=[10 * MIB])]

    assert [parse_advertising_id(item) for item in read(content, sizes=sizes)] == at_once
    assert at_once[2] == KEY
    if len(line) > 1 << 16:
        assert at_once[1] is Refusal.MALFORMED


def test_very_long_lines_take_no_memory() -> None:
    import tracemalloc

    class Zeros(io.RawIOBase):
        left = 64

        def read(self, _size: int = -1) -> bytes:
            self.left -= 1
            return b"0" * MIB if self.left >= 0 else b""

    tracemalloc.start()
    lines = list(lines_of_file(Zeros(), name="zeros"))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(lines) == 1
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a", b"a"),
        (b"a", b"a"),
        (None, b""),
        ("", b""),
        ("\u4e2d", "\u4e2d".encode()),
        ("\ud800", b"\xed\xa0\x80"),
        ("a\nb", b"a\nb"),
        (uuid.UUID(ID.decode()), ID),
    ],
)
def test_values(value: Any, line: bytes) -> None:
    assert list(lines_of_values([value])) == [line]


@pytest.mark.parametrize("value", [7, 1.5, ["a"], ("a",), {"a": 1}, object(), True])
def test_values_that_are_no_members(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"^source, item 2: a {type(value).__name__} is not a member"):
        list(lines_of_values(["a", value]))
