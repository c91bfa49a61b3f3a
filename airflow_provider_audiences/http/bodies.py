"""Reading the body of a reply: it is unpacked in pieces, so that a body that is too large never takes much memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_audiences.exceptions import ConnectionFailedError
from airflow_provider_audiences.http.exchange import MAX_REPLY_BYTES

if TYPE_CHECKING:
    import requests

ACCEPTED_ENCODING = "gzip"
"""The only compression that requests accept for the reply."""

_PIECE_BYTES = 64 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})


def whole_body(response: requests.Response, *, max_bytes: int = MAX_REPLY_BYTES) -> bytes:
    """
    Read a reply's body to its end.

    :param response: response whose body was not read yet.
    :param max_bytes: largest unpacked body, in bytes.
    :return: the body, unpacked.
    :raises ConnectionFailedError: the body is too large, cut off, or compressed in a way that was not accepted.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    pieces: Iterator[bytes] = response.raw.stream(_PIECE_BYTES, decode_content=False)
    if encoding in _GZIP_NAMES:
        pieces = _unpacked(pieces, response.status_code)
    elif encoding not in {"", "identity"}:
        raise _refused(
            f"the reply is packed as it was not asked for: only {ACCEPTED_ENCODING} was accepted", response.status_code
        )
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            raise too_large(response.status_code, max_bytes=max_bytes)
    return bytes(body)


def too_large(status: int | None, *, max_bytes: int = MAX_REPLY_BYTES) -> ConnectionFailedError:
    """
    Return the error for a reply that is too large.

    :param status: HTTP status of the reply; None if its headers are too large.
    :param max_bytes: largest allowed body, in bytes.
    """
    what = "a head" if status is None else "a body"
    most = "1 MB" if status is None else f"{max_bytes >> 20} MB"
    return _refused(f"the reply has {what} of more than {most}, and was not read further", status)


def _refused(message: str, status: int | None) -> ConnectionFailedError:
    return ConnectionFailedError(
        message,
        http_status=status,
        maybe_applied=True,
        advice="Check the connection's host, and proxies between this worker and the platform; "
        "whether the request was carried out is unknown.",
    )


def _unpacked(pieces: Iterator[bytes], status: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    is_empty = True
    try:
        for piece in pieces:
            is_empty = False
            packed = piece
            while packed:
                if unpacker.eof:  # a gzip body may have several parts, one after the other
                    unpacker = zlib.decompressobj(_GZIP_WINDOW)
                yield unpacker.decompress(packed, _PIECE_BYTES)
                packed = unpacker.unconsumed_tail or unpacker.unused_data
    except zlib.error:
        raise _refused("the reply says that it is gzip, and is not", status) from None
    if not is_empty and not unpacker.eof:
        raise ConnectionFailedError(
            "the reply was cut off, in the middle of its gzip",
            http_status=status,
            maybe_applied=True,
            too_large="maybe",
            advice="Whether the platform carried the request out is unknown.",
        )
