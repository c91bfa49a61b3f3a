"""CSV as programs write it: headers, line ends, what stands between, around and in fields. Names, and no guesses."""

import csv
import gzip
import io
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.members.reading.line_ends import line_ends_differ, with_line_feeds

Read = Callable[..., list[str]]
Refuse = Callable[..., str]

A, B, C, D = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in "abcd")
PHONES = [f"137{number:08d}" for number in range(3)]


class TestHeader:
    @pytest.mark.parametrize(
        ("header", "column"),
        [
            ("Name,Phone,Mobile Phone", "Phone"),
            ("Mobile Phone,phone,Phone2", "Phone"),
            ("my idfa,IDFA,idfa sha1", "idfa"),
            ('"Home, Phone",Phone,"say ""Phone"""', "Phone"),
            ("Phone (work),Phone,Phone", None),
            ("手机号2,手机号,备用 手机号", "手机号"),
            ("a.Phone,Phone,Phone-2", "phone"),
            ("phone_1,phone,PHONE_2", "phone"),
        ],
    )
    def test_a_name_within_other_names(
        self, header: str, column: str | None, read_file: Read, refuse_file: Refuse
    ) -> None:
        content = f"{header}\nx,{PHONES[0]},\n,{PHONES[1]},y\n"
        if column is None:
            assert "several columns 'Phone': name them apart" in refuse_file(content, column="Phone")
        else:
            assert read_file(content, column=column) == PHONES[:2]

    @pytest.mark.parametrize("repeated", ["idfa,x,idfa", 'idfa,x,"idfa"', "x,idfa,idfa"])
    def test_the_very_name_twice(self, repeated: str, refuse_file: Refuse) -> None:
        assert "several columns 'idfa': name them apart" in refuse_file(f"{repeated}\n{A},1,{B}\n", column="idfa")

    @pytest.mark.parametrize(
        "other",
        ["2026-01-01 00:00:00", "消费金额(20260101-20260131)", PHONES[2], "a@b", A, uuid.UUID(A).hex, "2026/01/01-02"],
    )
    def test_what_else_is_in_the_header_does_not_matter_with_a_column(
        self, other: str, read_file: Read, refuse_file: Refuse
    ) -> None:
        lines = "".join(f"{phone},1\n" for phone in PHONES)
        assert read_file(f"phone,{other}\n{lines}", column="phone") == PHONES
        assert read_file(f"PHONE,{other}\n{lines}", column="phone") == PHONES
        if other != "2026/01/01-02":
            for column in (None, "mobile"):
                assert "has a member where the names of its columns" in refuse_file(
                    f"phone,{other}\n{lines}", column=column, hidden=PHONES[2:]
                )

    def test_a_first_line_with_a_member_is_never_lost(self, refuse_file: Refuse) -> None:
        for column in (None, "phone", "1"):
            message = refuse_file("".join(f"x,{phone}\n" for phone in PHONES), column=column, hidden=tuple(PHONES))
            assert "header=False with the column's number" in message

    @pytest.mark.parametrize("blank", ["\n", "\n\n\n", "\r\n"])
    def test_blank_lines_before_it(self, blank: str, read_file: Read) -> None:
        assert read_file(f"{blank}n,idfa\n1,{A}\n2,{B}\n", column="idfa") == [A, B]

    def test_a_name_over_several_lines(self, read_file: Read) -> None:
        assert read_file(f'"the\nID","x ""y"""\n{A},1\n', column="the\nID") == [A]

    def test_many_columns(self, read_file: Read) -> None:
        names = ",".join(f"c{number}" for number in range(2000))
        assert read_file(f"{names}\n{','.join([A] * 2000)}\n", column="c1999") == [A]

    def test_one_that_never_ends(self, refuse_file: Refuse) -> None:
        content = f'"idfa,n\n{A},1\n' + f"{B},x\n" * 40_000
        assert "its first line is too long" in refuse_file(content, column="idfa", hidden=(A, B))

    @settings(max_examples=60, deadline=None)
    @given(
        names=st.lists(
            st.text(st.sampled_from('ab ,;"\n\tü'), min_size=1, max_size=6), min_size=2, max_size=5, unique=True
        ),
        delimiter=st.sampled_from(",;\t|"),
        data=st.data(),
    )
    def test_as_python_writes_it(self, names: list[str], delimiter: str, data: st.DataObject, read_file: Read) -> None:
        if len({name.lower() for name in names}) < len(names):
            return
        written = io.StringIO()
        writer = csv.writer(written, delimiter=delimiter, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])))
        writer.writerow(names)
        for row in range(3):
            writer.writerow([f"{name}{row}" for name in names])
        column = data.draw(st.sampled_from(names))
        found = read_file(written.getvalue(), column=column, delimiter=delimiter)
        assert found == [f"{column}{row}" for row in range(3)]


class TestWithoutHeader:
    @pytest.mark.parametrize("header", [False, "False", "false", " FALSE "])
    @pytest.mark.parametrize("column", [2, "2", [2], ["2"]])
    def test_by_number(self, header: object, column: object, read_file: Read) -> None:
        assert read_file(f"US,{A}\nDE,{B}\n", header=header, column=column) == [A, B]

    def test_the_only_column_needs_no_number(self, read_file: Read, refuse_file: Refuse) -> None:
        assert read_file(f"{A}\n{B}\n", header=False) == [A, B]
        assert "2 columns ('1', '2'): say which one with column=, by its number" in refuse_file(
            f"{A},US\n{B},DE\n", header=False
        )

    def test_blank_lines(self, read_file: Read) -> None:
        assert [text for text in read_file(f"\n{A},1\n\n{B},2\n", header=False, column=1) if text] == [A, B]

    @pytest.mark.parametrize("column", [0, -1, "0", "idfa", "1.0", "²", "9" * 5000])
    def test_what_is_no_number(self, column: object, refuse_file: Refuse) -> None:
        assert "give the column's number, counted from 1" in refuse_file(f"US,{A}\n", header=False, column=column)

    def test_too_large_a_number(self, refuse_file: Refuse) -> None:
        assert "has no column 3: its first line has 2" in refuse_file(f"US,{A}\n", header=False, column=3, hidden=(A,))

    def test_a_number_where_there_is_a_header(self, refuse_file: Refuse) -> None:
        assert "a number goes with header=False" in refuse_file(f"n,idfa\nUS,{A}\n", column=2)


class TestLineEnds:
    @pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
    @pytest.mark.parametrize(
        "content",
        [
            f"idfa\r\n{A}\n{B}\n{C}\n",
            f"idfa\n{A}\r\n{B}\r\n{C}",
            f"idfa\r{A}\r{B}\r{C}\r",
            f"idfa\r{A}\n{B}\r\n{C}",
            f"idfa\r\n{A}\r{B}\n{C}\r",
        ],
    )
    def test_that_differ(self, content: str, pack: Callable[[bytes], bytes], read_file: Read) -> None:
        name = {bytes: "f.csv", gzip.compress: "f.csv.gz"}.get(pack, "f.csv.zst")
        assert read_file(pack(content.encode()), name) == [A, B, C]

    def test_far_down(self, read_file: Read) -> None:
        content = "n,idfa\n" + f"1,{A}\n" * 50_000 + f"2,{B}\r\n" + f"3,{C}\n"
        assert read_file(content, column="idfa") == [A] * 50_000 + [B, C]

    def test_within_quotes(self, read_file: Read) -> None:
        content = f'note,idfa\r\n"a\nb\r\nc",{A}\r\n"d\re",{B}\r\n'
        assert read_file(content, column="idfa") == [A, B]

    @settings(max_examples=80, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["x", "a\nb", "a\r\nb", ""])), max_size=6
        )
    )
    def test_any(self, read_file: Read, lines: list[tuple[str, str]]) -> None:
        content = "n,idfa\n" + "".join(f'"{note}",{A}{number}{end}' for number, (end, note) in enumerate(lines))
        assert read_file(content, column="idfa") == [f"{A}{number}" for number in range(len(lines))]

    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"])), st.lists(st.integers(0, 9)))
    def test_cut_anywhere(self, parts: list[bytes], cuts: list[int]) -> None:
        content = b"".join(parts)
        pieces, rest = [], content
        for cut in cuts:
            pieces.append(rest[:cut])
            rest = rest[cut:]
        expected = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert b"".join(with_line_feeds(iter([*pieces, rest]))) == expected

    @settings(deadline=None)
    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"])), st.integers(1, 5))
    def test_told_whatever_the_blocks(
        self, tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], block_bytes: int
    ) -> None:
        path: Path = tmp_path_factory.getbasetemp() / "ends"
        content = b"".join(parts)
        path.write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("airflow_provider_audiences.members.reading.line_ends._BLOCK_BYTES", block_bytes)
            found = line_ends_differ(path)
        bare = content.replace(b"\r\n", b"")
        assert found == (b"\r" in content and (b"\r" in bare or b"\n" in bare))


class TestDialect:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (f'idfa,ua\n{A},"say \\"hi\\", now"\n{B},ok\n', {"escape": "\\"}),
            (f'idfa,ua\n{A},"a \\"b\\" \\\\ c"\n{B},"\\N"\n', {"escape": "\\"}),
            (f"idfa\x01c\n{A}\x01US\n{B}\x01DE\n", {"delimiter": "\x01"}),
            (f"idfa\x01c\n{A}\x01US\n{B}\x01DE\n", {"delimiter": "\\x01"}),
            (f"idfa\x01c\n{A}\x01US\n{B}\x01DE\n", {"delimiter": "\\001"}),
            (f"idfa\tc\n{A}\tU,S\n{B}\tDE\n", {"delimiter": "\\t"}),
            (f"idfa^c\n{A}^US\n{B}^DE\n", {"delimiter": "^"}),
            (f"idfa¦c\n{A}¦US\n{B}¦DE\n", {"delimiter": "¦"}),
            (f"idfa\uff0cc\n{A}\uff0cUS\n{B}\uff0cDE\n", {"delimiter": "\\uff0c"}),
            (f"'idfa','ua'\n'{A}','a,b'\n'{B}','it''s'\n", {"quote": "'"}),
            (f"'idfa','ua'\n'{A}','a,b'\n'{B}','it/'s'\n", {"quote": "'", "escape": "/"}),
            (f'idfa,ua\n{A},5" screen\n{B},"\n', {"quote": ""}),
            (f"idfa;ua\n{A};1,5\n{B};2,5\n", {"delimiter": ";"}),
            (f"sep=;\r\nidfa;ua\r\n{A};US\r\n{B};DE\r\n", {}),
            (f"\ufeffsep=;\nidfa;ua\n{A};US\n{B};DE\n", {}),
            (f'"sep=|"\nidfa|ua\n{A}|US\n{B}|DE\n', {}),
            (f"SEP=\t\r\nidfa\tua\n{A}\tUS\r\n{B}\tDE", {}),
            (f"sep=;\nidfa;ua\n{A};US\n{B};DE\n", {"delimiter": ";"}),
        ],
    )
    def test_read(self, content: str, said: dict[str, str], read_file: Read) -> None:
        assert read_file(content, column="idfa", **said) == [A, B]

    @pytest.mark.parametrize(
        ("content", "hint"),
        [
            (f'idfa,ua\n{A},"say \\"hi\\", now"\n{B},ok\n', "say escape='\\\\'"),
            (f"idfa\x01c\n{A}\x01US\n", "say with delimiter="),
            (f"idfa~c\n{A}~US\n", "say with delimiter="),
            (f"'idfa','ua'\n'{A}','a b'\n", 'say quote="\'"'),
        ],
    )
    def test_what_to_say_stands_in_the_refusal(self, content: str, hint: str, refuse_file: Refuse) -> None:
        assert hint in refuse_file(content, column="idfa", hidden=(A, B))

    @pytest.mark.parametrize("name", ["f.tsv", "f.TSV", "f.tab", "f.tsv.gz", "f.tsv.zst"])
    def test_tabs_by_name(self, name: str, read_file: Read) -> None:
        content = f"idfa\tc,d;e\n{A}\tUS\n{B}\t,\n".encode()
        if name.endswith(".gz"):
            content = gzip.compress(content)
        if name.endswith(".zst"):
            content = zstandard.ZstdCompressor().compress(content)
        assert read_file(content, name, column="idfa") == [A, B]

    def test_tabs_by_name_and_something_else_in_the_file(self, read_file: Read) -> None:
        assert read_file(f"{A}\n{B}\n", "f.tsv") == [A, B]
        assert read_file(f"idfa;c\n{A};US\n", "f.tsv", column="idfa", delimiter=";") == [A]
        assert read_file(f"idfa,c\n{A},US\n", "f.tsv", column="idfa", file_format="csv") == [A]

    def test_a_delimiter_that_the_first_line_does_not_tell(self, read_file: Read) -> None:
        assert read_file(f"idfa,n;c\n{A};US\n{B};D,E\n", column="idfa,n") == [A, B]

    @pytest.mark.parametrize("content", ["sep=;", "sep=;\r\n", "\ufeffsep=,\n\n"])
    def test_nothing_but_a_separator(self, content: str, read_file: Read) -> None:
        assert read_file(content, column="idfa") == read_file(content, header=False) == []

    def test_without_a_header_the_first_line_tells(self, read_file: Read) -> None:
        assert read_file(f'US|"a,b"|{A}\nDE|c|{B}\n', header=False, column=3) == [A, B]


class TestSeveralColumns:
    def test_all_are_read(self, read_file: Read) -> None:
        content = f"gaid,n,idfa\n{A},1,{B}\n,2,{C}\n"
        assert read_file(content, column=["idfa", "GAID"]) == [B, C, A, ""]
        assert read_file(f"{A},1,{B}\n", header=False, column=[3, "1"]) == [B, A]

    @pytest.mark.parametrize(
        ("column", "said"),
        [
            (["idfa", "idfa"], "names one twice"),
            (["idfa", "IDFA"], "names a column twice"),
            (["idfa", "x"], "has no column 'x'"),
            ([], "empty list"),
            (["idfa", None], "must be the name of one, not NoneType"),
            (["idfa", True], "must be the name of one, not bool"),
            (["idfa", 2], "a number goes with header=False"),
        ],
    )
    def test_refused(self, column: list[object], said: str, refuse_file: Refuse) -> None:
        assert said in refuse_file(f"gaid,n,idfa\n{A},1,{B}\n", column=column)

    def test_one_number_twice(self, refuse_file: Refuse) -> None:
        assert "names a column twice" in refuse_file(f"{A},{B}\n", header=False, column=[1, "1"])
