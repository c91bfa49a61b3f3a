"""Conversion of text in other encodings to UTF-8, piece by piece."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_audiences.exceptions import InvalidInputError

_STEP_BYTES = 1 << 20
_MARK = "\ufeff"


def transcoded(pieces: Iterator[bytes], *, encoding: str, name: str) -> Iterator[bytes]:
    """
    Yield text converted to UTF-8, without a byte order mark.

    :param pieces: pieces of the text, cut at any byte.
    :param encoding: name of the Python codec of the text.
    :param name: name of the file, for messages.
    :raises InvalidInputError: the text has bytes that are invalid in that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    line = 1
    is_first = True
    for piece in _with_last(pieces):
        try:
            text = decoder.decode(piece or b"", final=piece is None)
        except UnicodeError as error:
            # The text before the error tells its line; the bytes themselves must not be shown.
            data = getattr(error, "object", b"")
            before = data[: getattr(error, "start", 0)] if isinstance(data, bytes) else b""
            line += before.decode(encoding, errors="ignore").count("\n")
            failure = InvalidInputError(
                f"{name}, near line {line}: it is not {encoding} text, as encoding= says; nothing was sent",
                advice="Say with encoding= what the file was written in, such as 'gb18030', 'cp1252' or 'utf-16'.",
            )
        else:
            if is_first and text:
                text, is_first = text.removeprefix(_MARK), False
            line += text.count("\n")
            # A lone surrogate can't be UTF-8: it becomes '?', and its text is rejected.
            if text:
                yield text.encode("utf-8", errors="replace")
            continue
        # Not in the handler: there Python's error, with the data in it, would be attached to this one.
        raise failure


def line_that_is_not_utf8(path: Path) -> int | None:
    """
    Return the number of the first line that is not UTF-8, counted from 1; None if all lines are.

    :param path: the file on this machine.
    """
    line = 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        while True:
            block = stream.read(_STEP_BYTES)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return line + error.object[: error.start].count(b"\n")
            if not block:
                return None
            line += block.count(b"\n")


def _with_last(pieces: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield the pieces cut small, so that decoding one needs little memory; None after the last one."""
    for piece in pieces:
        for first in range(0, len(piece), _STEP_BYTES):
            yield piece[first : first + _STEP_BYTES]
    yield None
