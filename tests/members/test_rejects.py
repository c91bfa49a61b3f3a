"""The report of what was refused: complete, in order, and without a value unless asked for."""

import csv
import io
import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import InvalidInputError, WorkspaceUnavailableError
from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind, PhoneNumbers
from airflow_provider_audiences.members.reading.inputs import FilesInput, MemberInput, SourceFile, ValuesInput
from airflow_provider_audiences.members.rejects import RejectsFile, RejectsFormat
from airflow_provider_audiences.members.staging import StagedMembers, StagingRules, stage

ZERO = "00000000-0000-0000-0000-000000000000"
GOOD = str(uuid.uuid4())
SECRET = f"{{{uuid.uuid4()}}}"
COLUMNS = ["source", "row_number", "reason", "preview"]

Row = tuple[str, int, str, str]


class Report(io.BytesIO):
    """What was written; it stays readable when it is closed."""

    content = b""
    times_closed = 0

    def close(self) -> None:
        if not self.closed:
            self.content = self.getvalue()
            self.times_closed += 1
        super().close()


class Target:
    """A place for a report, and what it then holds."""

    def __init__(self, file_format: RejectsFormat, *, include_values: bool = False) -> None:
        self.report = Report()
        self.opened = 0
        self.target = RejectsFile(
            name="s3://bucket/report", open=self._open, file_format=file_format, include_values=include_values
        )

    def _open(self) -> IO[bytes]:
        self.opened += 1
        return self.report

    def rows(self) -> Any:
        assert self.opened == self.report.times_closed == 1
        if self.target.file_format == "parquet":
            return pq.read_table(io.BytesIO(self.report.content)).to_pylist()
        rows = list(csv.DictReader(io.StringIO(self.report.content.decode("utf-8"), newline="")))
        return [{**row, "row_number": int(row["row_number"])} for row in rows]

    def columns(self) -> Any:
        if self.target.file_format == "parquet":
            return pq.read_table(io.BytesIO(self.report.content)).column_names
        return next(csv.reader(io.StringIO(self.report.content.decode("utf-8"))))


@pytest.fixture(params=["parquet", "csv"])
def target(request: pytest.FixtureRequest) -> Target:
    return Target(request.param)


@pytest.fixture(params=["parquet", "csv"])
def open_target(request: pytest.FixtureRequest) -> Target:
    return Target(request.param, include_values=True)


def run(
    source: MemberInput, target: Target, *, identifier_kind: IdentifierKind = ID_KIND, **rules: Any
) -> StagedMembers:
    with stage(source, identifier_kind=identifier_kind, rules=StagingRules(rejects=target.target, **rules)) as staged:
        assert staged.members <= staged.member_texts
        return staged


def values(*chunks: list[Any], name: str = "source") -> ValuesInput:
    return ValuesInput(chunks=chunks, name=name)


def test_rows(target: Target) -> None:
    staged = run(values([GOOD, "bad", "", None], [ZERO, SECRET, GOOD], ["13900001111"], name="hook x"), target)

    assert (staged.members, staged.malformed, staged.zeroed, staged.blank, staged.duplicates) == (1, 3, 1, 2, 1)
    assert [tuple(row.values()) for row in target.rows()] == [
        ("hook x", 2, "malformed", "a text of 3 characters"),
        ("hook x", 5, "zeroed", "0000\u2026 (36 characters)"),
        ("hook x", 6, "malformed", f"{SECRET[:4]}\u2026 (38 characters)"),
        ("hook x", 8, "malformed", "1390\u2026 (11 characters)"),
    ]
    assert target.columns() == COLUMNS


def test_no_value_without_being_asked(target: Target) -> None:
    run(values([SECRET, SECRET.upper(), GOOD + "x"]), target)
    assert len(target.rows()) == 3
    for text in (SECRET[5:20], GOOD[5:20]):
        assert text.encode() not in target.report.content.lower()
        assert text.upper().encode() not in target.report.content


def test_exact_values(open_target: Target) -> None:
    odd = [
        "a,b",
        'say "x"',
        "two\nlines",
        "\u4e2d\u6587",
        "tab\t",
        " padded ",
        "'quoted'",
        "a\rb",
        "\u2028x",
        "1=1",
        "NULL",
        "a\\b",
    ]
    run(values([GOOD, *odd, "", SECRET]), open_target)

    assert open_target.columns() == [*COLUMNS, "value"]
    assert [row["value"] for row in open_target.rows()] == [*odd, SECRET]
    assert [row["row_number"] for row in open_target.rows()] == [*range(2, len(odd) + 2), len(odd) + 3]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+49 30 1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "=cmd|' /C calc'!A0", "+1\n=2"],
)
def test_a_spreadsheet_finds_no_formula(open_target: Target, text: str) -> None:
    """In CSV a quote stands before the text, and before its preview; in Parquet it is as it was."""
    run(values([GOOD, text, SECRET]), open_target)
    (formula, other) = open_target.rows()
    mark = "'" if open_target.target.file_format == "csv" else ""
    assert formula["value"] == mark + text
    assert other["value"] == SECRET
    assert not formula["preview"].startswith(tuple("=+-@\uff1d")) or not mark


def test_a_file_whose_name_begins_as_a_formula(tmp_path: Path, make_file: Callable[..., SourceFile]) -> None:
    path = tmp_path / "report.csv"
    file = make_file(b"bad\n", "=1+1.txt")
    target = RejectsFile(name="report", open=lambda: path.open("wb"), file_format="csv")
    with stage(FilesInput(files=[file]), rules=StagingRules(rejects=target), identifier_kind=ID_KIND):
        pass
    assert path.read_text().splitlines()[1].startswith("'=1+1.txt,1,malformed,")


def test_values_that_are_no_text(open_target: Target) -> None:
    run(values([b"\xff\xfeabc", b"a\x00b", "\ud800x", b"\xe4\xb8\xad"]), open_target)
    found = [row["value"] for row in open_target.rows()]
    assert found == [r"\xff\xfeabc", "a\x00b", r"\xed\xa0\x80x", "\u4e2d"]


def test_order_is_that_of_the_source(target: Target, make_file: Callable[..., SourceFile]) -> None:
    """Reasons in turns, chunks of many sizes, more rows than are added at once."""
    texts = [(GOOD, "bad", ZERO, "", "worse" * 3)[number * number % 5] for number in range(130_001)]
    expected = [
        (number, "zeroed" if text == ZERO else "malformed")
        for number, text in enumerate(texts, start=1)
        if text not in {GOOD, ""}
    ]
    cuts = [0, 1, 2, 70_000, 70_001, 130_001]
    run(values(*(texts[first:end] for first, end in itertools.pairwise(cuts))), target)
    assert [(row["row_number"], row["reason"]) for row in target.rows()] == expected

    again = Target(target.target.file_format)
    run(FilesInput(files=[make_file("\n".join(texts).encode())]), again)
    assert [(row["row_number"], row["reason"]) for row in again.rows()] == expected


def test_several_files(target: Target, make_file: Callable[..., SourceFile]) -> None:
    first = make_file(f"bad\n{GOOD}\r\n{ZERO}".encode(), "a, b.txt")
    second = make_file(f"{GOOD}\n\nworse\n".encode(), "it's \u4e2d.txt")
    run(FilesInput(files=[second, first, second]), target)
    assert [(row["source"], row["row_number"], row["reason"]) for row in target.rows()] == [
        ("it's \u4e2d.txt", 3, "malformed"),
        ("a, b.txt", 1, "malformed"),
        ("a, b.txt", 3, "zeroed"),
        ("it's \u4e2d.txt", 3, "malformed"),
    ]


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.parquet"])
def test_rows_of_tables(name: str, target: Target, make_file: Callable[..., SourceFile]) -> None:
    texts = [GOOD, "bad", None, ZERO, *[GOOD] * 5000, "worse"]
    buffer = io.BytesIO()
    pq.write_table(pa.table({"idfa": texts}), buffer)
    content = {
        "f.csv": "idfa,n\n" + "".join(f"{text or ''},1\n" for text in texts),
        "f.jsonl": "".join(f'{{"idfa": "{text}"}}\n' if text else '{"n": 1}\n' for text in texts),
        "f.parquet": buffer.getvalue(),
    }[name]
    data = content if isinstance(content, bytes) else str(content).encode()
    run(FilesInput(files=[make_file(data, name)], column="idfa"), target)
    assert [(row["source"], row["row_number"], row["reason"]) for row in target.rows()] == [
        (name, 2, "malformed"),
        (name, 4, "zeroed"),
        (name, 5005, "malformed"),
    ]


@pytest.mark.parametrize("chunks", [[], [[]], [[GOOD, "", None, GOOD.upper()]]])
def test_an_empty_report_has_its_columns(chunks: list[list[Any]], target: Target, open_target: Target) -> None:
    run(values(*chunks), target)
    run(values(*chunks), open_target)
    assert target.rows() == open_target.rows() == []
    assert target.columns() == COLUMNS
    assert open_target.columns() == [*COLUMNS, "value"]


@pytest.mark.parametrize("rules", [{"on_malformed": "fail"}, {"max_malformed_ratio": 0.1}])
def test_what_stops_the_run_is_reported(rules: dict[str, Any], target: Target, hides: Callable[..., None]) -> None:
    with pytest.raises(InvalidInputError, match=r"all of them are in s3://bucket/report") as caught:
        run(values([GOOD, SECRET], [ZERO, "worse"]), target, **rules)
    hides(caught.value, SECRET[5:20], GOOD)
    assert [row["row_number"] for row in target.rows()] == [2, 3, 4]


def test_phone_numbers(open_target: Target) -> None:
    run(values(["13900001111", "1390000****", "12345"]), open_target, identifier_kind=PhoneNumbers())
    assert [(row["row_number"], row["preview"], row["value"]) for row in open_target.rows()] == [
        (2, "1390\u2026 (11 characters)", "1390000****"),
        (3, "1234\u2026 (5 characters)", "12345"),
    ]


class FullDisk(io.BytesIO):
    def write(self, _data: Any) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("opens", [False, True])
def test_a_target_that_cannot_be_written(opens: bool, scratch: Path, hides: Callable[..., None]) -> None:
    def open_it() -> IO[bytes]:
        if opens:
            return FullDisk()
        raise PermissionError(13, "Permission denied")

    target = RejectsFile(name="s3://bucket/report", open=open_it, file_format="csv", include_values=True)
    with (
        pytest.raises(
            WorkspaceUnavailableError, match=r"written to s3://bucket/report \((No space|Permission)"
        ) as caught,
        stage(values([SECRET]), rules=StagingRules(rejects=target), identifier_kind=ID_KIND),
    ):
        pass
    hides(caught.value, SECRET[5:20])
    assert list(scratch.iterdir()) == []


def test_a_source_that_breaks_writes_no_report(target: Target) -> None:
    def chunks() -> Iterator[list[str]]:
        yield ["bad"]
        raise TimeoutError

    with pytest.raises(TimeoutError):
        run(ValuesInput(chunks=chunks()), target)
    assert target.opened == 0


def test_no_secret_in_the_repr(target: Target) -> None:
    assert "open" not in repr(target.target)
