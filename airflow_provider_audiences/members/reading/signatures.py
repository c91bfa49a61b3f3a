"""
Recognition of files that are not text by their first bytes.

Read line by line, an archive or a binary table could have bytes that look like members, and everything else would count
as malformed. So such a file is refused, and the message says what it is.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from dataclasses import dataclass

from airflow_provider_audiences.exceptions import InvalidInputError

HEAD_BYTES = 1 << 16
"""Number of bytes at the beginning of a file that are looked at."""

PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)))
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

_UNPACK = "unpack it"
_CONVERT = "convert it to Parquet, CSV or text"
_FORMAT = "say with a FileSource's file_format what it is"
_EXPORT = "export it as CSV"

# Line ends, tabs and form feeds are text; so are the separators of Hive (1 to 3), ASCII's own (1c to 1f), escape.
_CONTROLS = bytes({*range(0x20), 0x7F} - {1, 2, 3, 9, 10, 11, 12, 13, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F})
_MAX_CONTROLS = 0.02
"""Greatest share of control bytes in text: a stray one makes a malformed line; in random bytes the share is 7 %."""

_BEGINNING_BYTES = 32
_TAR_BLOCK_BYTES = 512
_TAR_CHECKSUM = slice(148, 156)
_UTF16_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class _Signature:
    """
    How files of a format begin.

    :param magic: regular expression that the first bytes match.
    :param what: name of the format, with its article if it has one.
    :param advice: what to do with such a file.
    :param is_word: whether text may begin in this way, too; then the file must also have control bytes.
    """

    magic: bytes
    what: str
    advice: str
    is_word: bool = False


_SIGNATURES = [
    _Signature(
        magic=rb"PK\x03\x04.{26}(\[Content_Types\]\.xml|_rels/|docProps/|xl/)",
        what="an Excel workbook (or another Office file)",
        advice=_EXPORT,
    ),
    _Signature(magic=rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis", what="an OpenDocument file", advice=_EXPORT),
    _Signature(magic=rb"PK(\x03\x04|\x05\x06|\x07\x08)", what="a zip archive", advice=_UNPACK),
    _Signature(magic=rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", what="an old Excel workbook (.xls)", advice=_EXPORT),
    _Signature(magic=rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", what="bzip2", advice=_UNPACK),
    _Signature(magic=rb"\xfd7zXZ\x00", what="xz", advice=_UNPACK),
    _Signature(magic=rb"\x5d\x00\x00..", what="lzma", advice=_UNPACK),
    _Signature(magic=rb"\x1f\x8b", what="gzip within another compression", advice=_UNPACK),
    _Signature(magic=rb"\x28\xb5\x2f\xfd", what="Zstandard within another compression", advice=_UNPACK),
    _Signature(magic=rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", what="lz4", advice=_UNPACK),
    _Signature(magic=rb"\xff\x06\x00\x00sNaPpY", what="snappy", advice=_UNPACK),
    _Signature(magic=rb"\x89LZO\x00", what="lzo", advice=_UNPACK),
    _Signature(magic=rb"\x1f[\x9d\xa0]", what="a .Z file of compress", advice=_UNPACK),
    _Signature(magic=rb"\x78[\x01\x5e\x9c\xda]", what="zlib", advice=_UNPACK, is_word=True),
    _Signature(magic=rb"7z\xbc\xaf\x27\x1c", what="a 7z archive", advice=_UNPACK),
    _Signature(magic=rb"Rar!\x1a\x07", what="a rar archive", advice=_UNPACK),
    _Signature(magic=rb"!<arch>\n", what="an ar archive", advice=_UNPACK),
    _Signature(magic=rb"PAR1", what="Parquet", advice=_FORMAT),
    _Signature(magic=rb"PARE", what="encrypted Parquet", advice="decrypt it", is_word=True),
    _Signature(magic=rb"ORC", what="ORC", advice=_CONVERT, is_word=True),
    _Signature(magic=rb"Obj\x01", what="Avro", advice=_CONVERT),
    _Signature(magic=rb"ARROW1|FEA1|\xff\xff\xff\xff..\x00\x00", what="Arrow (Feather)", advice=_CONVERT, is_word=True),
    _Signature(magic=rb"SEQ[\x00-\x06]", what="a Hadoop sequence file", advice=_CONVERT),
    _Signature(magic=rb"RCF[\x00-\x03]", what="RCFile", advice=_CONVERT),
    _Signature(magic=rb"SQLite format 3\x00", what="a SQLite database", advice="give an SqlSource, or export a table"),
    _Signature(magic=rb".{8}DUCK", what="a DuckDB database", advice="export a table", is_word=True),
    _Signature(magic=rb"\x89HDF\r\n\x1a\n", what="HDF5", advice=_CONVERT),
    _Signature(magic=rb"\x93NUMPY", what="a NumPy array", advice=_CONVERT),
    _Signature(magic=rb"\x80[\x02-\x05][\x95\]\}cX(]", what="a pickle of Python", advice=_CONVERT),
    _Signature(magic=rb"%PDF-", what="PDF", advice=_EXPORT),
    _Signature(magic=rb"-----BEGIN PGP MESSAGE", what="encrypted by PGP", advice="decrypt it"),
    _Signature(
        magic=rb"\s*(?i:<!doctype html|<html)",
        what="a web page (HTML)",
        advice="look whether it is a login or an error page",
    ),
    _Signature(magic=rb"\s*<\?xml", what="XML", advice=_EXPORT),
]
_PATTERNS = [(re.compile(signature.magic, re.DOTALL), signature) for signature in _SIGNATURES]


def refuse_other_formats(head: bytes, *, name: str, wanted: str = "text", encoding: str | None = None) -> None:
    """
    Raise an error if a file is not text.

    :param head: first bytes of the file, unpacked: up to HEAD_BYTES.
    :param name: name of the file, for messages.
    :param wanted: the expected format, for messages.
    :param encoding: encoding that the user gave; None for UTF-8.
    :raises InvalidInputError: it begins like an archive or a table, or is binary, or is UTF-16 and no encoding was
        given.
    """
    if encoding is None and head.startswith(UTF16_MARKS):
        raise InvalidInputError(f"{name} is UTF-16: save it as UTF-8, or say encoding='utf-16' in a FileSource")
    if encoding is not None and head.startswith(BOM_UTF8):
        raise InvalidInputError(f"{name} is UTF-8 by its byte order mark, not {encoding}: leave encoding out")
    found = _signature_of(head)
    if found:
        what, advice = found
        raise InvalidInputError(f"{name} is {what}, not {wanted}: {advice}; nothing was sent")
    if encoding is None:
        refuse_binary(head, name=name, wanted=wanted)


def refuse_binary(head: bytes, *, name: str, wanted: str = "text") -> None:
    """
    Raise an error if a file has bytes that no program writes as text.

    :param head: first bytes of the file, in UTF-8 or another encoding that contains ASCII.
    :param name: name of the file, for messages.
    :param wanted: the expected format, for messages.
    :raises InvalidInputError: there is a NUL near the beginning, or control bytes are frequent.
    """
    head = head[:HEAD_BYTES]
    controls = _control_count(head)
    if not controls:
        return
    pairs = len(head) // 2
    if max(head[0::2].count(0), head[1::2].count(0)) > 2 * _UTF16_SHARE * pairs and pairs > 1 and head.strip(b"\0"):
        raise InvalidInputError(
            f"{name} is binary, or UTF-16 without a byte order mark: save it as UTF-8, or say "
            "encoding='utf-16-le' or 'utf-16-be' in a FileSource; nothing was sent"
        )
    if b"\0" in head[:_BEGINNING_BYTES] or controls > _MAX_CONTROLS * len(head):
        raise InvalidInputError(
            f"{name} is binary, not {wanted} (control bytes are among its first {len(head)}): convert it to text, CSV, "
            "JSON lines or Parquet; nothing was sent"
        )


def name_of_format(head: bytes) -> str | None:
    """
    Return the name of a file's format if it is not text, for a message; None if its first bytes are of no known format.

    :param head: first bytes of the file.
    """
    found = _signature_of(head)
    return found[0] if found else None


def _signature_of(head: bytes) -> tuple[str, str] | None:
    head = head[:HEAD_BYTES]
    for pattern, signature in _PATTERNS:
        if pattern.match(head) and (not signature.is_word or _control_count(head)):
            return signature.what, signature.advice
    return ("a tar archive", _UNPACK) if _is_tar(head) else None


def _is_tar(head: bytes) -> bool:
    """Return whether a file is a tar archive, also of the format before POSIX, by the checksum of its first block."""
    block = head[:_TAR_BLOCK_BYTES]
    written = block[_TAR_CHECKSUM].strip(b"\0 ")
    if len(block) < _TAR_BLOCK_BYTES or not re.fullmatch(rb"[0-7]{1,8}", written):
        return block[257:262] == b"ustar"
    return sum(block) - sum(block[_TAR_CHECKSUM]) + 8 * ord(" ") == int(written, 8)


def _control_count(head: bytes) -> int:
    return len(head) - len(head.translate(None, _CONTROLS))
