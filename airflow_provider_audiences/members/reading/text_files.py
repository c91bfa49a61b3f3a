r"""
Reading of text files as blocks of whole lines: decompressed, in UTF-8, with bounded memory.

Only ``\n`` ends a line. A line longer than 64 KiB can't be a member: the rest of it is skipped.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol, cast

import zstandard

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.encodings import transcoded
from airflow_provider_audiences.members.reading.signatures import (
    GZIP_MAGIC,
    HEAD_BYTES,
    ZSTD_MAGICS,
    refuse_binary,
    refuse_other_formats,
)
from airflow_provider_audiences.members.reject_reasons import MAX_LINE_BYTES
from airflow_provider_audiences.members.workspace import MIN_WINDOW_BYTES

_BLOCK_BYTES = 1 << 20
_MIN_BLOCK_BYTES = 1 << 20
_PACKED_BLOCK_BYTES = 1 << 16
_PACKED_STEP_BYTES = 512
"""
Compressed bytes given to Zstandard at once: repetitive data becomes thousands of times larger when it is unpacked.
"""

_WINDOW_TOO_LARGE = "requires too much memory"
_MAGIC_BYTES = 4


class Readable(Protocol):
    """The part of a binary file's interface that reading needs."""

    def read(self, size: int, /) -> bytes:
        """Return at most that many bytes; none at the end of the file."""


def text_blocks(
    stream: Readable, *, name: str, encoding: str | None = None, most_window_bytes: int = MIN_WINDOW_BYTES
) -> Iterator[bytes]:
    """
    Yield the lines of an open file in blocks, decompressed (gzip, Zstandard) and in UTF-8.

    :param stream: file opened in binary mode, at its beginning.
    :param name: name of the file, for messages.
    :param encoding: name of the Python codec of the text; None for UTF-8, or any encoding that contains ASCII: the
        bytes are yielded as they are.
    :param most_window_bytes: most memory for the window of a Zstandard decompressor; default 8 MiB.
    :return: blocks of whole lines, each with its line ending; only the last may lack it.
    :raises InvalidInputError: the file is damaged, is not text, or is not in that encoding.
    """
    return _whole_lines(unpacked_pieces(stream, name=name, encoding=encoding, most_window_bytes=most_window_bytes))


def unpacked_pieces(
    stream: Readable,
    *,
    name: str,
    encoding: str | None = None,
    wanted: str = "text",
    most_window_bytes: int = MIN_WINDOW_BYTES,
) -> Iterator[bytes]:
    """
    Yield the text of an open file in pieces cut at any byte, decompressed (gzip, Zstandard) and in UTF-8.

    :param stream: file opened in binary mode, at its beginning.
    :param name: name of the file, for messages.
    :param encoding: as for :func:`text_blocks`.
    :param wanted: the expected format, for messages.
    :param most_window_bytes: as for :func:`text_blocks`.
    :raises InvalidInputError: the file is damaged, is not text, or is not in that encoding.
    """
    head = first_bytes(stream)
    compression = compression_of(head, name=name)
    packed = _Pushback(head, stream)
    if compression == "zstd":
        pieces = _gathered(_from_zstd(packed, name, most_window_bytes))
    else:
        pieces = _gathered(_from_gzip(packed, name) if compression == "gzip" else _plain(packed))
    first = next(pieces, b"")
    refuse_other_formats(first[:HEAD_BYTES], name=name, wanted=wanted, encoding=encoding)
    pieces = chain([first] if first else [], pieces)
    if encoding is None:
        yield from pieces
        return
    pieces = _gathered(transcoded(pieces, encoding=encoding, name=name))
    first = next(pieces, b"")
    refuse_binary(first, name=name, wanted=wanted)
    yield from chain([first] if first else [], pieces)


def first_bytes(stream: Readable) -> bytes:
    """
    Return the first four bytes of a file, which tell its compression; fewer if the file is shorter.

    :param stream: file opened in binary mode, at its beginning; afterwards it is behind those bytes.
    """
    head = b""
    while len(head) < _MAGIC_BYTES and (more := stream.read(_MAGIC_BYTES - len(head))):
        head += more
    return head


def compression_of(head: bytes, *, name: str) -> str | None:
    """
    Return ``gzip``, ``zstd`` or None by the first bytes of a file.

    :param head: the first four bytes or more.
    :param name: name of the file, whose ending must not contradict them.
    :raises InvalidInputError: the name ends in ``.gz`` or ``.zst``, and the content is not of that format.
    """
    compression = "gzip" if head.startswith(GZIP_MAGIC) else "zstd" if head.startswith(ZSTD_MAGICS) else None
    for ending, promised in ((".gz", "gzip"), (".zst", "zstd")):
        # A file of 0 bytes has no rows, whatever its name says.
        if head and name.lower().endswith(ending) and compression != promised:
            raise InvalidInputError(f"{name} is named {ending} and is not {promised}")
    return compression


def _plain(stream: _Pushback) -> Iterator[bytes]:
    return iter(lambda: stream.read(_BLOCK_BYTES), b"")


def _from_gzip(stream: _Pushback, name: str) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=cast("Any", stream), mode="rb") as unzipped:
            yield from iter(lambda: unzipped.read(_BLOCK_BYTES), b"")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InvalidInputError(f"{name} is damaged: its gzip data breaks off or does not add up") from None


def _from_zstd(stream: _Pushback, name: str, most_window_bytes: int) -> Iterator[bytes]:
    # zstandard's own reader takes cut-off data for complete; a decompressor tells whether a frame is complete.
    unpacker: Any = None
    try:
        while packed := stream.read(_PACKED_BLOCK_BYTES):
            while packed:
                unpacker = unpacker or zstandard.ZstdDecompressor(max_window_size=most_window_bytes).decompressobj()
                step, packed = packed[:_PACKED_STEP_BYTES], packed[_PACKED_STEP_BYTES:]
                if piece := unpacker.decompress(step):
                    yield piece
                if unpacker.eof:
                    packed = unpacker.unused_data + packed
                    unpacker = None
    except zstandard.ZstdError as error:
        if _WINDOW_TOO_LARGE in str(error):
            raise InvalidInputError(
                f"{name} is Zstandard with a window of more than {most_window_bytes >> 20} MiB, which takes as much "
                "memory to unpack, or it is damaged: compress it without --long and --ultra, or raise [audiences] "
                "memory_limit; nothing was sent"
            ) from None
        raise InvalidInputError(f"{name} is damaged: its Zstandard data does not add up") from None
    if unpacker is not None:
        raise InvalidInputError(f"{name} is damaged: its Zstandard data breaks off")


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces, as networks and decompressors deliver them, into pieces of at least 1 MiB."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _MIN_BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut pieces at line ends; of a line longer than 64 KiB only the beginning is yielded."""
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
    """A file of which the first bytes were read already: they are read again."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._stream.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data
