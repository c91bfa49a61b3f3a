r"""
Line ends of CSV: one kind a file, as DuckDB wants them.

A file with ``\r\n`` here and ``\n`` there, or with ``\r`` alone, gets ``\n`` everywhere, within quotes as well: white
space around a member is passed over anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 4 << 20


def line_ends_differ(path: Path) -> bool:
    r"""
    Tell whether a file has other line ends than only ``\n``, or only ``\r\n``.

    :param path: of the file, on this machine.
    """
    feeds = returns = pairs = 0
    before = b""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            feeds += block.count(b"\n")
            if found := block.count(b"\r"):
                returns += found
                pairs += block.count(b"\r\n")
            pairs += before == b"\r" and block[:1] == b"\n"
            # One pair may be cut in two by the end of the block.
            if returns and max(feeds, returns) - pairs > 1:
                return True
            before = block[-1:]
    return returns > 0 and not feeds == returns == pairs


def with_line_feeds(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""
    Yield text in which only ``\n`` ends a line.

    :param pieces: of the text, cut anywhere.
    """
    after_return = False
    for piece in pieces:
        block = piece[1:] if after_return and piece[:1] == b"\n" else piece
        after_return = piece[-1:] == b"\r" if piece else after_return
        yield block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
