"""
Tables in files and data frames: nothing lost, nothing guessed, and nothing shown.

Members are reckoned, not written here, so that one in a traceback is never a line of the test's own.
"""

import gzip
import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.chunks import format_of
from airflow_provider_audiences.members.reading.inputs import FileFormat, FilesInput, FrameInput, SourceFile

Read = Callable[..., list[bytes]]

A, B, C = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in "abc")
IDS = [A, B, C]
PHONE = f"139{uuid.UUID(A).int % 10**8:08}"

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}


@pytest.fixture(scope="session")
def read(read_texts: Callable[..., list[bytes]], make_file: Callable[..., SourceFile]) -> Read:
    """Reads the column of a table as text: ``read(content, name, column=…, local=…)``."""

    def run(
        content: bytes | str, name: str = "f.csv", *, column: str | None = None, local: bool = True, **options: Any
    ) -> list[bytes]:
        data = content.encode() if isinstance(content, str) else content
        return read_texts(FilesInput(files=[make_file(data, name, local=local)], column=column, **options))

    return run


@pytest.fixture
def refused(read: Read, hides: Callable[..., None]) -> Callable[..., str]:
    """Reads what can't be read, checks that no member shows anywhere, and returns the message."""

    def run(content: bytes | str, *args: Any, **kwargs: Any) -> str:
        for local in (True, False):
            with pytest.raises(InvalidInputError) as caught:
                read(content, *args, local=local, **kwargs)
            hides(caught.value, *IDS, A[:13], B[:13], C[:13], PHONE, "duckdb")
            assert caught.value.__context__ is None or not isinstance(caught.value.__context__, duckdb.Error)
        return str(caught.value)

    return run


def texts(*values: str) -> list[bytes]:
    return [value.encode() for value in values]


class TestCsv:
    @pytest.mark.parametrize("local", [True, False])
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (f"idfa\n{A}\n{B}\n", [A, B]),
            (f"idfa\n{A}", [A]),
            ("idfa\n", []),
            ("idfa", []),
            (f"\ufeffidfa\n{A}\n", [A]),
            (f'\ufeff"idfa"\n"{A}"\n', [A]),
            (f"idfa\r\n{A}\r\n{B}\r\n", [A, B]),
            (f'"idfa"\n"{A}"\n{B}\n', [A, B]),
            (f"idfa\n {A} \n\t{B}\n", [f" {A} ", f"\t{B}"]),
            (f'idfa\n"{A}\n"\n"{B}"\n', [f"{A}\n", B]),
            (f'idfa\n"say ""{A}"""\n', [f'say "{A}"']),
            ("idfa\nNULL\nnull\nNA\n\\N\nNaN\n0\n", ["NULL", "null", "NA", "\\N", "NaN", "0"]),
            (f"idfa\n#{A}\n# a comment\n{B}\n", [f"#{A}", "# a comment", B]),
            (f"# idfa\n{A}\n", [A]),
            (f"idfa\n\n{A}\n\n\n{B}\n\n", ["", A, "", "", B, ""]),
            (f"idfa\n{A}\n{B};x\n{C}\n", [A, f"{B};x", C]),
            (f"idfa\n{A}\u2028\n\u00a0{B}\n\uff11\n", [f"{A}\u2028", f"\u00a0{B}", "\uff11"]),
            (f"idfa\n{A}\na\0b\n{B}\n", [A, "a\0b", B]),
            ("2026-11-22\n2026-11-23\n", ["2026-11-23"]),
            (f"idfa_20261122\n{A}\n", [A]),
        ],
    )
    def test_one_column(self, content: str, expected: list[str], local: bool, read: Read) -> None:
        assert read(content, local=local) == texts(*expected)

    @pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
    @pytest.mark.parametrize("rows", [1, 2, 30_000])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_delimiters(self, delimiter: str, rows: int, end: str, read: Read) -> None:
        lines = [["n", "idfa", "x"], *([str(number), f"{A}{number}", "x y"] for number in range(rows))]
        content = "".join(delimiter.join(line) + end for line in lines)
        assert read(content, column="idfa") == texts(*(f"{A}{number}" for number in range(rows)))

    def test_line_feeds_and_delimiters_in_quotes(self, read: Read) -> None:
        content = f'n,idfa\n"a\nb, ""c""",{A}\n"\n\n","{B}"\n'
        assert read(content, column="idfa") == texts(A, B)

    def test_quotes_far_from_the_beginning(self, read: Read) -> None:
        plain = "".join(f"{number},{A}\n" for number in range(40_000))
        content = f'n,idfa\n{plain}"x\ny","{B}"\n{plain}'
        assert read(content, column="idfa") == texts(*[A] * 40_000, B, *[A] * 40_000)

    def test_an_empty_field_is_blank(self, read: Read) -> None:
        assert read(f'n,idfa\n1,{A}\n2,\n3,""\n', column="idfa") == texts(A, "", "")

    def test_blank_lines_between_those_of_several_columns(self, read: Read) -> None:
        found = read(f"n,idfa\n\n1,{A}\n\n\n2,{B}\n\n", column="idfa")
        assert [text for text in found if text] == texts(A, B)

    @pytest.mark.parametrize("blank", ["\n", "\n\n", " \n"])
    @pytest.mark.parametrize("lines", [f"{A}\n{B}\n{C}\n", f'"{A}"\n"{B}"\n"{C}"\n'])
    def test_no_header_but_a_blank_line(self, blank: str, lines: str, read: Read) -> None:
        assert [text for text in read((blank + lines).replace("\n", "\r\n")) if text.strip()] == texts(A, B, C)

    @pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\r\n"])
    def test_empty(self, content: str, read: Read) -> None:
        assert read(content) == []
        assert read(content, local=False) == []

    @pytest.mark.parametrize(
        "first",
        [
            A,
            A.upper(),
            f'"{A}"',
            f" {A} ",
            f"{A},1",
            f"1;{A}",
            f"x\t{A}",
            "00000000-0000-0000-0000-000000000000",
            f"{{{A}}}",
            A.replace("-", ""),
            uuid.UUID(C).hex * 2,
            PHONE,
            f"+86 {PHONE[:3]}-{PHONE[3:7]}-{PHONE[7:]}",
            f"{PHONE[:3]} {PHONE[3:7]} {PHONE[7:]}",
            f"(+86) {PHONE}",
            f"{PHONE},x",
            "+1 (415) 555-2671",
            "nobody@example.com",
        ],
    )
    @pytest.mark.parametrize("column", [None, "idfa"])
    def test_no_header(self, first: str, column: str | None, refused: Callable[..., str]) -> None:
        second = first.replace(A, B).replace(A.upper(), C)
        for content in (f"{first}\n{second}\n", f"{first}\n", first, f"\ufeff{first}\n{second}\n"):
            message = refused(content, column=column)
            assert "f.csv has a member where the names of its columns should be: add a header line" in message
            assert first.strip(' "') not in message

    @pytest.mark.parametrize(
        "content",
        [
            f"idfa,n\n{A},1\n{B},2,3\n{C},3\n",
            f"idfa,n\n{A},1\n{B}\n{C},3\n",
            f"idfa,n\n{A}\n{B}\n{C}\n",
            f"idfa,n\n{A},1\n{B},2\ntotal 2\n",
            f'idfa,n\n{A},1\n"{B},2\n{C},3\n',
            f'idfa\n{A}\n"{B}"x\n{C}\n',
            f"idfa\n{A}\n".encode() + b"\xff\xfe\n" + f"{B}\n".encode(),
            f"idfa,n\n{A},".encode() + b"\xff\xfe\n" + f"{B},x\n".encode(),
            "idfa,n\n" + f"{A},1\n" * 30_000 + f"{B}\n" + f"{A},1\n" * 1000,
            "idfa,n\n" + f"{A},1\n" * 30_000 + f"{B},1,2\n" + f"{A},1\n" * 1000,
            "idfa,n\n" + f"{A},1\n" * 30_000 + f'"{B},"x\ny"\n' + f"{A},1\n" * 1000,
            ("idfa,n\n" + f"{A},1\n" * 30_000).encode() + b"\xff,1\n" + f"{A},1\n".encode() * 99,
        ],
    )
    def test_damaged(self, content: str | bytes, refused: Callable[..., str]) -> None:
        assert "f.csv" in refused(content, column="idfa")

    def test_the_line_is_named(self, refused: Callable[..., str]) -> None:
        content = "idfa,n\n" + f"{A},1\n" * 30_000 + f"{B}\n" + f"{A},1\n" * 1000
        assert "f.csv, near line 30002: it can't be read as csv (Expected Number" in refused(content, column="idfa")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
    def test_utf16(self, encoding: str, refused: Callable[..., str]) -> None:
        message = refused(f"idfa,n\n{A},1\n{B},1\n".encode(encoding), column="idfa")
        assert encoding != "utf-16" or "UTF-16: save it as UTF-8" in message

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes(self, read: Read, content: bytes) -> None:
        try:
            found = read(content)
        except InvalidInputError as error:
            assert not isinstance(error.__context__, duckdb.Error)  # noqa: PT017 - either is right
        else:
            assert all(isinstance(text, bytes) for text in found)


class TestCompressed:
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    @pytest.mark.parametrize("local", [True, False])
    @pytest.mark.parametrize(
        ("name", "content"), [("f.csv", f"idfa\n{A}\n{B}\n"), ("f.jsonl", f'{{"idfa":"{A}"}}\n{{"idfa":"{B}"}}\n')]
    )
    def test_whole(self, compression: str, local: bool, name: str, content: str, read: Read) -> None:
        pack = COMPRESSIONS[compression]
        packed = pack(content.encode())
        middle = len(content) // 2
        parts = pack(content[:middle].encode()) + pack(content[middle:].encode())
        for data, called in ((packed, name + compression), (packed, name), (parts, name + compression)):
            assert read(data, called, local=local) == texts(A, B)

    @pytest.mark.parametrize("compression", COMPRESSIONS)
    @pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
    def test_truncations(self, compression: str, name: str, refused: Callable[..., str]) -> None:
        rows = [str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(5_000)]
        lines = [f'{{"idfa": "{row}"}}' for row in rows] if name == "f.jsonl" else ["idfa", *rows]
        whole = COMPRESSIONS[compression]("\n".join(lines).encode())
        for length in [*range(5, 30, 5), *range(30, len(whole), len(whole) // 20), *range(len(whole) - 9, len(whole))]:
            assert name in refused(whole[:length], name + compression)

    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_flipped_bytes(self, compression: str, read: Read) -> None:
        rows = [str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(2_000)]
        whole = COMPRESSIONS[compression]("\n".join(["idfa", *rows]).encode())
        for position in [*range(4, 30), *range(30, len(whole), len(whole) // 60), *range(len(whole) - 8, len(whole))]:
            spoiled = bytearray(whole)
            spoiled[position] ^= 0x55
            try:
                assert read(bytes(spoiled), f"f.csv{compression}") == texts(*rows)
            except InvalidInputError as error:
                assert "damaged" in str(error)  # noqa: PT017 - most positions, not all

    @pytest.mark.parametrize("ending", [".gz", ".zst"])
    @pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
    @pytest.mark.parametrize("content", ["\n", f"idfa\n{A}\n"])
    def test_names_that_promise_too_much(
        self, ending: str, name: str, content: str, refused: Callable[..., str]
    ) -> None:
        assert f"{name}{ending} is named {ending} and is not" in refused(content, name + ending)

    def test_utf16(self, refused: Callable[..., str]) -> None:
        assert "UTF-16" in refused(gzip.compress(f"idfa\n{A}".encode("utf-16")), "f.csv.gz")


def json_lines(*rows: Any) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


class TestJsonLines:
    @pytest.mark.parametrize("local", [True, False])
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (json_lines({"idfa": A}, {"idfa": B}), [A, B]),
            (json_lines({"idfa": A}, {"idfa": B}).strip(), [A, B]),
            (json_lines({"idfa": A}, {"idfa": B}).replace("\n", "\r\n"), [A, B]),
            (json_lines({"idfa": A}, {"x": 1}, {"idfa": None}, {"x": None}, {"idfa": B}), [A, "", "", "", B]),
            (json_lines({"x": 1}, {"idfa": B}), ["", B]),
            (
                json_lines({"idfa": 5}, {"idfa": 1.5}, {"idfa": True}, {"idfa": 10**30}),
                ["5", "1.5", "true", str(10**30)],
            ),
            (json_lines({"idfa": 5}, {"idfa": A}), ["5", A]),
            (json_lines({"idfa": "2026-11-22"}, {"idfa": A}), ["2026-11-22", A]),
            (json_lines({"idfa": A.upper()}, {"idfa": f"{{{A}}}"}), [A.upper(), f"{{{A}}}"]),
            (json_lines({"idfa": A}, {"idfa": A.replace("-", "")}), [A, A.replace("-", "")]),
            (json_lines({"idfa": A}, {"idfa": [B]}, {"idfa": {"a": 1}}), [A, f'["{B}"]', '{"a":1}']),
            (json_lines({"idfa": A}, "", "  ", {"idfa": B}), [A, B]),
            (json_lines({"idfa": A}, {"idfa": "a\0b"}, {"idfa": '\u2028\n\\"'}), [A, "a\0b", '\u2028\n\\"']),
            (json_lines({"IDFA": A}, {"IDFA": B}), [A, B]),
            (json_lines(*({"idfa": A, f"k{number}": 1} for number in range(500))), [A] * 500),
            (json_lines({"idfa": A, "day_20261122": 1}), [A]),
        ],
    )
    def test_read(self, content: str, expected: list[str], local: bool, read: Read) -> None:
        assert read(content, "f.jsonl", column="idfa", local=local) == texts(*expected)

    def test_types_that_change_far_from_the_beginning(self, read: Read) -> None:
        rows: list[Any] = [*[{"idfa": 1}] * 30_000, {"idfa": A}, {"idfa": [1]}, {"idfa": None}]
        assert read(json_lines(*rows), "f.ndjson") == texts(*["1"] * 30_000, A, "[1]", "")

    def test_numbers_and_texts_without_a_name(self, read: Read) -> None:
        assert read(json_lines(json.dumps(A), json.dumps(B)), "f.json") == texts(A, B)

    @pytest.mark.parametrize("name", ['id"fa', "id'fa", "id fa", "\u8bbe\u5907", "select", "a.b", "?"])
    def test_odd_names(self, name: str, read: Read) -> None:
        assert read(json_lines({name: A, "x": 1}), "f.jsonl", column=name) == texts(A)

    @pytest.mark.parametrize("content", ["", "\n"])
    def test_empty(self, content: str, read: Read) -> None:
        assert read(content, "f.jsonl") == []

    @pytest.mark.parametrize(
        "content",
        [
            json_lines({"idfa": A}, f'{{"idfa": "{B}', {"idfa": C}),
            f'{{"idfa":"{A}"}}\n{{"idfa":"{B}',
            json_lines(*[{"idfa": A}] * 30_000, f'{{"idfa": {B}}}'),
            json_lines(A, B),
            json_lines([{"idfa": A}], [{"idfa": B}]),
            json.dumps([{"idfa": A}, {"idfa": B}]) + json.dumps({"idfa": C}),
            json.dumps([{"idfa": A}, {"idfa": B}]) + json.dumps([{"idfa": C}]),
            json.dumps([{"idfa": A}, {"idfa": B}], indent=1)[:-2],
            json.dumps([{"idfa": A}, {"idfa": B}])[:-1] + ",",
            json.dumps([[A], [B]]),
            json.dumps({"idfa": A}, indent=1),
            f'{{"idfa":"{A}"}} {{"idfa":"{B}"}}\n',
            f'{{"idfa":"{A}","idfa":"{B}"}}\n',
            json_lines({"idfa": A, "IDFA": B}),
            json_lines({"idfa": A}, {"IDFA": B}),
            json_lines({"idfa": {"a": A}}),
            json_lines({"idfa": [A]}),
            json_lines({A: 1}, {B: 2}),
            json_lines({"idfa": A}, '{"idfa": "\\ud800"}'),
            json_lines({"idfa": A}).encode() + b'{"idfa": "\xff"}\n',
            f'{{"idfa": "{A}"}}\n'.encode("utf-16"),
        ],
    )
    @pytest.mark.parametrize("column", ["idfa", "IDFA"])
    def test_damaged_or_unclear(self, content: str | bytes, column: str, refused: Callable[..., str]) -> None:
        assert "f.jsonl" in refused(content, "f.jsonl", column=column)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=100), st.booleans())
    def test_arbitrary_bytes(self, read: Read, content: bytes, behind: bool) -> None:
        try:
            read((json_lines({"idfa": A}).encode() if behind else b"") + content, "f.jsonl")
        except InvalidInputError as error:
            assert not isinstance(error.__context__, duckdb.Error)  # noqa: PT017 - either is right


def parquet(table: pa.Table, **options: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, **options)
    return written.getvalue()


class TestParquet:
    @pytest.mark.parametrize("local", [True, False])
    @pytest.mark.parametrize(
        ("column", "expected"),
        [
            (pa.array([A, None, B, ""]), [A, "", B, ""]),
            (pa.array([A, None], pa.large_string()), [A, ""]),
            (pa.array([A, None], pa.string_view()), [A, ""]),
            (pa.array([A.encode(), None], pa.binary()), [A, ""]),
            (pa.array([A.encode()], pa.binary(36)), [A]),
            (pa.array([uuid.UUID(A).bytes, None], pa.uuid()), [A, ""]),
            (pa.array([A, None, B, A]).dictionary_encode(), [A, "", B, A]),
            (pa.array([], pa.string()), []),
            (pa.array([None, None]), ["", ""]),
            (pa.array([1, 13900001111]), ["1", "13900001111"]),
        ],
    )
    def test_types(self, column: Any, expected: list[str], local: bool, read: Read) -> None:
        table = pa.table({"n": pa.array(range(len(column)), pa.int64()), "idfa": column})
        assert read(parquet(table), "f.parquet", column="idfa", local=local) == texts(*expected)
        assert read(parquet(table.select(["idfa"])), "f.pq", local=local) == texts(*expected)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"compression": "zstd"},
            {"compression": "gzip"},
            {"compression": "none"},
            {"use_dictionary": False},
            {"data_page_version": "2.0"},
            {"version": "1.0"},
        ],
    )
    def test_row_groups(self, options: dict[str, Any], read: Read) -> None:
        ids = [f"{A}{number}" if number % 7 else None for number in range(10_000)]
        found = read(parquet(pa.table({"idfa": ids}), row_group_size=999, **options), "f.parquet")
        assert found == [(text or "").encode() for text in ids]

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([[A]]),
            pa.array([{"a": A}]),
            pa.array([[("a", A)]], pa.map_(pa.string(), pa.string())),
            pa.array([[A] * 2], pa.list_(pa.string(), 2)),
        ],
    )
    def test_nested(self, column: Any, refused: Callable[..., str]) -> None:
        assert "the column 'idfa' holds" in refused(parquet(pa.table({"idfa": column})), "f.parquet")

    @pytest.mark.parametrize("value", [b"\xff\xfe", uuid.UUID(A).bytes])
    def test_binary_that_is_no_text(self, value: bytes, refused: Callable[..., str]) -> None:
        table = pa.table({"idfa": pa.array([A.encode(), value], pa.binary())})
        assert "its values are binary, neither text nor 16 bytes each" in refused(parquet(table), "f.parquet")

    def test_truncated(self, refused: Callable[..., str]) -> None:
        whole = parquet(pa.table({"idfa": IDS * 300}), row_group_size=100)
        for length in [*range(1, 12), *range(12, len(whole), len(whole) // 40), *range(len(whole) - 12, len(whole))]:
            assert "f.parquet" in refused(whole[:length], "f.parquet")

    @pytest.mark.parametrize(
        "content",
        [
            b"PAR1",
            b"PAR1PAR1",
            b"x",
            gzip.compress(b"PAR1", mtime=0),
            b"PAR1" + bytes(9) + b"PAR1",
            b"PARE" + bytes(99),
        ],
    )
    def test_no_parquet(self, content: bytes, refused: Callable[..., str]) -> None:
        assert "f.parquet" in refused(content, "f.parquet")

    def test_flipped_bytes_end_in_an_error_of_ours_or_in_texts(self, read: Read, hides: Callable[..., None]) -> None:
        whole = parquet(pa.table({"idfa": IDS * 50}), row_group_size=30, use_dictionary=False)
        for position in range(4, len(whole), 17):
            spoiled = bytearray(whole)
            spoiled[position] ^= 0x41
            try:
                read(bytes(spoiled), "f.parquet")
            except InvalidInputError as error:
                hides(error, *IDS)


class TestColumnChoice:
    CONTENTS = (
        ("f.csv", f"Idfa,n\n{A},1\n"),
        ("f.jsonl", json_lines({"Idfa": A, "n": 1})),
        ("f.parquet", parquet(pa.table({"Idfa": [A], "n": [1]}))),
    )

    @pytest.mark.parametrize(("name", "content"), CONTENTS)
    @pytest.mark.parametrize("column", ["Idfa", "idfa", "IDFA"])
    def test_in_any_case(self, name: str, content: Any, column: str, read: Read) -> None:
        assert read(content, name, column=column) == texts(A)

    @pytest.mark.parametrize(("name", "content"), CONTENTS)
    @pytest.mark.parametrize("column", ["gaid", "", "Idfa ", 'x"', "'", "*", "idfa, n"])
    def test_missing(self, name: str, content: Any, column: str, refused: Callable[..., str]) -> None:
        assert f"{name} has no column {column!r}; it has 'Idfa', 'n'." in refused(content, name, column=column)

    @pytest.mark.parametrize(("name", "content"), CONTENTS)
    def test_several_and_none_chosen(self, name: str, content: Any, refused: Callable[..., str]) -> None:
        assert f"{name} has 2 columns ('Idfa', 'n'): say which one with column=" in refused(content, name)

    @pytest.mark.parametrize("column", ["idfa", "IDFA", "Idfa"])
    def test_names_that_differ_in_case_only(self, column: str, refused: Callable[..., str]) -> None:
        if column == "Idfa":
            assert "differ in case only" in refused(f"idfa,IDFA\n{A},{B}\n", column=column)
        table = parquet(pa.table({"idfa": [A], "IDFA": [B]}))
        assert "differ in case only" in refused(table, "f.parquet", column=column)

    def test_the_very_name_before_one_in_another_case(self, read: Read) -> None:
        assert read(f"idfa,IDFA\n{A},{B}\n", column="IDFA") == texts(B)
        assert read(f"IDFA,idfa\n{A},{B}\n", column="IDFA") == texts(A)

    def test_names_that_are_numbered(self, read: Read) -> None:
        assert read(f"idfa,idfa_1\n{A},{B}\n", column="idfa") == texts(A)
        assert read(f"idfa,idfa_1\n{A},{B}\n", column="idfa_1") == texts(B)

    def test_odd_names(self, read: Read) -> None:
        names = ['a "b"', "it's", "select", "\u8bbe\u5907", "a.b", "rowid", "filename", "*"]
        table = parquet(pa.table({name: [f"{A}{number}"] for number, name in enumerate(names)}))
        for number, name in enumerate(names):
            assert read(table, "f.parquet", column=name) == texts(f"{A}{number}")


class TestPlaces:
    @pytest.mark.parametrize(
        "name",
        [
            "a*.csv",
            "[a].csv",
            "?.csv",
            "it's.csv",
            'a "b".csv',
            "a b.csv",
            "day=2026-11-22.csv",
            "\u8bbe\u5907.csv",
            "%41.csv",
            "~.csv",
            "-.csv",
            "a\nb.csv",
            "s3:.csv",
            "{a,b}.csv",
        ],
    )
    def test_names(self, name: str, tmp_path: Path, read_texts: Callable[..., list[bytes]]) -> None:
        folder = tmp_path / "day=2026-11-22" / "idfa=x" / "[a]*?"
        folder.mkdir(parents=True)
        (folder / name).write_text(f"idfa\n{A}\n")
        (folder / "a1.csv").write_text(f"idfa\n{B}\n")
        path = folder / name
        source = SourceFile(name=name, open=lambda: path.open("rb"), local_path=path)
        assert read_texts(FilesInput(files=[source])) == texts(A)

    @pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
    def test_folders_are_no_columns(self, ending: str, tmp_path: Path, read_texts: Callable[..., list[bytes]]) -> None:
        folder = tmp_path / "day=2026-11-22"
        folder.mkdir()
        path = folder / f"a.{ending}"
        pa_table = pa.table({"idfa": [A]})
        path.write_bytes(
            {"csv": f"idfa\n{A}\n".encode(), "jsonl": json_lines({"idfa": A}).encode(), "parquet": parquet(pa_table)}[
                ending
            ]
        )
        source = SourceFile(name=path.name, open=lambda: path.open("rb"), local_path=path)
        assert read_texts(FilesInput(files=[source])) == texts(A)

    def test_a_relative_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_texts: Callable[..., list[bytes]]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = Path("a.csv")
        path.write_text(f"idfa\n{A}\n")
        source = SourceFile(name="a.csv", open=lambda: path.open("rb"), local_path=path)
        assert read_texts(FilesInput(files=[source])) == texts(A)

    @pytest.mark.parametrize("when", ["opened", "begun", "read"])
    @pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.jsonl", "f.parquet"])
    def test_an_error_of_a_store_comes_through(
        self, when: str, name: str, workspace: Any, read_texts: Callable[..., list[bytes]]
    ) -> None:
        class Breaks(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if when == "begun" or self.tell() > 3:
                    raise PermissionError("the token has expired")
                return super().read(min(size or 9, 4))

        content = {
            "f.csv": b"idfa\nxyz\n",
            "f.csv.gz": gzip.compress(b"idfa\nxyz"),
            "f.jsonl": b'{"idfa": "x"}\n',
            "f.parquet": parquet(pa.table({"idfa": [A]})),
        }[name]

        def open_it() -> io.BytesIO:
            if when == "opened":
                raise PermissionError("the token has expired")
            return Breaks(content)

        with pytest.raises(PermissionError, match="expired"):
            read_texts(FilesInput(files=[SourceFile(name=name, open=open_it)]))
        assert not (workspace.folder / "table").exists()

    def test_a_copy_is_gone_when_the_reader_stops_early(
        self, workspace: Any, make_file: Callable[..., SourceFile]
    ) -> None:
        from airflow_provider_audiences.members.reading.dialect import Dialect
        from airflow_provider_audiences.members.reading.table_files import TableWish, columns_of_file

        file = make_file(("idfa\n" + f"{A}\n" * 10).encode(), "f.csv", local=False)
        columns = columns_of_file(workspace, file, TableWish(file_format="csv", columns=(None,), dialect=Dialect()))
        next(columns)
        assert (workspace.folder / "table").exists()
        columns.close()  # type: ignore[attr-defined]
        assert not (workspace.folder / "table").exists()

    def test_a_file_that_is_gone(self, tmp_path: Path, read_texts: Callable[..., list[bytes]]) -> None:
        path = tmp_path / "gone.csv"
        source = SourceFile(name="gone.csv", open=lambda: path.open("rb"), local_path=path)
        with pytest.raises(FileNotFoundError):
            read_texts(FilesInput(files=[source]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"), ("a.CSV.GZ", "csv"), ("a.csv.zst", "csv"), ("a.json", "jsonl"), ("a.jsonl.gz", "jsonl"),
        ("a.ndjson", "jsonl"), ("a.parquet", "parquet"), ("a.snappy.parquet", "parquet"), ("a.pq", "parquet"),
        ("a.txt", "text"), ("a.gz", "text"), ("a", "text"), ("csv", "text"), ("a.csv/part-0", "text"),
        ("a.tsv", "csv"), ("a.TSV.gz", "csv"), ("a.tab.zst", "csv"), ("tsv", "text"), ("a.tsv.bak", "text"),
    ],
)  # fmt: skip
def test_formats_by_name(name: str, expected: FileFormat) -> None:
    assert format_of(name) == expected


class TestNothingIsLostOrShown:
    @pytest.fixture
    def table_texts(self, make_file: Callable[..., Any], read_texts: Callable[..., list[bytes]]) -> Any:
        def run(name: str, content: str, column: str | None = None) -> list[bytes]:
            return read_texts(FilesInput(files=[make_file(content.encode(), name)], column=column))

        return run

    def test_a_key_that_comes_late_is_a_second_column(self, table_texts: Any) -> None:
        content = f'{{"idfa": "{A}"}}\n' * 30_000 + f'{{"gaid": "{B}"}}\n'
        with pytest.raises(InvalidInputError, match="2 columns"):
            table_texts("f.jsonl", content)
        assert table_texts("f.jsonl", content, "gaid")[-1] == B.encode()

    def test_a_header_with_a_name_twice(self, table_texts: Any) -> None:
        with pytest.raises(InvalidInputError, match="several columns 'idfa'"):
            table_texts("f.csv", f"idfa,n,idfa\n{A},1,{B}\n", "idfa")
        assert table_texts("f.csv", f"idfa,n,my_idfa\n{A},1,{B}\n", "idfa") == texts(A)

    def test_fields_of_a_nested_column_are_not_named(self, table_texts: Any) -> None:
        with pytest.raises(InvalidInputError, match="holds STRUCT, not one member a row") as caught:
            table_texts("f.jsonl", f'{{"u": {{"{A}": 1, "{B}": 2}}}}\n')
        assert A not in str(caught.value)


class TestFrames:
    @pytest.fixture
    def frame_texts(self, read_texts: Callable[..., list[bytes]]) -> Callable[..., list[bytes]]:
        return lambda frame: read_texts(FrameInput(frame=frame))

    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (lambda: pd.DataFrame({"idfa": [A, None, B, float("nan")]}), [A, "", B, ""]),
            (lambda: pd.DataFrame({"idfa": pd.Series([uuid.UUID(A), None], dtype=object)}), [A, ""]),
            (lambda: pd.DataFrame({"idfa": pd.Series([A.encode(), None], dtype=object)}), [A, ""]),
            (lambda: pd.DataFrame({"idfa": pd.Series([A, 5, None], dtype=object)}), [A, "5", ""]),
            (lambda: pd.DataFrame({"idfa": pd.Series([A, None, B], dtype="category")}), [A, "", B]),
            (lambda: pd.DataFrame({"idfa": pd.Series([A, None], dtype="string[pyarrow]")}), [A, ""]),
            (lambda: pd.DataFrame({"idfa": IDS}).iloc[[2, 0]], [C, A]),
            (lambda: pd.DataFrame({"idfa": IDS}, index=[7, 7, 1]), IDS),
            (lambda: pd.DataFrame({"idfa": pd.Series([None] * 5000 + [A], dtype=object)}), [""] * 5000 + [A]),
            (lambda: pd.Series(IDS), IDS),
            (lambda: pd.DataFrame({"idfa": []}), []),
            (lambda: pl.DataFrame({"idfa": pl.Series([A, B], dtype=pl.Categorical)}), [A, B]),
            (lambda: pl.LazyFrame({"idfa": IDS, "n": 1}).filter(pl.col("n") == 1).select("idfa"), IDS),
            (lambda: pl.Series(IDS), IDS),
            (lambda: pa.table({"idfa": pa.chunked_array([[A], [], [None, B]])}), [A, "", B]),
            (lambda: pa.record_batch({"idfa": [A, None, B]}), [A, "", B]),
            (lambda: pa.table({"idfa": pa.array([uuid.UUID(A).bytes], pa.uuid())}), [A]),
            (lambda: pa.table({"idfa": [A] * 300_000}), [A] * 300_000),
        ],
    )
    def test_read(self, make: Callable[[], Any], expected: list[str], frame_texts: Callable[..., list[bytes]]) -> None:
        assert frame_texts(make()) == texts(*expected)

    @pytest.mark.parametrize("make", [lambda table: table, lambda table: table.to_pandas(), pl.from_arrow])
    def test_columns(self, make: Callable[[pa.Table], Any], frame_texts: Callable[..., list[bytes]]) -> None:
        frame = make(pa.table({"n": [1], "Idfa": [A]}))
        with pytest.raises(InvalidInputError, match=r"source has 2 columns \('n', 'Idfa'\): keep only the one with"):
            frame_texts(frame)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: [A],
            lambda: {"idfa": [A]},
            lambda: A,
            lambda: None,
            lambda: 5,
            pd.DataFrame,
            lambda: pl.DataFrame({"idfa": [[A]]}),
            lambda: pa.table({"idfa": [{"a": A}]}),
            lambda: pd.DataFrame([[B]], columns=[A]),
            lambda: pd.read_csv(io.StringIO(f"{A}\n{B}\n")),
        ],
    )
    def test_refused(
        self, make: Callable[[], Any], frame_texts: Callable[..., list[bytes]], hides: Callable[..., None]
    ) -> None:
        with pytest.raises(InvalidInputError, match=r"^source") as caught:
            frame_texts(make())
        hides(caught.value, *IDS)
        assert not isinstance(caught.value.__context__, duckdb.Error)
