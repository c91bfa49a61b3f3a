"""Blocks of text files: boundaries, long lines, gzip and Zstandard whole and damaged, encodings."""

import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import column_of_lines
from airflow_provider_audiences.members.identifiers.advertising_id import parse_advertising_id
from airflow_provider_audiences.members.reading import text_files
from airflow_provider_audiences.members.reading.text_files import text_blocks
from airflow_provider_audiences.members.reject_reasons import RejectReason

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


def zstd(content: bytes, *, checksum: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum).compress(content)


def skippable(content: bytes, number: int = 0) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": zstd,
}


def read(content: bytes, *, name: str = "ids.txt", sizes: Iterable[int] = (MIB,)) -> list[bytes]:
    blocks = list(text_blocks(ShortReads(content, sizes), name=name))
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert all(blocks)
    columns = [column_of_lines(block) for block in blocks]
    return [column.text(row) for column in columns for row in range(len(column))]


def expected(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"a", ID, b"\xe2\x80\xa8", b"\x85", b"\x0b", b"\x1c"])),
    st.lists(st.integers(1, 50), min_size=1),
    st.integers(1, 60),
)
def test_only_line_feeds_end_lines(parts: list[bytes], sizes: list[int], block_bytes: int) -> None:
    content = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_MIN_BLOCK_BYTES", block_bytes)
        patch.setattr(text_files, "_BLOCK_BYTES", 2 * block_bytes)
        assert read(content, sizes=sizes) == expected(content)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@settings(deadline=None)
@given(content=st.binary(max_size=300), sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_any_content_and_any_reads(compression: str, content: bytes, sizes: list[int]) -> None:
    # Not binary, and no other format: what is refused has tests of its own.
    content = ID * 200 + b"\n" + content
    packed = COMPRESSIONS[compression](content)
    assert read(packed, name=f"ids{compression}", sizes=sizes) == expected(content)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("lines", [113_000, 113_359, 113_360, 113_361, 400_000])
def test_sizes_around_those_of_blocks(compression: str, lines: int) -> None:
    content = b"".join(b"%08x-6a28-11e4-bcda-14109fdf9591\n" % (number * 2654435761 % 2**32) for number in range(lines))
    assert read(COMPRESSIONS[compression](content), name=f"ids{compression}", sizes=(8 * MIB,)) == expected(content)


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_compression_is_known_by_content_not_by_name(compression: str) -> None:
    assert read(COMPRESSIONS[compression](ID), name="ids.txt") == [ID]


def test_gzip_of_several_members() -> None:
    content = gzip.compress(ID + b"\n") + gzip.compress(b"") + gzip.compress(b"x\ny")
    assert read(content) == [ID, b"x", b"y"]
    assert read(content + bytes(512)) == [ID, b"x", b"y"]  # as tapes and block devices pad it


@pytest.mark.parametrize("sizes", [(MIB,), (1,), (7, 3)])
@pytest.mark.parametrize("checksum", [False, True])
def test_zstandard_of_several_frames(sizes: tuple[int, ...], checksum: bool) -> None:
    frames = [
        zstd(ID + b"\n", checksum=checksum),
        skippable(b"a note", 3),
        zstd(b"", checksum=checksum),
        zstd(b"x\ny", checksum=checksum),
        skippable(b"", 15),
    ]
    assert read(b"".join(frames), name="ids.zst", sizes=sizes) == [ID, b"x", b"y"]


@pytest.mark.parametrize("number", range(16))
def test_zstandard_that_begins_with_a_skippable_frame(number: int) -> None:
    assert read(skippable(ID, number) + zstd(b"x")) == [b"x"]


@pytest.mark.parametrize("checksum", [False, True])
def test_zstandard_larger_than_its_window(checksum: bool) -> None:
    content = b"".join(b"%036d\n" % number for number in range(600_000))
    half = content.index(b"\n", len(content) // 2) + 1
    packed = zstd(content[:half], checksum=checksum) + zstd(content[half:], checksum=checksum)
    assert b"".join(text_blocks(io.BytesIO(packed), name="x")) == content


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize("sizes", [(MIB,), (1,), (7, 3)])
def test_every_truncation_is_noticed(compression: str, sizes: tuple[int, ...]) -> None:
    whole = COMPRESSIONS[compression](b"\n".join([ID] * 50))
    for length in range(1, len(whole)):
        with pytest.raises(InvalidInputError, match=r"ids\.(gz|zst) is (damaged|named \.(gz|zst) and is not)"):
            read(whole[:length], name=f"ids{compression}", sizes=sizes)


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_truncation_far_from_the_beginning(compression: str) -> None:
    content = b"".join(
        b"%08x-6a28-11e4-bcda-14109fdf9591\n" % (number * 2654435761 % 2**32) for number in range(200_000)
    )
    whole = COMPRESSIONS[compression](content)
    for length in (len(whole) // 2, len(whole) - 1000, len(whole) - 1, 65_536, 65_537):
        with pytest.raises(InvalidInputError, match="damaged"):
            read(whole[:length])


def test_every_truncation_of_the_last_of_several_frames() -> None:
    first, second = zstd(ID + b"\n"), zstd(ID)
    for length in range(1, len(second)):
        with pytest.raises(InvalidInputError, match="damaged"):
            read(first + second[:length])


@pytest.mark.parametrize(("compression", "header"), [(".gz", 10), (".zst", 4)])
@pytest.mark.parametrize("mask", [0x55, 0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_noticed(compression: str, header: int, mask: int) -> None:
    content = b"".join(b"%08x-6a28-11e4-bcda-14109fdf9591\n" % (number * 2654435761 % 2**32) for number in range(9))
    whole = COMPRESSIONS[compression](content)
    noticed = 0
    for position in range(header, len(whole)):
        spoiled = bytearray(whole)
        spoiled[position] ^= mask
        try:
            lines = read(bytes(spoiled), name=f"ids{compression}")
        except InvalidInputError as error:
            assert "damaged" in str(error)  # noqa: PT017 - most positions, not all
            noticed += 1
        else:
            assert lines == expected(content)
    assert noticed > 0.9 * (len(whole) - header)


@pytest.mark.parametrize(("compression", "magic"), [(".gz", b"\x1f\x8b"), (".zst", b"\x28\xb5\x2f\xfd")])
def test_garbage_behind(compression: str, magic: bytes) -> None:
    for garbage in (b"garbage", magic + b"garbage", ID):
        with pytest.raises(InvalidInputError, match="damaged"):
            read(COMPRESSIONS[compression](ID) + garbage)


@pytest.mark.parametrize("ending", [".gz", ".zst", ".GZ"])
@pytest.mark.parametrize("content", [ID, b"\n", b"\x1f", b"\x28\xb5", b"PK\x03\x04"])
def test_names_that_promise_a_compression(ending: str, content: bytes) -> None:
    with pytest.raises(InvalidInputError, match=rf"ids\.txt\{ending} is named \{ending.lower()} and is not"):
        read(content, name=f"ids.txt{ending}")


def test_one_compression_named_as_the_other() -> None:
    with pytest.raises(InvalidInputError, match=r"is named \.gz and is not gzip"):
        read(zstd(ID), name="a.gz")
    with pytest.raises(InvalidInputError, match=r"is named \.zst and is not zstd"):
        read(gzip.compress(ID), name="a.zst")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("sizes", [(MIB,), (1,)])
def test_utf16(encoding: str, compression: str, sizes: tuple[int, ...]) -> None:
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    content = marks.get(encoding, b"") + ID.decode().encode(encoding)
    with pytest.raises(InvalidInputError, match="UTF-16: save it as UTF-8"):
        read(COMPRESSIONS[compression](content), sizes=sizes)


def test_bom_of_utf8_is_part_of_the_first_line() -> None:
    (line,) = read(b"\xef\xbb\xbf" + ID)
    assert parse_advertising_id(line) == KEY


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_empty_file(compression: str) -> None:
    assert read(b"", name=f"ids{compression}") == []
    assert read(COMPRESSIONS[compression](b""), name=f"ids{compression}") == []


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 200_000, MIB - 1, MIB, MIB + 1, 3 * MIB, 9 * MIB])
@pytest.mark.parametrize("sizes", [(8 * MIB,), (1000,)])
def test_long_line_counts_once(length: int, end: bytes, sizes: tuple[int, ...]) -> None:
    lines = read(ID + b"\n" + b"x" * length + b"\n" + ID + end, sizes=sizes)

    assert [parse_advertising_id(line) for line in lines] == [KEY, RejectReason.MALFORMED, KEY]
    assert all(len(line) <= 4 * MIB + (1 << 16) for line in lines)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(60_000, 70_000),
    st.sampled_from([b" ", b'"', b"x"]),
    st.booleans(),
    st.lists(st.integers(500, 90_000), min_size=1, max_size=4),
    st.integers(1, 200_000),
)
def test_block_boundaries_do_not_change_what_a_long_line_is(
    padding: int, char: bytes, before: bool, sizes: list[int], block_bytes: int
) -> None:
    line = char * padding + ID if before else ID + char * padding
    content = b"a\n" + line + b"\n" + ID
    at_once = [parse_advertising_id(item) for item in read(content, sizes=[10 * MIB])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_MIN_BLOCK_BYTES", block_bytes)
        assert [parse_advertising_id(item) for item in read(content, sizes=sizes)] == at_once
    assert at_once[2] == KEY
    if len(line) > 1 << 16:
        assert at_once[1] is RejectReason.MALFORMED


class Zeros(io.RawIOBase):
    left = 64

    def read(self, _size: int = -1) -> bytes:
        self.left -= 1
        return b"0" * MIB if self.left >= 0 else b""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_very_long_lines_take_no_memory(compression: str) -> None:
    packed = COMPRESSIONS[compression](b"0" * (64 * MIB)) if compression else b""
    tracemalloc.start()
    stream = io.BytesIO(packed) if compression else Zeros()
    sizes = [len(block) for block in text_blocks(stream, name="zeros")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(sizes) == 1
    assert peak < 64 * MIB


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_what_repeats_itself_takes_no_memory(compression: str) -> None:
    """Half of a sorted file may be the ID of devices that give none: some KiB become hundreds of MiB."""
    packed = COMPRESSIONS[compression](b"00000000-0000-0000-0000-000000000000\n" * 6_000_000)
    assert len(packed) < MIB
    tracemalloc.start()
    size = sum(map(len, text_blocks(io.BytesIO(packed), name="zeros")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size == 37 * 6_000_000
    assert peak < 48 * MIB


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_error_of_the_store_comes_through(compression: str) -> None:
    class Breaks(io.RawIOBase):
        def __init__(self) -> None:
            self._content = io.BytesIO(COMPRESSIONS[compression](ID * 100)[:40])

        def read(self, size: int = -1) -> bytes:
            if data := self._content.read(min(size, 10)):
                return data
            raise TimeoutError("the store is slow")

    with pytest.raises(TimeoutError, match="slow"):
        list(text_blocks(Breaks(), name=f"ids{compression}"))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    ("magic", "said"), [(b"PK\x03\x04", "zip"), (b"BZh91AY&SY", "bzip2"), (b"PAR1", "Parquet"), (b"Obj\x01", "Avro")]
)
def test_archives_and_tables_are_no_text(compression: str, magic: bytes, said: str) -> None:
    # Read line by line, some of what is stored in them would look like members.
    content = magic + b"\n" + ID + b"\n"
    with pytest.raises(InvalidInputError, match=f"is {said}|is a {said}"):
        read(COMPRESSIONS[compression](content), name=f"ids{compression}")


def test_gzip_within_gzip_is_no_text() -> None:
    with pytest.raises(InvalidInputError, match="gzip within another compression"):
        read(gzip.compress(gzip.compress(ID)), name="ids.gz")
