r"""
Lines of a source, as bytes, with bounded memory.

Only ``\n`` ends a line (a ``\r`` before it is white space): what else Unicode calls a line break is part of
the line. A line longer than 64 KiB is no member of anything; its end is passed over unread.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, Any, cast
from uuid import UUID

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.advertising_id import MAX_LINE_BYTES

_BLOCK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def lines_of_file(stream: IO[bytes], *, name: str) -> Iterator[bytes]:
    """
    Yield the lines of an open file, decompressed if it is gzip.

    :param stream: opened in binary mode, at its beginning.
    :param name: of the file, for messages.
    :raises InvalidInputError: it is damaged gzip, or UTF-16.
    """
    head = stream.read(_BLOCK_BYTES)
    while len(head) < len(_GZIP_MAGIC) and (more := stream.read(_BLOCK_BYTES)):
        head += more
    if not head.startswith(_GZIP_MAGIC):
        if name.endswith(".gz"):
            raise InvalidInputError(f"{name} is named .gz and is not gzip")
        yield from _lines_of_text(head, stream.read, name=name)
        return
    try:
        with gzip.GzipFile(fileobj=cast("Any", _Pushback(head, stream)), mode="rb") as unzipped:
            yield from _lines_of_text(unzipped.read(_BLOCK_BYTES), unzipped.read, name=name)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InvalidInputError(f"{name} is damaged: its gzip data breaks off or does not add up") from None


def lines_of_values(values: Iterable[object]) -> Iterator[bytes]:
    """
    Yield each value as a line.

    :param values: text or bytes, one member each; None counts as blank.
    :raises InvalidInputError: a value is of another type.
    """
    for position, value in enumerate(values, start=1):
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, str):
            yield value.encode("utf-8", errors="surrogatepass")
        elif value is None:
            yield b""
        elif isinstance(value, UUID):
            yield str(value).encode("ascii")
        else:
            raise InvalidInputError(f"source, item {position}: a {type(value).__name__} is not a member: give text")


def _lines_of_text(head: bytes, read: Callable[[int], bytes], *, name: str) -> Iterator[bytes]:
    if head.startswith(_UTF16_MARKS):
        raise InvalidInputError(f"{name} is UTF-16: save it as UTF-8 or ASCII text")
    yield from _split(chain([head], iter(lambda: read(_BLOCK_BYTES), b"")))


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Split blocks at newlines; of a line that is too long only the beginning comes out."""
    rest = b""
    skipping = False
    for block in blocks:
        *complete, tail = (rest + block).split(b"\n")
        if skipping and complete:
            del complete[0]
            skipping = False
        yield from complete
        if skipping:
            rest = b""
        elif len(tail) > MAX_LINE_BYTES:
            yield tail[: MAX_LINE_BYTES + 1]
            rest = b""
            skipping = True
        else:
            rest = tail
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
