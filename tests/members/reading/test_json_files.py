"""JSON as tools write it: a mark at the beginning, arrays, objects in objects."""

import gzip
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

Read = Callable[..., list[str]]
Refuse = Callable[..., str]

A, B, C = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in "abc")
MARK = b"\xef\xbb\xbf"
PACKS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    (".gz", gzip.compress),
    (".zst", zstandard.ZstdCompressor().compress),
]


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(("ending", "pack"), PACKS)
@pytest.mark.parametrize("mark", [b"", MARK])
@pytest.mark.parametrize(
    "content",
    [
        lines({"idfa": A}, {"idfa": B}, {"idfa": None}),
        json.dumps([{"idfa": A}, {"idfa": B}, {"idfa": None}]).encode(),
        json.dumps([{"idfa": A}, {"idfa": B}, {}], indent=2).encode() + b"\n\n",
        b" \r\n\t" + json.dumps([A, B, None]).encode(),
        json.dumps([A, B, ""], indent="\t").encode(),
    ],
)
def test_lines_and_arrays(
    content: bytes, mark: bytes, ending: str, pack: Callable[[bytes], bytes], read_file: Read
) -> None:
    for name in ("f.json", "f.jsonl", "f.ndjson"):
        assert read_file(pack(mark + content), name + ending) == [A, B, ""]


def test_an_array_of_numbers(read_file: Read) -> None:
    assert read_file("[13700000000, 13700000001]", "f.json") == ["13700000000", "13700000001"]


@pytest.mark.parametrize("content", ["[]", "[ ]\n", " [\n]\n\n", "\n\n", " ", "\ufeff", "\ufeff[]"])
@pytest.mark.parametrize("column", [None, "idfa"])
def test_no_objects_are_no_rows(content: str, column: str | None, read_file: Read) -> None:
    assert read_file(content, "f.json", column=column) == []


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"idfa": A}, {"idfa": B}])[:-1],
        json.dumps([{"idfa": A}, {"idfa": B}])[:-1] + ",",
        json.dumps([{"idfa": A}, {"idfa": B}])[:-20],
        json.dumps([A, B])[:-1],
        json.dumps([A]) + "\n" + json.dumps([B]),
        json.dumps([A]) + json.dumps({"idfa": B}),
    ],
)
def test_an_array_that_breaks_off_or_goes_on(content: str, refuse_file: Refuse) -> None:
    for mark in ("", "\ufeff"):
        assert "f.json" in refuse_file(mark + content, "f.json", hidden=(A, B))


def test_a_large_array(read_file: Read) -> None:
    rows = [{"n": number, "idfa": f"{A}{number}"} for number in range(60_000)]
    assert read_file(json.dumps(rows), "f.json", column="idfa") == [row["idfa"] for row in rows]


def test_one_object_over_several_lines_is_named(refuse_file: Refuse) -> None:
    message = refuse_file(json.dumps({"idfa": A}, indent=1), "f.json", hidden=(A,))
    assert "lines of one object each, or one array, are expected" in message


class TestPaths:
    @pytest.mark.parametrize(
        ("rows", "column"),
        [
            (
                [{"device": {"advertising_id": A, "os": "x"}}, {"device": {"advertising_id": B}}],
                "device.advertising_id",
            ),
            ([{"Device": {"Advertising_ID": A}}, {"Device": {"Advertising_ID": B}}], "device.advertising_id"),
            ([{"a": {"b": {"c": {"d": A}}}}, {"a": {"b": {"c": {"d": B}}}}], "a.b.c.d"),
            ([{"a": {"b.c": {"d": A}}}, {"a": {"b.c": {"d": B}}}], "a.b.c.d"),
            ([{"a.b": {"c": A}}, {"a.b": {"c": B}}], "a.b.c"),
            ([{"a": {'x "y"': A}}, {"a": {'x "y"': B}}], 'a.x "y"'),
            ([{"a": {"it's\\": A}}, {"a": {"it's\\": B}}], "a.it's\\"),
            ([{"设备": {"编号": A}}, {"设备": {"编号": B}}], "设备.编号"),
            ([{"a": {"$x": A, "*": 1}}, {"a": {"$x": B}}], "a.$x"),
            # A key of that very name comes first.
            ([{"device.id": A, "device": {"id": C}}, {"device.id": B, "device": {"id": C}}], "device.id"),
        ],
    )
    def test_into_objects(self, rows: list[Any], column: str, read_file: Read) -> None:
        assert read_file(lines(*rows), "f.jsonl", column=column) == [A, B]
        assert read_file(json.dumps(rows), "f.json", column=column) == [A, B]

    def test_what_is_not_there_in_a_row_is_blank(self, read_file: Read) -> None:
        rows = [{"d": {"id": A}}, {"d": {"id": None}}, {"d": None}, {"x": 1}, {"d": {"y": 1}}, {"d": {"id": B}}]
        assert read_file(lines(*rows), "f.jsonl", column="d.id") == [A, "", "", "", "", B]

    def test_objects_in_some_rows_and_texts_in_others(self, read_file: Read) -> None:
        rows = [{"d": {"id": A}}, {"d": "x"}, {"d": 5}, {"d": [1]}, {"d": {"id": B}}]
        assert read_file(lines(*rows), "f.jsonl", column="d.id") == [A, "", "", "", B]

    def test_values_of_any_type(self, read_file: Read) -> None:
        rows = [{"d": {"id": 13700000000}}, {"d": {"id": A}}, {"d": {"id": 10**30}}, {"d": {"id": True}}]
        assert read_file(lines(*rows), "f.jsonl", column="d.id") == ["13700000000", A, str(10**30), "true"]

    def test_several(self, read_file: Read) -> None:
        rows = [{"d": {"idfa": A, "gaid": B}, "x": C}]
        assert read_file(lines(*rows), "f.jsonl", column=["d.gaid", "x", "d.idfa"]) == [B, C, A]

    @pytest.mark.parametrize("column", ["device.x", "device.id.x", "devic.id", "device.", ".id", "device..id"])
    def test_what_is_not_there_at_all(self, column: str, refuse_file: Refuse) -> None:
        message = refuse_file(lines({"device": {"id": A}}), "f.jsonl", column=column, hidden=(A,))
        assert f"has no column {column!r}; it has 'device'" in message

    @pytest.mark.parametrize("column", ["device", "device.inner", "device.list"])
    def test_no_member_but_an_object(self, column: str, refuse_file: Refuse) -> None:
        rows = lines({"device": {"id": A, "inner": {"id": B}, "list": [C]}})
        assert f"the column '{column}' holds" in refuse_file(rows, "f.jsonl", column=column, hidden=(A, B, C))

    def test_a_member_as_another_key_does_not_matter(self, read_file: Read) -> None:
        assert read_file(lines({"idfa": A, "2026-01-01 00:00:00": 1, "13700000000": 2}), "f.jsonl", column="idfa") == [
            A
        ]

    def test_empty_objects(self, read_file: Read) -> None:
        assert read_file(lines({"d": {}, "idfa": A}, {"d": {"x": {}}, "idfa": B}), "f.jsonl", column="idfa") == [A, B]
