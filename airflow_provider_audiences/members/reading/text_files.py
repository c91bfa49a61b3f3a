r"""
Text files as blocks of whole lines, decompressed, with bounded memory.

Only ``\n`` ends a line. A line longer than 64 KiB is no member of anything: what lies behind that is passed over.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import zstandard

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.refusal import MAX_LINE_BYTES

_BLOCK_BYTES = 1 << 20
_LEAST_BLOCK_BYTES = 1 << 20
_PACKED_BLOCK_BYTES = 1 << 16
_PACKED_STEP_BYTES = 512
"""Given to Zstandard at once: what repeats itself becomes thousands of times as large in one go."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)))
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    _GZIP_MAGIC: "gzip within gzip",
    _ZSTD_MAGICS[0]: "Zstandard within another compression",
    b"PAR1": "Parquet",
    b"Obj\x01": "Avro",
}
_MAGIC_BYTES = 4


def text_blocks(stream: IO[bytes], *, name: str) -> Iterator[bytes]:
    """
    Yield the lines of an open file in blocks, decompressed if it is gzip or Zstandard.

    :param stream: opened in binary mode, at its beginning.
    :param name: of the file, for messages.
    :return: blocks of whole lines, each with its line ending; only the last may lack it.
    :raises InvalidInputError: its compressed data is damaged, or it is UTF-16.
    """
    return _whole_lines(unpacked_pieces(stream, name=name))


def unpacked_pieces(stream: IO[bytes], *, name: str) -> Iterator[bytes]:
    """
    Yield an open file's text in pieces of some size, decompressed if it is gzip or Zstandard.

    :param stream: opened in binary mode, at its beginning.
    :param name: of the file, for messages.
    :raises InvalidInputError: its compressed data is damaged, or it is UTF-16.
    """
    head = first_bytes(stream)
    compression = compression_of(head, name=name)
    pieces = _gathered(_UNPACKED[compression](_Pushback(head, stream), name))
    first = next(pieces, b"")
    refuse_other_formats(first, name=name)
    if first:
        yield first
    yield from pieces


def first_bytes(stream: IO[bytes]) -> bytes:
    """
    Return enough of a file to tell what it is.

    :param stream: opened in binary mode, at its beginning.
    """
    head = b""
    while len(head) < _MAGIC_BYTES and (more := stream.read(_MAGIC_BYTES - len(head))):
        head += more
    return head


def compression_of(head: bytes, *, name: str) -> str | None:
    """
    Return ``gzip``, ``zstd`` or None, by a file's content.

    :param head: its first bytes.
    :param name: of the file, for messages.
    :raises InvalidInputError: the name promises a compression that the content has not.
    """
    compression = "gzip" if head.startswith(_GZIP_MAGIC) else "zstd" if head.startswith(_ZSTD_MAGICS) else None
    for ending, promised in ((".gz", "gzip"), (".zst", "zstd")):
        if name.lower().endswith(ending) and compression != promised:
            raise InvalidInputError(f"{name} is named {ending} and is not {promised}")
    return compression


def refuse_other_formats(head: bytes, *, name: str) -> None:
    """
    Refuse what is no text in an encoding of ours: read line by line, some of it might look like members.

    :param head: the first bytes of what should be text.
    :param name: of the file, for messages.
    :raises InvalidInputError: it begins as UTF-16, as an archive or as a table does.
    """
    if head.startswith(_UTF16_MARKS):
        raise InvalidInputError(f"{name} is UTF-16: save it as UTF-8 or ASCII text")
    for magic, what in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise InvalidInputError(
                f"{name} is {what}, not text: unpack it, or say with a FileSource's file_format what it is"
            )


def _plain(stream: _Pushback, name: str) -> Iterator[bytes]:  # noqa: ARG001 - one signature for all
    return iter(lambda: stream.read(_BLOCK_BYTES), b"")


def _from_gzip(stream: _Pushback, name: str) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=cast("Any", stream), mode="rb") as unzipped:
            yield from iter(lambda: unzipped.read(_BLOCK_BYTES), b"")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InvalidInputError(f"{name} is damaged: its gzip data breaks off or does not add up") from None


def _from_zstd(stream: _Pushback, name: str) -> Iterator[bytes]:
    # zstandard's own reader takes data that breaks off for the end; a decompressor tells whether a frame is whole.
    unpacker: Any = None
    try:
        while packed := stream.read(_PACKED_BLOCK_BYTES):
            while packed:
                unpacker = unpacker or zstandard.ZstdDecompressor().decompressobj()
                step, packed = packed[:_PACKED_STEP_BYTES], packed[_PACKED_STEP_BYTES:]
                if piece := unpacker.decompress(step):
                    yield piece
                if unpacker.eof:
                    packed = unpacker.unused_data + packed
                    unpacker = None
    except zstandard.ZstdError:
        raise InvalidInputError(f"{name} is damaged: its Zstandard data does not add up") from None
    if unpacker is not None:
        raise InvalidInputError(f"{name} is damaged: its Zstandard data breaks off")


_UNPACKED = {None: _plain, "gzip": _from_gzip, "zstd": _from_zstd}


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces, as networks and decompressors give them."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _LEAST_BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut pieces at line ends; of a line that is too long only the beginning comes out."""
    rest = b""
    skipping = False
    for piece in pieces:
        block = rest + piece
        if skipping:
            _, newline, block = piece.partition(b"\n")
            skipping = not newline
            if skipping:
                continue
        end = block.rfind(b"\n") + 1
        if end:
            yield block[:end]
        rest = block[end:]
        if len(rest) > MAX_LINE_BYTES:
            yield rest[: MAX_LINE_BYTES + 1] + b"\n"
            rest, skipping = b"", True
    if rest:
        yield rest


class _Pushback:
    """A file whose first bytes have been read already."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._stream.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data
