r"""
Line ends of CSV: DuckDB needs one kind in a file.

A file with both ``\r\n`` and ``\n``, or with ``\r`` alone, gets ``\n`` everywhere, within quotes as well; that is
harmless, as white space around a member is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 4 << 20


def line_ends_differ(path: Path) -> bool:
    r"""
    Return whether a file has line ends that need :func:`with_line_feeds`: more than one kind, or ``\r`` alone.

    :param path: the file on this machine.
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
            # The end of a block may cut one pair in two, so a difference of 1 is no proof.
            if returns and max(feeds, returns) - pairs > 1:
                return True
            before = block[-1:]
    return returns > 0 and not feeds == returns == pairs


def with_line_feeds(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""
    Yield text with all line ends replaced by ``\n``.

    :param pieces: pieces of the text, cut at any byte.
    """
    after_return = False
    for piece in pieces:
        block = piece[1:] if after_return and piece[:1] == b"\n" else piece
        after_return = piece[-1:] == b"\r" if piece else after_return
        yield block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
