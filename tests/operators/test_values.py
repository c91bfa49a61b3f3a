"""What values members may come as, through the operators of both platforms, and what is told of others."""

import collections
import contextlib
import decimal
import json
import logging
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.fixtures import Connect, MakeAudience, MakeContext

from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.operators.pai import PaiCreateGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.sources import FileSource, SqlSource

IDS = sorted(str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) for number in range(6))
BINARY = [uuid.UUID(item).bytes for item in IDS]
PHONES = [f"1589{number:07d}" for number in range(7_700_001, 7_700_004)]
NUMBERS = [int(item) for item in PHONES]
FLOATS = [float(item) for item in PHONES]
NAN = float("nan")


@pytest.fixture(autouse=True)
def _connected(connect: Connect, emulator: AudiencesEmulator) -> None:
    emulator.settings(processing_seconds=0)


@pytest.fixture
def append(
    make_audience: MakeAudience, task_context: MakeContext, emulator: AudiencesEmulator
) -> Callable[..., tuple[Any, Any]]:
    """Appends a source to a new audience; returns the members that arrived, and the report."""

    def run(source: Any) -> tuple[Any, Any]:
        audience_id = make_audience(uuid.uuid4().hex)
        operator = AppLovinAppendUsersOperator(task_id="t", audience_id=audience_id, source=source)
        report = operator.execute(task_context())
        return emulator.members(audience_id), report

    return run


@pytest.fixture
def sync(task_context: MakeContext) -> Callable[..., Any]:
    """Makes a group of a source; returns the report."""

    def run(source: Any, **arguments: Any) -> Any:
        operator = PaiSyncGroupOperator(
            task_id="t", name=uuid.uuid4().hex, source=source, poke_interval=0.02, timeout=30, **arguments
        )
        return operator.execute(task_context(xcom_push=lambda **_: None))

    return run


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SqlSource]:
    """A connection to a table ``people`` with these values in its one column."""

    def make(values: Any) -> SqlSource:
        path = tmp_path / f"{uuid.uuid4()}.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE people (member)")
            connection.executemany("INSERT INTO people VALUES (?)", [(value,) for value in values])
            connection.commit()
        monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
        return SqlSource("lite", "SELECT member FROM people", chunk_size=4)

    return make


Row = collections.namedtuple("Row", "idfa")  # noqa: PYI024 - as drivers make them
ARRAYS = {
    "unique": lambda: pd.Series(IDS).unique(),
    "categorical": lambda: pd.Categorical(IDS),
    "series of categories": lambda: pd.Series(IDS, dtype="category"),
    "index": lambda: pd.Index(IDS),
    "array": lambda: pd.array(IDS),
    "series of objects": lambda: pd.Series([*IDS, None, NAN, pd.NA], dtype=object),
    "series of uuids": lambda: pd.Series([uuid.UUID(item) for item in IDS]),
    "numpy text": lambda: np.array(IDS),
    "numpy objects": lambda: np.array([*IDS, None, NAN], dtype=object),
    "numpy strings": lambda: np.array(IDS, dtype=np.dtypes.StringDType()),
    "numpy rows": lambda: np.array(IDS).reshape(-1, 1),
    "polars objects": lambda: pl.Series([uuid.UUID(item) for item in IDS], dtype=pl.Object),
    "arrow array": lambda: pa.array(IDS),
    "arrow chunks": lambda: pa.chunked_array([IDS[:2], [], IDS[2:]]),
    "arrow scalars": lambda: list(pa.array(IDS)),
    "missing": lambda: [*IDS, None, NAN, pd.NA, pd.NaT, np.datetime64("NaT"), np.ma.masked, decimal.Decimal("NaN")],
    "rows": lambda: [(item,) for item in IDS],
    "rows of lists": lambda: [[item] for item in IDS],
    "named rows": lambda: (Row(item) for item in IDS),
    "dictionaries": lambda: [{"idfa": item} for item in IDS],
}  # fmt: skip
BINARIES = {
    "bytes": lambda: [*BINARY, None],
    "bytearray": lambda: [bytearray(item) for item in BINARY],
    "memoryview": lambda: (memoryview(item) for item in BINARY),
    "rows": lambda: [(item,) for item in BINARY],
    "numpy void": lambda: np.array(BINARY, dtype="V16"),
    "pandas": lambda: pd.DataFrame({"idfa": [*BINARY, None]}),
    "polars": lambda: pl.DataFrame({"idfa": [*BINARY, None]}),
    "fixed size": lambda: pa.table({"idfa": pa.array([*BINARY, None], pa.binary(16))}),
    "large": lambda: pa.table({"idfa": pa.array(BINARY, pa.large_binary())}),
    "array": lambda: pa.array(BINARY, pa.binary(16)),
    "with text": lambda: [*BINARY[:3], *IDS[3:]],
    "text": lambda: [item.encode() for item in IDS],
}


@pytest.mark.parametrize(
    "make", [*ARRAYS.values(), *BINARIES.values()], ids=[*ARRAYS, *(f"binary {name}" for name in BINARIES)]
)
def test_advertising_ids_come_as_values(append: Callable[..., tuple[Any, Any]], make: Any) -> None:
    members, report = append(make())
    assert members == IDS
    assert report["malformed"] == 0


def test_binary_values_come_from_a_database(
    append: Callable[..., tuple[Any, Any]], database: Callable[..., SqlSource]
) -> None:
    assert append(database([*BINARY, None]))[0] == IDS
    assert append(database([item.encode() for item in IDS]))[0] == IDS


@pytest.mark.parametrize("others", [[b"abc"], [IDS[0].encode()]])
def test_binary_values_that_differ_are_refused(
    append: Callable[..., tuple[Any, Any]], database: Callable[..., SqlSource], others: list[Any]
) -> None:
    for source in ([*BINARY, *others], database([*BINARY[:2], *others])):
        with pytest.raises(InvalidInputError, match="cast them to text"):
            append(source)


def test_sixteen_letters_are_no_uuid(append: Callable[..., tuple[Any, Any]]) -> None:
    with pytest.raises(InvalidInputError, match="none of the source's texts is an advertising ID"):
        append([b"0123456789abcdef", b"fedcba9876543210"])


def test_binary_zeros_are_devices_that_give_no_id(append: Callable[..., tuple[Any, Any]]) -> None:
    members, report = append([*BINARY, bytes(16), "0" * 8])
    assert (members, report["zeroed"], report["malformed"]) == (IDS, 1, 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([(IDS[0], "US"), (IDS[1], "DE")], "item 1: a tuple of 2 .*SqlSource"),
        ([(IDS[0],), IDS[1]], "item 2: a str is no row"),
        ([IDS[0], (IDS[1],)], "item 2: a tuple is not a member"),
        (pd.DataFrame({"idfa": IDS, "os": "ios"}), "2 columns"),
        (np.array(IDS[0]), "ndarray of one value"),
        ([IDS[0], True], "item 2: a bool is not a member"),
        ([IDS[0], 13700000000], "item 2: a int is not a member"),
    ],
)
def test_values_that_are_no_members_are_named(append: Callable[..., tuple[Any, Any]], source: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as refusal:
        append(source)
    assert IDS[0] not in str(refusal.value)


WHOLE = {
    "frame of floats": lambda: pd.DataFrame({"phone": [*FLOATS, None]}),
    "floats": lambda: [*FLOATS, NAN],
    "decimals": lambda: [decimal.Decimal(item) for item in PHONES],
    "decimals with places": lambda: [decimal.Decimal(f"{item}.00") for item in PHONES],
    "decimals with exponents": lambda: [decimal.Decimal(item).normalize() for item in PHONES],
    "rows of decimals": lambda: [(decimal.Decimal(item),) for item in PHONES],
    "text": lambda: [f"{item}.0" for item in PHONES],
    "numpy": lambda: list(np.array(NUMBERS)),
    "numpy array": lambda: np.array(FLOATS),
    "nullable": lambda: pd.Series([*NUMBERS, None], dtype="Int64"),
    "nullable array": lambda: pd.array([*NUMBERS, None], dtype="Int64"),
    "unique": lambda: pd.Series(NUMBERS).unique(),
    "categories": lambda: pd.Series(NUMBERS).astype("category"),
    "objects": lambda: pd.Series([FLOATS[0], PHONES[1], NUMBERS[2], None], dtype=object),
    "arrow decimals": lambda: pa.table({"phone": pa.array(map(decimal.Decimal, PHONES), pa.decimal128(20, 2))}),
    "polars": lambda: pl.Series([*FLOATS, NAN, None]),
    "arrow": lambda: pa.array(NUMBERS),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("phone_format", ["cn_mobile", "any"])
def test_phone_numbers_come_as_numbers(sync: Callable[..., Any], make: Any, phone_format: str) -> None:
    report = sync(make(), phone_format=phone_format)
    assert (report["members"], report["malformed"], report["amount"]) == (3, 0, 3)


def test_phone_numbers_come_from_columns_of_a_database(
    sync: Callable[..., Any], database: Callable[..., SqlSource]
) -> None:
    assert sync(database([*FLOATS, None]))["members"] == 3
    assert sync(database(NUMBERS))["members"] == 3


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (["1.37E+10"] * 2, "2 malformed: a spreadsheet"),
        (["1,589E10", "1.58e+10"], "2 malformed: a spreadsheet"),
        (["137****0001"] * 2, r"2 malformed: the number is masked"),
        (["158\u2022\u2022\u2022\u20220001", "158XXXX0001"], r"2 malformed: the number is masked"),
        ([2.0**53, 15897700001.5], "2 malformed: a spreadsheet"),
        (np.array(FLOATS, dtype="float32"), "3 malformed: a spreadsheet"),
        (pd.DataFrame({"phone": np.array(FLOATS, dtype="float32")}), "3 malformed: a spreadsheet"),
        (pa.table({"phone": pa.array(FLOATS, pa.float32())}), "3 malformed: a spreadsheet"),
        ([decimal.Decimal("15897700001.5"), "1.37E+10"], "2 malformed: a spreadsheet"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_tool_has_made_of_numbers_is_told(
    sync: Callable[..., Any], emulator: AudiencesEmulator, source: Any, reason: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"none of the source's texts is a phone number .*{reason}") as refusal:
        sync(source)
    assert "right column" not in str(refusal.value)
    assert emulator.requests() == []


def test_some_that_a_tool_has_changed_are_counted_and_told(
    sync: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = [*PHONES, "1.37E+10", "137****0001", "138****0001", "x"]
    rejects = tmp_path / "rejects.csv"
    with caplog.at_level(logging.WARNING, logger="airflow_provider_audiences"):
        report = sync(source, rejects_path=str(rejects))
    assert (report["members"], report["malformed"]) == (3, 4)
    assert "1 malformed: a spreadsheet" in caplog.text
    assert "2 malformed: the number is masked" in caplog.text
    assert [line.split(",")[2] for line in rejects.read_text().splitlines()[1:]] == [
        "decimal", "masked", "masked", "malformed",
    ]  # fmt: skip
    for limit in ({"on_malformed": "fail"}, {"max_malformed_ratio": 0.1}):
        with pytest.raises(InvalidInputError, match="malformed: a spreadsheet"):
            sync(source, **limit)


def test_numbers_of_any_length_are_no_other_error_than_ours(sync: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError, match="none of the source's texts"):
        sync([10**5_000, float("inf"), -1])
    with pytest.raises(InvalidInputError, match="item 1: a bool"):
        sync([True])


def test_any_takes_phone_numbers_only(sync: Callable[..., Any], tmp_path: Path, emulator: AudiencesEmulator) -> None:
    path = tmp_path / "p.txt"
    lines = ["phone", "+447700900123", "+44 (7700) 900-124", "NULL", "\\N", "-", "", "00447700900123"]
    path.write_text("\n".join(lines))
    report = sync(str(path), phone_format="any")
    assert {name: report[name] for name in ("members", "malformed", "duplicates", "blank")} == {
        "members": 2, "malformed": 4, "duplicates": 1, "blank": 1,
    }  # fmt: skip
    (group,) = emulator.groups()
    assert group["People"] == 2
    csv = tmp_path / "p.csv"
    csv.write_text("phone,c\n+1 201 555 0123,a\n(201) 555\u20110124,b\nNULL,c\n")
    report = sync(FileSource(csv, column="phone"), phone_format="any")
    assert (report["members"], report["malformed"]) == (2, 1)


def create(task_context: MakeContext, text: Any, **arguments: Any) -> Any:
    operator = PaiCreateGroupOperator(task_id="t", source=0, name=uuid.uuid4().hex, text=text, **arguments)
    return operator.execute(task_context())


@pytest.mark.parametrize(
    "text",
    [
        "+447700900123\nphone",
        "+447700900123\n-",
        "+447700900123\n41555526,41555527",
        ["+447700900123", "NULL"],
    ],
)
def test_text_of_any_format_names_the_line_that_is_no_number(
    task_context: MakeContext, emulator: AudiencesEmulator, text: str | list[str]
) -> None:
    with pytest.raises(InvalidInputError, match="text, line 2: not a phone number"):
        create(task_context, text, phone_format="any")
    assert emulator.requests() == []


def test_text_of_any_format_has_at_most_a_hundred_numbers(
    task_context: MakeContext, emulator: AudiencesEmulator
) -> None:
    numbers = [f"+1201555{number:04d}" for number in range(101)]
    with pytest.raises(InvalidInputError, match="101 phone numbers"):
        create(task_context, numbers, phone_format="any")
    with pytest.raises(InvalidInputError, match="line 1: not a phone number"):
        create(task_context, ",".join(numbers), phone_format="any")
    create(task_context, [*numbers[:100], *numbers[:50]], phone_format="any")
    assert [group["People"] for group in emulator.groups()] == [100]


@pytest.mark.parametrize(
    "text",
    [
        NUMBERS, FLOATS, np.array(NUMBERS), pd.Series(PHONES), [(item,) for item in PHONES], [*PHONES, None, NAN],
        [decimal.Decimal(item) for item in PHONES], (item for item in PHONES), [item.encode() for item in PHONES],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_text_takes_values_as_a_source_does(task_context: MakeContext, emulator: AudiencesEmulator, text: Any) -> None:
    create(task_context, text)
    assert [group["People"] for group in emulator.groups()] == [3]


@pytest.mark.parametrize("text", [True, [True], b"15897700001", {"a": 1}, pd.DataFrame({"phone": PHONES}), [b"\xff"]])
def test_text_that_is_none_is_refused(task_context: MakeContext, text: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^text"):
        create(task_context, text)
