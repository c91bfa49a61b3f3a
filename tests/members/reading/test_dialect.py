"""What a user says of a file: arguments, encodings, texts that stand for nothing; and where they do not fit."""

import gzip
import io
import json
import tracemalloc
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect
from airflow_provider_audiences.members.reading.encodings import transcoded

Read = Callable[..., list[str]]
Refuse = Callable[..., str]

A, B, C = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in "abc")
PHONES = [f"137{number:08d}" for number in range(3)]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("header", value) for value in ("", "no", "None", 1, None, 0)),
        *(
            ("delimiter", value)
            for value in ("", "||", "\n", "\r", "\0", "\\x00", "\\n", '"', 5, "None", "\ud800", "tab")
        ),
        *(("quote", value) for value in ("''", "“", "\n", 5)),
        *(("escape", value) for value in ("\\\\", "\\n", "é", True)),
        *(
            ("encoding", value)
            for value in ("", "nope", "rot13", "zip", "base64", "idna", "unicode_escape", 5, "utf 8 x")
        ),
        *(("null_values", value) for value in (5, [None], ["NULL", 5], {"NULL": 1}, True)),
    ],
)
def test_arguments_that_can_not_be(argument: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=argument):
        Dialect.checked(**{argument: value})


def test_a_delimiter_that_is_the_quote() -> None:
    for arguments in ({"delimiter": "'", "quote": "'"}, {"delimiter": "\\", "escape": "\\"}):
        with pytest.raises(InvalidInputError, match="must differ"):
            Dialect.checked(**arguments)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8_sig", "ascii", "us-ascii"])
def test_encodings_that_need_no_work(encoding: str) -> None:
    assert Dialect.checked(encoding=encoding).encoding is None


class TestMisfit:
    @pytest.mark.parametrize("name", ["f.txt", "f.jsonl", "f.parquet", "f", "f.json.gz"])
    @pytest.mark.parametrize("said", [{"header": False}, {"delimiter": ";"}, {"quote": "'"}, {"escape": "\\"}])
    def test_what_is_for_csv(self, name: str, said: dict[str, Any], refuse_file: Refuse) -> None:
        message = refuse_file(b"", name, **said)
        (argument,) = said
        assert f"{argument}=" in message
        assert "that is for CSV" in message

    def test_parquet_has_no_encoding(self, refuse_file: Refuse) -> None:
        assert "encoding='gbk' is given" in refuse_file(b"", "f.parquet", encoding="gbk")

    def test_by_the_format_that_is_said(self, read_file: Read) -> None:
        assert read_file(f"x|{A}\n", "000000_0", file_format="csv", header=False, delimiter="|", column=2) == [A]


class TestEncodings:
    @pytest.mark.parametrize(
        ("encoding", "header"),
        [
            ("gbk", "姓名,手机号"),
            ("GB18030", "姓名,手机号"),
            ("cp936", "姓名,手机号"),
            ("big5", "姓名,手機號"),
            ("shift_jis", "名前,電話番号"),
            ("euc_kr", "이름,전화"),
            ("cp1252", "Prénom,Téléphone"),
            ("latin-1", "Prénom,Téléphone"),
            ("utf-16", "姓名,手机号"),
            ("utf-16-le", "姓名,手机号"),
            ("utf-16-be", "\ufeff姓名,手机号"),
            ("utf-32", "姓名,手机号"),
            ("cp037", "NAME,PHONE"),
        ],
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_csv(self, encoding: str, header: str, pack: Callable[[bytes], bytes], read_file: Read) -> None:
        name, column = header.split(",")
        content = f"{header}\r\n" + "".join(f"{name.strip(chr(0xFEFF))},{phone}\r\n" for phone in PHONES)
        assert read_file(pack(content.encode(encoding)), column=column, encoding=encoding) == PHONES

    @pytest.mark.parametrize("encoding", ["gbk", "utf-16", "utf-16-le"])
    def test_text_and_json_lines(self, encoding: str, read_file: Read) -> None:
        lines = "号码\n" + "\n".join(PHONES)
        assert read_file(lines.encode(encoding), "f.txt", encoding=encoding) == ["号码", *PHONES]
        rows = "\n".join(json.dumps({"号": phone}, ensure_ascii=False) for phone in PHONES)
        assert read_file(rows.encode(encoding), "f.jsonl", column="号", encoding=encoding) == PHONES
        array = json.dumps([{"号": phone} for phone in PHONES], ensure_ascii=False)
        assert read_file(array.encode(encoding), "f.json", encoding=encoding) == PHONES

    def test_csv_in_another_one_than_utf8_is_named(self, refuse_file: Refuse) -> None:
        content = "n,phone\n" + f"x,{PHONES[0]}\n" * 9
        for wrong in (b"\xd0\xd5" + content.encode(), content.encode() + b"\xb1\xa3,1\n"):
            message = refuse_file(wrong, column="phone", hidden=tuple(PHONES))
            assert "not UTF-8" in message
            assert "encoding=" in message
        far = "n,phone\n" + f"x,{PHONES[0]}\n" * 100_000
        assert "not UTF-8" in refuse_file(far.encode() + b"x,\xb1\xa31\n", column="phone", hidden=tuple(PHONES))

    def test_a_mark_that_says_otherwise(self, refuse_file: Refuse) -> None:
        for name in ("f.csv", "f.txt"):
            message = refuse_file(f"\ufeff{A}\n{B}\n", name, encoding="gbk", hidden=(A, B))
            assert "is UTF-8 by its byte order mark, not gbk: leave encoding out" in message

    def test_utf16_that_nobody_spoke_of(self, refuse_file: Refuse) -> None:
        for name in ("f.csv", "f.txt", "f.jsonl"):
            assert "encoding='utf-16'" in refuse_file(f"{A}\n{B}\n".encode("utf-16"), name)
            assert "encoding='utf-16-le'" in refuse_file(f"{A}\n{B}\n".encode("utf-16-le"), name)
            assert "encoding='utf-16-le'" in refuse_file(f"{A}\n{B}\n".encode("utf-16-be"), name)

    @pytest.mark.parametrize("name", ["f.csv", "f.txt", "f.jsonl"])
    def test_a_byte_that_means_nothing(self, name: str, refuse_file: Refuse) -> None:
        content = f"{A}\n{B}\n".encode() + b"\x81\xff" + C.encode()
        message = refuse_file(content, name, encoding="gbk", hidden=(A, B, C))
        assert f"{name}, near line 3: it is not gbk text, as encoding= says" in message
        assert "near line 3" in refuse_file(content[:-37], name, encoding="gbk")  # cut off in a character

    @settings(deadline=None)
    @given(
        text=st.text(st.sampled_from("a1,\n姓名éß\U0001f600")),
        encoding=st.sampled_from(["gb18030", "utf-16", "utf-16-be", "utf-32", "utf-7", "utf-8"]),
        cuts=st.lists(st.integers(0, 5)),
    )
    def test_cut_anywhere(self, text: str, encoding: str, cuts: list[int]) -> None:
        pieces, rest = [], text.encode(encoding)
        for cut in cuts:
            pieces.append(rest[:cut])
            rest = rest[cut:]
        found = b"".join(transcoded(iter([*pieces, rest]), encoding=encoding, name="f"))
        assert found.decode() == text

    def test_memory_is_bounded(self) -> None:
        block = ("姓名,13700000000\n" * 50_000).encode("gbk")
        tracemalloc.start()
        size = sum(map(len, transcoded((block for _ in range(60)), encoding="gbk", name="f")))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size == 60 * 50_000 * len("姓名,13700000000\n".encode())
        assert peak < 16 << 20


class TestNullValues:
    NULLS = (r"\N", "NULL", "(null)", "无")

    @pytest.mark.parametrize("value", [*NULLS, '"NULL"'])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_in_every_format(self, value: str, end: str, read_file: Read) -> None:
        said = {"null_values": self.NULLS}
        written = value.strip('"')
        assert read_file(end.join(["n,idfa", f"1,{value}", f"2,{A}", ""]), column="idfa", **said) == ["", A]
        texts = read_file(end.join([value, A, ""]), "f.txt", **said)
        assert [text.strip() for text in texts] == ["", A]
        lines = "".join(json.dumps({"idfa": text}) + end for text in (written, A))
        assert read_file(lines, "f.jsonl", **said) == ["", A]
        table = io.BytesIO()
        pq.write_table(pa.table({"idfa": [written, A]}), table)
        assert read_file(table.getvalue(), "f.parquet", **said) == ["", A]

    def test_only_whole_texts_in_their_very_case(self, read_file: Read) -> None:
        lines = ["null", "NULLS", "aNULL", "NULL NULL", "NULL", '"NULL', " NULL"]
        assert read_file("\n".join(lines), "f.txt", null_values="NULL") == [*lines[:4], "", *lines[5:]]

    def test_none_by_default(self, read_file: Read) -> None:
        assert read_file("NULL\n\\N\n", "f.txt") == ["NULL", "\\N"]
        assert read_file("NULL\n\\N\n", "f.txt", null_values=None) == ["NULL", "\\N"]

    @settings(deadline=None)
    @given(
        st.lists(st.text(st.sampled_from("aN\\\"'"), max_size=3)),
        st.lists(st.text(st.sampled_from("aN\\"), min_size=1, max_size=2)),
    )
    def test_as_if_each_was_compared(self, read_file: Read, lines: list[str], nulls: list[str]) -> None:
        quoted = {f'"{null}"' for null in nulls}
        expected = ["" if line in nulls or line in quoted else line for line in lines]
        assert read_file("".join(f"{line}\n" for line in lines), "f.txt", null_values=nulls) == expected
