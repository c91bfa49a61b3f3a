"""Files that are no text: named by what they are, whatever they are called; and text that only looks odd."""

import bz2
import gzip
import io
import lzma
import pickle
import random
import sqlite3
import struct
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, ipc, orc

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.signatures import refuse_other_formats

Read = Callable[..., list[str]]
Refuse = Callable[..., str]

IDS = [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) for number in range(30)]
TEXT = "\n".join(IDS).encode()
TABLE = pa.table({"idfa": IDS})


def tar(format_: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format_) as archive:
        for name in ("a.txt", "b.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = len(TEXT)
            archive.addfile(entry, io.BytesIO(TEXT))
    return written.getvalue()


def old_tar() -> bytes:
    """An archive of before POSIX: the same block without the magic word."""
    block = bytearray(tar(tarfile.USTAR_FORMAT))
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def zipped(*names: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return written.getvalue()


def written_by(write: Callable[[io.BytesIO], object]) -> bytes:
    written = io.BytesIO()
    write(written)
    return written.getvalue()


def arrow_stream() -> bytes:
    written = io.BytesIO()
    with ipc.new_stream(written, TABLE.schema) as stream:
        stream.write_table(TABLE)
    return written.getvalue()


def sqlite(tmp: Path) -> bytes:
    with sqlite3.connect(tmp / "x.db") as connection:
        connection.execute("CREATE TABLE t (idfa TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [(item,) for item in IDS])
    connection.close()
    return (tmp / "x.db").read_bytes()


NOISE = random.Random(5)  # noqa: S311 - always the same
KINDS = {
    "a tar archive": [tar(tarfile.USTAR_FORMAT), tar(tarfile.GNU_FORMAT), tar(tarfile.PAX_FORMAT), old_tar()],
    "a zip archive": [zipped("ids.txt"), zipped("docs/a.csv"), b"PK\x05\x06" + bytes(18)],
    "an Excel workbook": [zipped("[Content_Types].xml", "xl/a.xml"), zipped("xl/a.xml"), zipped("docProps/app.xml")],
    "an old Excel workbook": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)],
    "bzip2": [bz2.compress(TEXT), bz2.compress(TEXT, 1), bz2.compress(b"")],
    "xz": [lzma.compress(TEXT)],
    "lzma": [lzma.compress(TEXT, format=lzma.FORMAT_ALONE)],
    "zlib": [zlib.compress(TEXT, level) for level in (1, 6, 9)],
    "lz4": [b"\x04\x22\x4d\x18\x64\x40\xa7" + TEXT],
    "snappy": [b"\xff\x06\x00\x00sNaPpY" + TEXT],
    "a 7z archive": [b"7z\xbc\xaf\x27\x1c\x00\x04" + TEXT],
    "a rar archive": [b"Rar!\x1a\x07\x01\x00" + TEXT],
    "ORC": [written_by(lambda file: orc.write_table(TABLE, file))],
    "Arrow": [written_by(lambda file: feather.write_feather(TABLE, file)), arrow_stream()],
    "Avro": [b"Obj\x01\x04\x14avro.codec" + TEXT],
    "Parquet": [b"PAR1\x15\x04" + TEXT],
    "HDF5": [b"\x89HDF\r\n\x1a\n" + bytes(8) + TEXT],
    "PDF": [b"%PDF-1.7\n" + TEXT],
    "a pickle": [pickle.dumps(IDS, protocol) for protocol in (2, 4, 5)],
    "a NumPy array": [written_by(lambda file: np.save(file, np.array(IDS)))],
    "a Hadoop sequence file": [b"SEQ\x06\x19org.apache.hadoop.io.Text" + TEXT],
    "a web page": [b"<!DOCTYPE html>\n" + TEXT, b"\n <HTML><body>" + TEXT],
    "XML": [b'<?xml version="1.0"?>\n' + TEXT],
    "binary": [
        NOISE.randbytes(3000),
        bytes(100),
        bytes(range(256)),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + NOISE.randbytes(200),
        b"".join(struct.pack("<I", len(item)) + item.encode() for item in IDS),
        b"".join(uuid.UUID(item).bytes for item in IDS),
        TEXT[:20] + b"\0" * 40 + TEXT[20:],
    ],
}  # fmt: skip
CASES = [
    pytest.param(what, content, id=f"{what}-{n}")
    for what, contents in KINDS.items()
    for n, content in enumerate(contents)
]
PACKS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize(("what", "content"), CASES)
@pytest.mark.parametrize("ending", [".txt", ".csv", ".jsonl", ".tar", ""])
def test_what_is_no_text_is_named_and_refused(what: str, content: bytes, ending: str, refuse_file: Refuse) -> None:
    message = refuse_file(content, f"f{ending}", hidden=tuple(IDS[:3]))
    assert f"f{ending} is {what}" in message
    assert "nothing was sent" in message


@pytest.mark.parametrize("pack", [".gz", ".zst"])
@pytest.mark.parametrize("what", ["a tar archive", "ORC", "a zip archive", "binary"])
def test_within_a_compression(what: str, pack: str, refuse_file: Refuse) -> None:
    for name in (f"f.tar{pack}", f"f.csv{pack}", "f.tgz", f"f{pack}"):
        assert f"{name} is {what}" in refuse_file(PACKS[pack](KINDS[what][0]), name)


def test_a_database(tmp_path: Path, refuse_file: Refuse) -> None:
    assert "is a SQLite database, not text: give an SqlSource" in refuse_file(sqlite(tmp_path), "f.db")


@pytest.mark.parametrize("what", ["ORC", "Arrow", "an Excel workbook", "Avro"])
def test_named_as_parquet(what: str, refuse_file: Refuse) -> None:
    assert f"f.parquet is no Parquet file (it is {what}" in refuse_file(KINDS[what][0], "f.parquet")


@pytest.mark.parametrize("name", ["f.txt", "f.csv", "f.jsonl", "f.json", "f.parquet", "f.tsv"])
@pytest.mark.parametrize("pack", PACKS)
def test_nothing_is_no_rows(name: str, pack: str, read_file: Read) -> None:
    column = None if name == "f.txt" else "idfa"
    assert read_file(b"", name + pack, column=column) == []
    if name != "f.parquet":
        assert read_file(PACKS[pack](b""), name + pack, column=column) == []
        assert read_file(gzip.compress(b""), name, column=column) == []


TEXTS = [
    TEXT,
    b"ORCID\n" + TEXT,
    b"x^2\n" + TEXT,
    b"SEQUENCE\n" + TEXT,
    b"BZhang\n" + TEXT,
    b"Rare\n" + TEXT,
    b"PARENT\n" + TEXT,
    b"ARROW1\n" + TEXT,
    b"\xef\xbb\xbf" + TEXT,
    "手机号\n".encode("gbk") + TEXT,
    "電話\n".encode("shift_jis") + TEXT,
    b"\xff\xfa\xa4\n" + TEXT,
    TEXT + b"\x1a",  # how DOS ended a file
    b"\x1b[0m" + TEXT,
    b"\x01".join(IDS[0].encode() for _ in range(9)) + b"\n" + TEXT,
    TEXT + b"\na\0b",
    b"1" * 600,
    b"0000644" * 100,
]


@pytest.mark.parametrize("content", TEXTS)
def test_text_that_only_looks_odd_is_read(
    content: bytes, read_texts: Callable[..., list[bytes]], make_file: Callable[..., object]
) -> None:
    from airflow_provider_audiences.members.reading.inputs import FilesInput

    assert read_texts(FilesInput(files=[make_file(content, "f.txt")])) == content.split(b"\n")  # type: ignore[list-item]


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"])), st.sampled_from(["utf-8", "gb18030"]))
def test_no_printable_text_is_binary(text: str, encoding: str) -> None:
    content = text.encode(encoding)
    try:
        refuse_other_formats(content, name="f")
    except InvalidInputError as error:
        assert "is binary" not in str(error)  # noqa: PT017 - words such as %PDF- name other formats
