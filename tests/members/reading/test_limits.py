"""Data without measure: a refusal that says what is too large, for good, or reading it within the limits."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.reading.dialect import Dialect
from airflow_provider_audiences.members.reading.inputs import (
    FilesInput,
    SourceFile,
)
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings

ID = "c3f5d2a0-6a28-11e4-bcda-00000000000"


def staged(source: Any, *, memory: str = "256MB") -> int:
    with stage(
        source, rules=StagingRules(), settings=StagingSettings(memory_limit=memory), identifier_kind=ID_KIND
    ) as found:
        return found.members


def one_file(content: bytes, name: str, *, column: str | None = "idfa", **dialect: Any) -> FilesInput:
    file = SourceFile(name=name, open=lambda: io.BytesIO(content))
    return FilesInput(files=[file], column=None if ".txt" in name else column, dialect=Dialect.checked(**dialect))


def local_file(path: Path, column: str = "idfa") -> FilesInput:
    return FilesInput(files=[SourceFile(name=path.name, open=lambda: path.open("rb"), local_path=path)], column=column)


def parquet(folder: Path, query: str) -> Path:
    import duckdb

    path = folder / "members.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    return path


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some kilobytes; its values are larger than what DuckDB may hold in memory here."""
    value = "repeat('x', 150_000_000)"
    query = f"SELECT {value} AS idfa, {{'id': {value}}} AS device"
    return parquet(tmp_path_factory.mktemp("large"), query)


class TestLargeValues:
    @pytest.mark.parametrize("column", ["idfa", "device.id"])
    def test_parquet(self, column: str, large_file: Path) -> None:
        assert large_file.stat().st_size < 100_000
        with pytest.raises(InvalidInputError) as caught:
            staged(local_file(large_file, column))
        message = str(caught.value)
        assert "members.parquet can't be read as parquet within [audiences] memory_limit: it has a value" in message
        assert "raise memory_limit" in message
        assert "xxx" not in message
        assert "Possible solutions" not in message, "DuckDB's hints are about DuckDB"

    @pytest.mark.parametrize("name", ["long.csv", "long.jsonl", "long.json"])
    def test_text(self, name: str) -> None:
        value = "x" * 40_000_000
        text = f"idfa\n{value}\n" if name.endswith("csv") else f'{{"idfa":"{value}"}}'
        packed = zstandard.ZstdCompressor().compress(text.encode())
        with pytest.raises(InvalidInputError, match=r"(a line of it is too long|an object of it is too large)"):
            staged(one_file(packed, f"{name}.zst"))


class TestWideRows:
    def test_parquet_of_many_columns(self, tmp_path: Path) -> None:
        columns = ", ".join(f"{number} AS k{number}" for number in range(3_000))
        assert staged(local_file(parquet(tmp_path, f"SELECT {columns}, '{ID}1' AS idfa"))) == 1

    @pytest.mark.parametrize(("delimiter", "count"), [(",", 20_000), (";", 12_000), ("|", 9_000), ("\t", 6_000)])
    def test_csv_of_many_columns(self, delimiter: str, count: int) -> None:
        """Longer than what Python takes for one field, which is what the header is to the other delimiters."""
        names = [f"a column {number:06}" for number in range(count)]
        lines = [[*names, "idfa"], *([*["1"] * count, f"{ID}{row}"] for row in range(3))]
        content = "".join(delimiter.join(line) + "\n" for line in lines).encode()
        assert staged(one_file(content, "wide.csv")) == 3

    @pytest.mark.parametrize("rows", [1, 40])
    @pytest.mark.parametrize("shape", ["lines", "array", "nested", "sparse"])
    def test_json_of_many_keys(self, rows: int, shape: str) -> None:
        keys = [f"a key {number}" for number in range(20_000)]
        objects = []
        for row in range(rows):
            if shape == "sparse":  # each object has others
                values: Any = dict.fromkeys(keys[row * 20_000 // rows : (row + 1) * 20_000 // rows], 1)
            else:
                values = dict.fromkeys(keys, row)
            values = {"all": {"of": values}} if shape == "nested" else values
            objects.append({**values, "idfa": f"{ID}{row % 10}"})
        text = json.dumps(objects) if shape == "array" else "".join(json.dumps(row) + "\n" for row in objects)
        with pytest.raises(InvalidInputError, match=r"wide.json has objects of more than 10,000 keys, too many"):
            staged(one_file(text.encode(), "wide.json"))

    def test_json_of_some_keys(self) -> None:
        keys = [f"k{number}" for number in range(1_500)]
        text = "".join(json.dumps({**dict.fromkeys(keys, row), "idfa": f"{ID}{row}"}) + "\n" for row in range(3))
        assert staged(one_file(text.encode(), "wide.jsonl")) == 3


@pytest.mark.parametrize("unit", [("[", "]"), ('{"a":', "}"), ('[{"b":', "}]"), ('["]", {"}":', "}]")], ids=range(4))
@pytest.mark.parametrize("times", [1_200, 100_000])
def test_deep_json(unit: tuple[str, str], times: int) -> None:
    value = unit[0] * times + "1" + unit[1] * times
    with pytest.raises(InvalidInputError, match="its values lie in too many others") as caught:
        staged(one_file(f'{{"idfa":{value}}}\n'.encode(), "deep.jsonl"))
    assert "[[[" not in str(caught.value)


def test_json_that_is_not_deep() -> None:
    text = "".join(f'{{"idfa":"{ID}{row}","s":"[[[{{{{\\"["}}\n' for row in range(10)) * 500
    assert staged(one_file(text.encode(), "brackets.jsonl")) == 10
    assert staged(one_file(f"[{','.join(text.splitlines())}]".encode(), "brackets.json")) == 10


class TestZstandardWindows:
    """What unpacks Zstandard holds a window of what it has unpacked: its size is what the file asks for."""

    @pytest.fixture
    def packed(self) -> Callable[..., bytes]:
        def pack(content: bytes, window_log: int) -> bytes:
            parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
            packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
            return packer.compress(content) + packer.flush()

        return pack

    @pytest.mark.parametrize(("name", "header"), [("ids.txt.zst", ""), ("ids.csv.zst", "idfa\n")])
    @pytest.mark.parametrize("window_log", [20, 23])
    def test_up_to_8_mib(self, name: str, header: str, window_log: int, packed: Callable[..., bytes]) -> None:
        content = (header + "".join(f"{ID}{row}\n" for row in range(10))).encode()
        assert staged(one_file(packed(content, window_log), name)) == 10

    @pytest.mark.parametrize(("name", "header"), [("ids.txt.zst", ""), ("ids.csv.zst", "idfa\n")])
    @pytest.mark.parametrize("window_log", [24, 25, 27])
    def test_larger_ones(self, name: str, header: str, window_log: int, packed: Callable[..., bytes]) -> None:
        content = packed((header + "".join(f"{ID}{row}\n" for row in range(10))).encode(), window_log)
        with pytest.raises(InvalidInputError) as caught:
            staged(one_file(content, name))
        assert f"{name} is Zstandard with a window of more than 8 MiB" in str(caught.value)
        assert "raise [audiences] memory_limit" in str(caught.value)
        # Who gives the memory for it has it read.
        assert staged(one_file(content, name), memory="1GB") == 10

    def test_a_later_frame(self, packed: Callable[..., bytes]) -> None:
        first = packed(f"{ID}1\n".encode(), 20)
        with pytest.raises(InvalidInputError, match="window of more than 8 MiB"):
            staged(one_file(first + packed(f"{ID}2\n".encode(), 27), "ids.txt.zst"))
