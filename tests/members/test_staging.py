"""
Staging against a model written from the rules, by other means: no regular expression, no bytes of a key.

The order of members in batches is not promised: sets and counts are compared.
"""

import csv
import gzip
import io
import json
import logging
import string
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.characters import ascii_digit, surrounds
from support.fixtures import MakeIds
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers import advertising_id_codec
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.keys import key_order, key_runs
from airflow_provider_audiences.members.reading import text_files
from airflow_provider_audiences.members.reading.inputs import (
    FilesInput,
    FrameInput,
    MemberInput,
    SourceFile,
    ValuesInput,
)
from airflow_provider_audiences.members.staging import StagedMembers, StagingRules, stage

MakeFile = Callable[..., SourceFile]

ID = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"
ZERO = "00000000-0000-0000-0000-000000000000"
WHITE = " \t\r\n\v\f"
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def model(lines: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """The distinct IDs in lower case, and how many lines are what; lines are Latin-1 text."""
    found: dict[str, None] = {}
    counts = {"malformed": 0, "zeroed": 0, "duplicates": 0, "blank": 0}
    for line in lines:
        try:
            text = line.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            text = "no text"
        while text and surrounds(text[0]):
            text = text[1:]
        while text and surrounds(text[-1]):
            text = text[:-1]
        text = "".join(map(ascii_digit, text))
        groups = text.split("-")
        if text == "":
            counts["blank"] += 1
        elif [len(group) for group in groups] != [8, 4, 4, 4, 12] or not all(
            char in string.hexdigits for group in groups for char in group
        ):
            counts["malformed"] += 1
        elif set("".join(groups)) == {"0"}:
            counts["zeroed"] += 1
        elif text.lower() in found:
            counts["duplicates"] += 1
        else:
            found[text.lower()] = None
    return list(found), counts


def check(staged: StagedMembers, lines: Sequence[str], *, batch_size: int, upper: bool = False) -> None:
    found, counts = model(lines)
    batches = [staged.lines(first, batch_size) for first in range(0, staged.members, batch_size)]
    written = b"".join(batches).decode("ascii").split("\n")

    assert written.pop() == ""
    assert len(written) == len(found)
    assert set(written) == {item.upper() if upper else item for item in found}
    assert staged.members == len(found)
    assert {name: getattr(staged, name) for name in counts} == counts
    assert staged.members + sum(counts.values()) == len(lines)
    whole, rest = divmod(len(found), batch_size)
    assert [batch.count(b"\n") for batch in batches] == [batch_size] * whole + ([rest] if rest else [])
    assert all(batch.endswith(b"\n") for batch in batches)
    assert staged.lines(0, len(found) + 7) == b"".join(batches)
    assert staged.lines(1, 3) == b"".join(batches)[37 : 4 * 37]
    assert staged.lines(len(found), 1) == b""
    # The same again, from the last to the first.
    assert [staged.lines(index * batch_size, batch_size) for index in reversed(range(len(batches)))] == batches[::-1]


def latin(value: object) -> str:
    """The text of a value as the model wants it: one character a byte."""
    return "" if value is None else str(value).encode("utf-8", errors="surrogatepass").decode("latin-1")


def files(*sources: SourceFile, **options: Any) -> FilesInput:
    return FilesInput(files=sources, **options)


def in_store(content: bytes, name: str = "f") -> SourceFile:
    return SourceFile(name=name, open=lambda: io.BytesIO(content))


@contextmanager
def stage_in_small(source: MemberInput, **options: Any) -> Iterator[StagedMembers]:
    """
    Stage with runs and parts so small that a few members are many; it also takes less time.

    Any bytes are lines here: which are refused as no text at all, tests of their own say.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "refuse_other_formats", lambda *_, **__: None)
        patch.setattr(key_order, "PART_BITS", 2)
        patch.setattr(key_order, "PARTS", 4)
        patch.setattr(key_runs, "_RUN_KEYS", 8)
        patch.setattr(key_runs, "_MAX_KEYS_AT_ONCE", 6)
        with stage(source, **{"identifier_kind": ID_KIND, **options}) as staged:
            yield staged


ids = st.one_of(
    st.uuids(allow_nil=True).map(str),
    st.integers(0, 3).map(lambda number: f"{number:08x}-0000-0000-0000-000000000000"),
    st.integers(0, 3).map(lambda number: f"0000000A-000B-000C-000D-{number:012X}"),
    st.sampled_from([ID, ID.upper(), ID.title(), ZERO]),
)
wrapping = st.text(alphabet=WHITE.replace("\n", "") + "\"'", max_size=3)
spoiled = st.builds(
    lambda text, position, change: text[:position] + change + text[position + len(change) :],
    ids,
    st.integers(0, 36),
    st.text(alphabet="gG-0a \x00\r\x85\xef\xbb\xbf\xbc\x91", max_size=3),
)
near_ids = st.one_of(
    spoiled,
    ids.map(lambda text: f"{{{text}}}"),
    ids.map(lambda text: f"urn:uuid:{text}"),
    ids.map(lambda text: text.replace("-", "")),
    ids.map(lambda text: text.replace("-", "", 1)),
    ids.map(lambda text: text.replace("-", "", 1) + "-"),
    ids.map(lambda text: text + "\xe2\x80\xa8"),
    ids.map(lambda text: text + "\x85"),
    ids.map(lambda text: text + "\x00"),
    ids.map(lambda text: text + "\r" + text),
    ids.map(lambda text: "\xef\xbb\xbf" * 2 + text),
    ids.map(lambda text: text + "\xef\xbb\xbf"),
    ids.map(lambda text: text.replace("1", "\xef\xbc\x91")),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
)
line_texts = st.one_of(
    ids,
    st.builds(lambda a, b, c: a + b + c, wrapping, ids, wrapping),
    st.builds(lambda a, b: "\xef\xbb\xbf" + a + b, wrapping, ids),
    near_ids,
    st.builds(lambda a, b, c: a + b + c, wrapping, near_ids, wrapping),
    st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\n"), max_size=40),
    st.just(""),
)
HEADS_OF_COMPRESSED_FILES = (
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    *(bytes([byte]) + b"\x2a\x4d\x18" for byte in range(0x50, 0x60)),
)


@settings(SETTINGS, max_examples=400)
@given(
    st.lists(line_texts, max_size=40), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 7), st.booleans()
)
def test_files_against_the_model(lines: list[str], end: str, ends: bool, batch_size: int, upper: bool) -> None:
    content = (end.join(lines) + (end if ends and lines else "")).encode("latin-1")
    if content.startswith(HEADS_OF_COMPRESSED_FILES):
        content = b"\n" + content
    in_file = content.decode("latin-1").split("\n")
    if in_file[-1] == "":
        in_file.pop()
    kind = AdvertisingIds(id_case="upper" if upper else "lower")
    with stage_in_small(files(in_store(content)), identifier_kind=kind, rules=StagingRules()) as staged:
        check(staged, in_file, batch_size=batch_size, upper=upper)


@settings(SETTINGS, max_examples=300)
@given(st.binary(max_size=400), st.integers(1, 3))
@example(b"", 1)
@example(b"\n", 1)
@example(b"\r", 1)
@example(b"\xef\xbb\xbf", 1)
def test_arbitrary_bytes_against_the_model(content: bytes, batch_size: int) -> None:
    if content.startswith(HEADS_OF_COMPRESSED_FILES):
        content = b"\n" + content
    lines = content.decode("latin-1").split("\n")
    if lines[-1] == "":
        lines.pop()
    with stage_in_small(files(in_store(content)), rules=StagingRules()) as staged:
        check(staged, lines, batch_size=batch_size)


@settings(SETTINGS, max_examples=200)
@given(st.lists(line_texts, max_size=40), st.integers(1, 100), st.integers(1, 5), st.integers(1, 7))
def test_blocks_and_steps_make_no_difference(lines: list[str], block: int, step: int, batch_size: int) -> None:
    content = "".join(f"{line}\n" for line in ["", *lines]).encode("latin-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_MIN_BLOCK_BYTES", block)
        patch.setattr(text_files, "_BLOCK_BYTES", block)
        patch.setattr(advertising_id_codec, "_STEP", step)
        with stage_in_small(files(in_store(content)), rules=StagingRules()) as staged:
            check(staged, ["", *lines], batch_size=batch_size)


@settings(SETTINGS, max_examples=100)
@given(st.lists(st.lists(line_texts, max_size=10), min_size=1, max_size=4), st.integers(1, 7))
def test_several_files_are_one_set(parts: list[list[str]], batch_size: int) -> None:
    parts = [["", *part] for part in parts]
    sources = [in_store("\n".join(part).encode("latin-1") + b"\n") for part in parts]
    with stage_in_small(files(*sources), rules=StagingRules()) as staged:
        check(staged, [line for part in parts for line in part], batch_size=batch_size)


values = st.one_of(ids, st.text(max_size=40), st.text(min_size=36, max_size=36), st.none(), st.uuids(), line_texts)


@settings(SETTINGS, max_examples=300)
@given(st.lists(st.lists(values | st.just("\ud800"), max_size=15), max_size=4), st.integers(1, 7))
def test_values_against_the_model(chunks: list[list[Any]], batch_size: int) -> None:
    with stage_in_small(ValuesInput(chunks=iter(chunks)), rules=StagingRules()) as staged:
        check(staged, [latin(value) for chunk in chunks for value in chunk], batch_size=batch_size)


@settings(SETTINGS, max_examples=100)
@given(st.lists(line_texts.map(lambda text: text.encode("latin-1")), max_size=20), st.integers(1, 7))
def test_values_that_are_bytes(chunk: list[bytes], batch_size: int) -> None:
    with stage_in_small(ValuesInput(chunks=[chunk]), rules=StagingRules()) as staged:
        check(staged, [value.decode("latin-1") for value in chunk], batch_size=batch_size)


# What a table can hold is Unicode text without half surrogates.
cells = st.one_of(
    ids,
    st.builds(lambda a, b, c: a + b + c, wrapping, ids, wrapping),
    ids.map(lambda text: f"\ufeff{text}"),
    ids.map(lambda text: f"{{{text}}}"),
    ids.map(lambda text: text.replace("-", "")),
    ids.map(lambda text: text.replace("1", "\uff11")),
    ids.map(lambda text: f"{text}\u2028"),
    ids.map(lambda text: f"{text},{text}"),
    ids.map(lambda text: f"{text}\n{text}"),
    ids.map(lambda text: f"{text}\\"),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["null", "NULL", "None", "NaN", "nan", "true", "0", "1.5", "2026-11-22", "[]", "{}", "#", "\\N"]),
)
maybe_cells = st.one_of(cells, st.none())


@settings(SETTINGS, max_examples=80)
@given(
    st.lists(cells.filter(lambda text: "\r" not in text and "\x00" not in text), max_size=20),
    st.sampled_from(",;|\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 7),
    st.booleans(),
)
def test_csv_against_the_model(rows: list[str], delimiter: str, end: str, batch_size: int, local: bool) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["n", "idfa", "note"])
    # Enough plain rows that it shows what the delimiter is.
    plain = [ID] * 5
    writer.writerows([str(number), text, "x"] for number, text in enumerate([*plain, *rows]))
    content = written.getvalue().encode()
    with stage_in_small(files(in_store(content, "f.csv"), column="idfa"), rules=StagingRules()) as staged:
        check(staged, [latin(text) for text in [*plain, *rows]], batch_size=batch_size)


@settings(SETTINGS, max_examples=80)
@given(st.lists(maybe_cells, max_size=20), st.booleans(), st.integers(1, 7))
def test_json_lines_against_the_model(rows: list[str | None], ascii_only: bool, batch_size: int) -> None:
    objects = [{"idfa": ID, "n": 0}, *({"n": 1} if text is None else {"idfa": text, "n": 2} for text in rows)]
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in objects).encode()
    with stage_in_small(files(in_store(content, "f.jsonl"), column="idfa"), rules=StagingRules()) as staged:
        check(staged, [ID, *map(latin, rows)], batch_size=batch_size)


@settings(SETTINGS, max_examples=80)
@given(st.lists(maybe_cells, max_size=20), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_parquet_against_the_model(rows: list[str | None], group: int, batch_size: int, dictionary: bool) -> None:
    written = io.BytesIO()
    table = pa.table({"idfa": pa.array(rows, pa.string())})
    pq.write_table(table, written, row_group_size=group, use_dictionary=dictionary)
    with stage_in_small(files(in_store(written.getvalue(), "f.parquet")), rules=StagingRules()) as staged:
        check(staged, list(map(latin, rows)), batch_size=batch_size)


def as_frame(kind: str, rows: list[str | None]) -> Any:
    table = pa.table({"idfa": pa.array(rows, pa.string())})
    return {
        "pandas of objects": lambda: pd.DataFrame({"idfa": pd.Series(rows, dtype=object)}),
        "pandas of strings": lambda: pd.DataFrame({"idfa": pd.Series(rows, dtype="string")}),
        "series of pandas": lambda: pd.Series(rows, dtype=object, name="idfa"),
        "polars": lambda: pl.DataFrame({"idfa": pl.Series(rows, dtype=pl.String)}),
        "lazy polars": lambda: pl.LazyFrame({"idfa": pl.Series(rows, dtype=pl.String)}),
        "series of polars": lambda: pl.Series("idfa", rows, dtype=pl.String),
        "arrow": lambda: table,
        "arrow in chunks": lambda: pa.concat_tables([table.slice(0, 3), table.slice(3)]),
        "slice of arrow": lambda: pa.table({"idfa": pa.array([ID, None, None, *rows], pa.string()).slice(3)}),
        "large arrow": lambda: pa.table({"idfa": pa.array(rows, pa.large_string())}),
        "arrow of views": lambda: pa.table({"idfa": pa.array(rows, pa.string_view())}),
        "arrow dictionary": lambda: pa.table({"idfa": pa.array(rows, pa.string()).dictionary_encode()}),
        "arrow reader": table.to_reader,
    }[kind]()


@pytest.mark.parametrize(
    "kind",
    [
        "pandas of objects", "pandas of strings", "series of pandas", "polars", "lazy polars", "series of polars",
        "arrow", "arrow in chunks", "slice of arrow", "large arrow", "arrow of views", "arrow dictionary",
        "arrow reader",
    ],
)  # fmt: skip
@settings(SETTINGS, max_examples=25)
@given(rows=st.lists(maybe_cells, max_size=20), batch_size=st.integers(1, 7))
@example(rows=[], batch_size=1)
@example(rows=[None, None], batch_size=1)
def test_data_frames_against_the_model(kind: str, rows: list[str | None], batch_size: int) -> None:
    with stage_in_small(FrameInput(frame=as_frame(kind, rows)), rules=StagingRules()) as staged:
        check(staged, list(map(latin, rows)), batch_size=batch_size)


def many(count: int) -> list[str]:
    """IDs that differ in all of their parts, or in their first or last ones only, as made-up ones do."""
    ids = [
        (f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}", f"{number:032x}", f"{number:08x}" + "0" * 24)[
            number % 3
        ]
        for number in range(1, count + 1)
    ]
    return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in ids]


COUNT = 1_100_000


@pytest.fixture(scope="module")
def ids_in_order() -> list[str]:
    return many(COUNT)


class TestManyMembers:
    """More than one block, step and run of everything."""

    def sources(self, ids_in_order: list[str], folder: Path) -> Iterator[MemberInput]:
        doubled = [*ids_in_order, *map(str.upper, ids_in_order[::2])]
        path = folder / "ids.txt"
        path.write_text("\n".join(doubled))
        yield files(SourceFile(name="ids.txt", open=lambda: path.open("rb"), local_path=path))
        yield ValuesInput(chunks=(doubled[first : first + 77_777] for first in range(0, len(doubled), 77_777)))
        yield FrameInput(frame=pa.table({"idfa": doubled}))
        table = folder / "ids.csv"
        table.write_text("n,idfa\n" + "".join(f"1,{text}\n" for text in doubled))
        yield files(SourceFile(name="ids.csv", open=lambda: table.open("rb"), local_path=table), column="idfa")

    @pytest.mark.parametrize("number", range(4))
    def test_each_is_there_once(self, number: int, ids_in_order: list[str], tmp_path: Path) -> None:
        source = list(self.sources(ids_in_order, tmp_path))[number]
        with stage(source, rules=StagingRules(), identifier_kind=ID_KIND) as staged:
            assert (staged.members, staged.duplicates) == (COUNT, COUNT // 2)
            assert (staged.malformed, staged.zeroed, staged.blank) == (0, 0, 0)
            size = 100_000
            batches = [staged.lines(first, size) for first in range(0, staged.members, size)]
            assert [len(batch) for batch in batches] == [37 * size] * 11
            assert set(b"".join(batches).decode().split()) == set(ids_in_order)

    def test_any_batch_in_any_order_from_any_thread(self, ids_in_order: list[str]) -> None:
        with stage(ValuesInput(chunks=[ids_in_order]), rules=StagingRules(), identifier_kind=ID_KIND) as staged:
            for size, some in ((99_991, range(12)), (1, range(0, COUNT, 50_021)), (2_000_000, range(1))):
                first = {index: staged.lines(index * size, size) for index in some}
                wanted = [*some, *reversed(some), *some]
                with ThreadPoolExecutor(8) as pool:
                    again = list(pool.map(staged.lines, [index * size for index in wanted], [size] * len(wanted)))
                assert again == [first[index] for index in wanted]

    def test_the_order_depends_on_the_set_alone(self, ids_in_order: list[str]) -> None:
        """A run that is repeated, from a source in another order, then sends the same batches."""
        sources = [[ids_in_order], [ids_in_order[::-1]], [ids_in_order[500_000:], ids_in_order[:600_000]]]
        seen = []
        for chunks in sources:
            with stage(ValuesInput(chunks=chunks), rules=StagingRules(), identifier_kind=ID_KIND) as staged:
                seen.append([staged.lines(index * 300_000, 300_000) for index in range(4)])
        assert seen[0] == seen[1] == seen[2]

    def test_a_few_that_are_repeated_over_and_over(self) -> None:
        few = many(3)
        with stage(
            ValuesInput(chunks=(few * 50_000 for _ in range(30))), rules=StagingRules(), identifier_kind=ID_KIND
        ) as staged:
            assert (staged.members, staged.duplicates) == (3, 4_500_000 - 3)
            assert sorted(staged.lines(0, 5).decode().split()) == sorted(few)


def test_parquet_and_json_of_duckdb(tmp_path: Path, make_ids: MakeIds) -> None:
    ids = make_ids(250_000)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (n BIGINT, idfa UUID)")
        connection.register("ids", pa.table({"n": range(250_000), "idfa": ids}))
        connection.execute("INSERT INTO t SELECT n, idfa::UUID FROM ids")
        for options in (
            "FORMAT parquet",
            "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 10000",
            "FORMAT json",
            "FORMAT csv",
        ):
            ending = options.split()[1].strip(",").replace("json", "jsonl")
            path = tmp_path / f"ids.{ending}"
            connection.execute(f"COPY t TO '{path}' ({options})")
            source = SourceFile(name=path.name, open=partial(io.FileIO, path), local_path=path)
            with stage(files(source, column="idfa"), rules=StagingRules(), identifier_kind=ID_KIND) as staged:
                assert (staged.members, staged.duplicates, staged.malformed) == (250_000, 0, 0)
                assert set(staged.lines(0, 250_000).decode().split()) == set(ids)


def run(lines: Sequence[object], **rules: Any) -> StagedMembers:
    with stage(ValuesInput(chunks=[lines]), rules=StagingRules(**rules), identifier_kind=ID_KIND) as staged:
        assert staged.members <= staged.member_texts <= len(lines)
        return staged


def test_a_file_with_everything(tmp_path: Path) -> None:
    content = "\r\n".join([f"\ufeff{ID}", ID.upper(), "", ZERO, "idfa", f'"{ID[:-1]}0"', "  ", f"{{{ID}}}"]).encode()
    with stage(
        files(in_store(gzip.compress(content), "ids.gz")), rules=StagingRules(), identifier_kind=ID_KIND
    ) as staged:
        assert sorted(staged.lines(0, 10).split(b"\n")) == [b"", f"{ID[:-1]}0".encode(), ID.encode()]
    assert (staged.members, staged.malformed, staged.zeroed, staged.duplicates, staged.blank) == (2, 2, 1, 1, 2)


def test_no_member_in_the_repr() -> None:
    secret = str(uuid.uuid4())
    source = ValuesInput(chunks=[[secret]])
    with stage(source, rules=StagingRules(), identifier_kind=ID_KIND) as staged:
        assert secret not in repr(staged) + repr(source) + repr(FrameInput(frame=pl.DataFrame({"idfa": [secret]})))
        assert repr(staged) == "StagedMembers(member_texts=1, malformed=0, zeroed=0, blank=0)"


class TestRules:
    def test_drop_warns_with_masked_examples(self, caplog: pytest.LogCaptureFixture) -> None:
        staged = run([ID, "", "13900001111", "nobody@example.com", "third", "fourth"])

        assert staged.malformed == 4
        (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert record.levelno == logging.WARNING
        assert "Dropped 4 texts of source that are not advertising IDs (80.00%)" in record.getMessage()
        assert "source, item 3: 1390\u2026 (11 characters); source, item 4: nobo\u2026" in record.getMessage()
        assert "fourth" not in caplog.text
        assert "13900001111" not in caplog.text

    def test_no_member_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secret = str(uuid.uuid4())
        run([secret, secret.upper(), f"{{{secret}}}", secret[:-1], f"x{secret}"])
        assert secret[4:20] not in caplog.text.lower()
        assert "Read 5 texts of source in " in caplog.text

    def test_clean_source_warns_of_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        run([ID, ID, "", ZERO])
        assert [record for record in caplog.records if record.levelname == "WARNING"] == []

    def test_fail_names_the_first_one(self) -> None:
        with pytest.raises(
            InvalidInputError, match=r"source, item 3: some\u2026 \(9 characters\): not an advertising ID.*nothing was"
        ):
            run([ID, "", "something", "other"], on_malformed="fail")

    @pytest.mark.parametrize(
        ("name", "content", "place"),
        [
            ("a.txt", f"{ID}\n\nsomething\n", "a.txt, line 3"),
            ("a.csv", f"idfa,n\n{ID},1\n{ID},1\nsomething,2\n", "a.csv, row 3"),
            ("a.jsonl", f'{{"idfa": "{ID}"}}\n{{"idfa": "something"}}\n', "a.jsonl, row 2"),
        ],
    )
    def test_fail_names_the_place_in_a_file(self, name: str, content: str, place: str) -> None:
        column = None if name == "a.txt" else "idfa"
        clean = in_store(content.replace("something", "").encode(), name)
        with (
            pytest.raises(InvalidInputError, match=place),
            stage(
                files(clean, in_store(content.encode(), name), column=column),
                rules=StagingRules(on_malformed="fail"),
                identifier_kind=ID_KIND,
            ),
        ):
            pass

    def test_fail_does_not_read_on(self) -> None:
        def chunks() -> Iterator[list[str]]:
            yield [ID, "bad"]
            raise AssertionError

        with (
            pytest.raises(InvalidInputError),
            stage(ValuesInput(chunks=chunks()), rules=StagingRules(on_malformed="fail"), identifier_kind=ID_KIND),
        ):
            pass

    def test_fail_takes_blank_zeroed_and_repeated_ones(self) -> None:
        assert run([ID, "", ZERO, ID], on_malformed="fail").members == 1

    @pytest.mark.parametrize(
        ("ratio", "fails"),
        [(0.0, True), (0.24, True), (0.25, False), (0.5, False), (1.0, False), (1, False), (None, False)],
    )
    def test_ratio_leaves_blank_ones_out(self, ratio: float | None, fails: bool) -> None:
        lines = [ID, ID, ZERO, "bad", "", "", "", ""]
        if not fails:
            assert run(lines, max_malformed_ratio=ratio).malformed == 1
            return
        with pytest.raises(
            InvalidInputError, match=r"1 of 4 texts of source \(25\.00%\).*First ones: source, item 4: a text of 3"
        ):
            run(lines, max_malformed_ratio=ratio)

    def test_ratio_of_an_empty_source(self) -> None:
        assert run([], max_malformed_ratio=0.0).members == 0
        assert run(["", None], max_malformed_ratio=0.0).blank == 2

    @pytest.mark.parametrize(
        "rules",
        [
            {"on_malformed": "ignore"},
            {"on_malformed": None},
            {"max_malformed_ratio": -0.1},
            {"max_malformed_ratio": 1.1},
            {"max_malformed_ratio": float("nan")},
            {"max_malformed_ratio": True},
            {"max_malformed_ratio": "10%"},
            {"max_malformed_ratio": "None"},
        ],
    )
    def test_wrong_rules(self, rules: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError):
            StagingRules(**rules)

    @pytest.mark.parametrize("id_case", ["Title", "", None, "None"])
    def test_wrong_case(self, id_case: Any) -> None:
        with pytest.raises(InvalidInputError, match="id_case"):
            AdvertisingIds(id_case=id_case)


class TestInputs:
    @pytest.mark.parametrize("value", [7, 1.5, ["a"], ("a",), {"a": 1}, object(), True])
    def test_values_that_are_no_members(self, value: Any) -> None:
        with (
            pytest.raises(InvalidInputError, match=rf"^source, item 5: a {type(value).__name__} is not a member"),
            stage(ValuesInput(chunks=[["a", None, "b"], ["c", value]]), rules=StagingRules(), identifier_kind=ID_KIND),
        ):
            pass

    def test_files_of_several_formats(self) -> None:
        source = files(in_store(b"x", "a.txt"), in_store(b"x", "b.csv"))
        with (
            pytest.raises(InvalidInputError, match=r"more than one format: a\.txt \(text\) and b\.csv \(csv\)"),
            stage(source, rules=StagingRules(), identifier_kind=ID_KIND),
        ):
            pass

    def test_a_format_is_given_for_all(self) -> None:
        source = files(
            in_store(f"idfa\n{ID}\n".encode(), "a.txt"), in_store(f"idfa\n{ID}\n".encode(), "b.dat"), file_format="csv"
        )
        with stage(source, rules=StagingRules(), identifier_kind=ID_KIND) as staged:
            assert (staged.members, staged.duplicates, staged.malformed) == (1, 1, 0)

    def test_a_csv_as_text(self) -> None:
        with stage(
            files(in_store(f"idfa\n{ID}\n".encode(), "a.csv"), file_format="text"),
            rules=StagingRules(),
            identifier_kind=ID_KIND,
        ) as staged:
            assert (staged.members, staged.malformed) == (1, 1)

    def test_no_such_format(self) -> None:
        with (
            pytest.raises(InvalidInputError, match="file_format must be one of text, csv, jsonl, parquet, not 'xml'"),
            stage(files(in_store(b"x"), file_format="xml"), rules=StagingRules(), identifier_kind=ID_KIND),
        ):
            pass

    def test_text_has_no_columns(self) -> None:
        with (
            pytest.raises(InvalidInputError, match=r"column='idfa' is given, and f is read as text"),
            stage(files(in_store(b"x"), column="idfa"), rules=StagingRules(), identifier_kind=ID_KIND),
        ):
            pass


class TestColumns:
    """Members of several columns: one set, and a count for each column."""

    def run(self, make_file: MakeFile, content: str, name: str, columns: list[str]) -> tuple[StagedMembers, str]:
        source = FilesInput(
            files=[make_file(content.encode(), name), make_file(content.encode(), name)], column=columns
        )
        with stage(source, rules=StagingRules(), identifier_kind=ID_KIND) as staged:
            return staged, staged.lines(0, 99).decode()

    @pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
    def test_are_counted_before_duplicates_are_told(self, name: str, make_file: MakeFile) -> None:
        ids = [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) for number in range(4)]
        rows = [(ids[0], ids[1]), (ids[0].upper(), ""), (ZERO, ids[2]), ("x", ids[3])]
        content = "".join(f"{idfa},{gaid}\n" for idfa, gaid in [("idfa", "gaid"), *rows])
        if name == "f.jsonl":
            content = "".join(json.dumps({"idfa": idfa, "gaid": gaid}) + "\n" for idfa, gaid in rows)
        staged, lines = self.run(make_file, content, name, ["gaid", "idfa"])
        assert sorted(lines.split()) == sorted(ids)
        assert dict(staged.by_column) == {"gaid": 6, "idfa": 4}
        assert (staged.members, staged.duplicates, staged.blank, staged.zeroed, staged.malformed) == (4, 6, 2, 2, 2)

    def test_one_column_is_not_counted_apart(self, make_file: MakeFile) -> None:
        assert self.run(make_file, f"idfa,n\n{ID},1\n", "f.csv", ["idfa"])[0].by_column == {}

    def test_a_malformed_text_is_pointed_at(self, make_file: MakeFile) -> None:
        source = FilesInput(files=[make_file(f"idfa,gaid\n{ID},x\n".encode(), "f.csv")], column=["idfa", "gaid"])
        with (
            pytest.raises(InvalidInputError, match=r"f\.csv, row 1, column gaid: a text of 1 char"),
            stage(source, rules=StagingRules(on_malformed="fail"), identifier_kind=ID_KIND),
        ):
            pass
