"""
Staging against a model written from the rules, by other means: no regular expression, no bytes of a key.
"""

import gzip
import io
import logging
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.lines import lines_of_file, lines_of_values
from airflow_provider_audiences.members.staging import DEFAULT_BATCH_SIZE, StagedMembers, StagingRules, stage

ID = "c77bbe4e-6a28-11e4-bcda-14109fdf9591"
ZERO = "00000000-0000-0000-0000-000000000000"
WHITE = " \t\r\n\v\f"


def model(lines: list[str]) -> tuple[list[str], dict[str, int]]:
    """The distinct IDs in lower case, and how many lines are what; lines are Latin-1 text."""
    found: list[str] = []
    counts = {"malformed": 0, "zeroed": 0, "duplicates": 0, "blank": 0}
    for line in lines:
        text = line
        while text and text[0] in WHITE + "\"'":
            text = text[1:]
        text = text.removeprefix("\xef\xbb\xbf")
        while text and text[0] in WHITE + "\"'":
            text = text[1:]
        while text and text[-1] in WHITE + "\"'":
            text = text[:-1]
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
            found.append(text.lower())
    return found, counts


def check(staged: StagedMembers, lines: list[str], *, batch_size: int, upper: bool = False) -> None:
    found, counts = model(lines)
    batches = list(staged.batches(batch_size))
    written = b"".join(batches).decode("ascii").split("\n")

    assert written.pop() == ""
    assert written == [item.upper() for item in found] if upper else written == found
    assert staged.members == len(found)
    assert {name: getattr(staged, name) for name in counts} == counts
    assert staged.members + sum(counts.values()) == len(lines)
    sizes = [batch.count(b"\n") for batch in batches]
    assert sizes == [batch_size] * (len(found) // batch_size) + (
        [len(found) % batch_size] if len(found) % batch_size else []
    )
    assert all(batch.endswith(b"\n") for batch in batches)


ids = st.one_of(
    st.uuids(allow_nil=True).map(str),
    st.integers(0, 3).map(lambda number: f"{number:08x}-0000-0000-0000-000000000000"),
    st.integers(0, 3).map(lambda number: f"0000000A-000B-000C-000D-{number:012X}"),
)
wrapping = st.text(alphabet=WHITE.replace("\n", "") + "\"'", max_size=3)
near_ids = st.builds(
    lambda text, position, change: text[:position] + change + text[position + len(change) :],
    ids,
    st.integers(0, 36),
    st.text(alphabet="gG-0a \xef\xbb\xbf\xbc\x91", max_size=3),
)
line_texts = st.one_of(
    st.builds(lambda a, b, c: a + b + c, wrapping, ids, wrapping),
    st.builds(lambda a, b: "\xef\xbb\xbf" + a + b, wrapping, ids),
    ids.map(str.upper),
    near_ids,
    st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\n"), max_size=40),
    st.just(""),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(line_texts, max_size=40), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 7), st.booleans()
)
def test_files_against_the_model(lines: list[str], end: str, ends: bool, batch_size: int, upper: bool) -> None:
    content = (end.join(lines) + (end if ends and lines else "")).encode("latin-1")
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")):
        content = b"\n" + content
    in_file = content.decode("latin-1").split("\n")
    if in_file[-1] == "":
        in_file.pop()
    rules = StagingRules(id_case="upper" if upper else "lower")
    with stage(lines_of_file(io.BytesIO(content), name="f"), rules=rules) as staged:
        check(staged, in_file, batch_size=batch_size, upper=upper)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 3))
def test_arbitrary_bytes_against_the_model(content: bytes, batch_size: int) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")):
        return
    lines = content.decode("latin-1").split("\n")
    if lines[-1] == "":
        lines.pop()
    with stage(lines_of_file(io.BytesIO(content), name="f"), rules=StagingRules()) as staged:
        check(staged, lines, batch_size=batch_size)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(ids, st.text(max_size=40), st.none(), st.uuids()), max_size=40), st.integers(1, 7))
def test_lists_against_the_model(values: list[Any], batch_size: int) -> None:
    lines = [
        "" if value is None else str(value).encode("utf-8", errors="surrogatepass").decode("latin-1")
        for value in values
    ]
    with stage(lines_of_values(values), rules=StagingRules()) as staged:
        check(staged, lines, batch_size=batch_size)


def run(lines: list[str], **rules: Any) -> StagedMembers:
    with stage(lines_of_values(lines), rules=StagingRules(**rules)) as staged:
        assert staged.path.exists()
        return staged


def test_order_of_the_source_is_kept(make_ids: Any) -> None:
    source = [*reversed(make_ids(5)), *make_ids(7)]
    with stage(lines_of_values(source), rules=StagingRules()) as staged:
        assert staged.path.read_text().split() == [*reversed(make_ids(5)), *make_ids(2, start=6)]
        assert staged.duplicates == 5


def test_a_file_with_everything(tmp_path: Path) -> None:
    content = "\r\n".join([f"\ufeff{ID}", ID.upper(), "", ZERO, "idfa", f'"{ID[:-1]}0"', "  ", f"{{{ID}}}"]).encode()
    with gzip.open(tmp_path / "ids.gz", "wb") as packed:
        packed.write(content)
    with (
        (tmp_path / "ids.gz").open("rb") as file,
        stage(lines_of_file(file, name="ids.gz"), rules=StagingRules()) as staged,
    ):
        assert staged.path.read_text() == f"{ID}\n{ID[:-1]}0\n"
    assert (staged.members, staged.malformed, staged.zeroed, staged.duplicates, staged.blank) == (2, 2, 1, 1, 2)


def test_default_batch_is_what_the_platform_asks_for() -> None:
    assert DEFAULT_BATCH_SIZE == 100_000


class TestTemporaryFile:
    def test_is_gone_after_success(self, scratch: Path) -> None:
        with stage(lines_of_values([ID]), rules=StagingRules()) as staged:
            assert staged.path.is_relative_to(scratch)
            assert staged.path.parent.stat().st_mode & 0o077 == 0
        assert list(scratch.iterdir()) == []

    def test_is_gone_after_a_failure_in_the_block(self, scratch: Path) -> None:
        with pytest.raises(RuntimeError), stage(lines_of_values([ID]), rules=StagingRules()):
            raise RuntimeError
        assert list(scratch.iterdir()) == []

    @pytest.mark.parametrize("rules", [{"on_malformed": "fail"}, {"max_malformed_ratio": 0.0}])
    def test_is_gone_after_a_refusal(self, scratch: Path, rules: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError):
            run([ID, "x"], **rules)
        assert list(scratch.iterdir()) == []

    def test_is_gone_after_a_source_that_breaks(self, scratch: Path) -> None:
        def lines() -> Iterator[bytes]:
            yield ID.encode()
            raise OSError("the share is gone")

        with pytest.raises(OSError, match="share"), stage(lines(), rules=StagingRules()):
            pass
        assert list(scratch.iterdir()) == []

    def test_is_gone_after_damaged_gzip(self, scratch: Path) -> None:
        damaged = io.BytesIO(gzip.compress(ID.encode())[:-4])
        with (
            pytest.raises(InvalidInputError, match="damaged"),
            stage(lines_of_file(damaged, name="f.gz"), rules=StagingRules()),
        ):
            pass
        assert list(scratch.iterdir()) == []


class TestRules:
    def test_drop_warns_with_masked_examples(self, caplog: pytest.LogCaptureFixture) -> None:
        staged = run([ID, "", "13900001111", "nobody@example.com", "third", "fourth"])

        assert staged.malformed == 4
        (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert record.levelno == logging.WARNING
        assert "Dropped 4 lines that are not advertising IDs (80.00%)" in record.getMessage()
        assert "line 3: 1390\u2026 (11 characters); line 4: nobo\u2026" in record.getMessage()
        assert "fourth" not in caplog.text
        assert "13900001111" not in caplog.text

    def test_clean_source_warns_of_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        run([ID, ID, "", ZERO])
        assert [record for record in caplog.records if record.levelname == "WARNING"] == []

    def test_fail_names_the_first_line(self) -> None:
        with pytest.raises(InvalidInputError, match=r"source, line 3: some\u2026 \(9 characters\).*nothing was sent"):
            run([ID, "", "something", "other"], on_malformed="fail")

    def test_fail_takes_blank_zeroed_and_repeated_lines(self) -> None:
        assert run([ID, "", ZERO, ID], on_malformed="fail").members == 1

    @pytest.mark.parametrize(
        ("ratio", "fails"),
        [(0.0, True), (0.24, True), (0.25, False), (0.5, False), (1.0, False), (1, False), (None, False)],
    )
    def test_ratio_leaves_blank_lines_out(self, ratio: float | None, fails: bool) -> None:
        lines = [ID, ID, ZERO, "bad", "", "", "", ""]
        if not fails:
            assert run(lines, max_malformed_ratio=ratio).malformed == 1
            return
        with pytest.raises(InvalidInputError, match=r"1 of 4 lines \(25\.00%\).*First ones: line 4: a text of 3"):
            run(lines, max_malformed_ratio=ratio)

    def test_ratio_of_an_empty_source(self) -> None:
        assert run([], max_malformed_ratio=0.0).members == 0
        assert run(["", None], max_malformed_ratio=0.0).blank == 2  # type: ignore[list-item]

    @pytest.mark.parametrize(
        "rules",
        [
            {"on_malformed": "ignore"},
            {"on_malformed": None},
            {"id_case": "Upper"},
            {"max_malformed_ratio": -0.1},
            {"max_malformed_ratio": 1.1},
            {"max_malformed_ratio": float("nan")},
            {"max_malformed_ratio": True},
            {"max_malformed_ratio": "0.1"},
        ],
    )
    def test_wrong_rules(self, rules: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError):
            StagingRules(**rules)
