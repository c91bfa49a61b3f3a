"""Memory is bounded whatever the size: measured from outside, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

MAX_MEMORY_MB = 650
COUNT = 2_000_000

SCRIPT = """
import sys
from pathlib import Path
from airflow_provider_audiences.members.reading.inputs import FilesInput, SourceFile, ValuesInput
from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds, PhoneNumbers
from airflow_provider_audiences.members.staging import StagingRules, stage

kind, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])

def texts():
    for number in range(count):
        yield f"{number * 2654435761 % 2**32:08x}-6a28-11e4-bcda-{number:012x}"

def chunks(make):
    chunk = []
    for text in make:
        chunk.append(text)
        if len(chunk) == 10_000:
            yield chunk
            chunk = []

def file(name):
    path = folder / name
    return FilesInput(
        files=[SourceFile(name=name, open=lambda: path.open("rb"), local_path=path)],
        column=None if "txt" in name else "idfa",
    )

phones = kind == "phones"
if kind == "values":
    source = ValuesInput(chunks=chunks(texts()))
elif phones:
    source = ValuesInput(chunks=chunks(str(13_000_000_000 + number) for number in range(count)))
else:
    source = file(kind)
with stage(source, rules=StagingRules(), identifier_kind=PhoneNumbers() if phones else AdvertisingIds()) as staged:
    sizes = [staged.lines(first, 100_000).count(b"\\n") for first in range(0, staged.members, 100_000)]
# Not ru_maxrss: it begins with what the process that started this one had.
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(sum(sizes), int(peak.split()[1]) // 1024)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import duckdb

    folder = tmp_path_factory.mktemp("many")
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i AS n, format('{:08x}-6a28-11e4-bcda-{:012x}', i * 2654435761 % 4294967296, i) "
            "AS idfa FROM range(?) r(i)",
            [COUNT],
        )
        for name, what in (("ids.txt", "SELECT idfa"), ("ids.txt.gz", "SELECT idfa"), ("ids.csv.gz", "SELECT *")):
            header = ", HEADER" if "csv" in name else ", HEADER false"
            connection.execute(f"COPY ({what} FROM t) TO '{folder / name}' (FORMAT csv{header})")
        connection.execute(f"COPY t TO '{folder / 'ids.parquet'}' (FORMAT parquet)")
        connection.execute(f"COPY t TO '{folder / 'ids.jsonl'}' (FORMAT json)")
    return folder


@pytest.mark.parametrize(
    "kind", ["ids.txt", "ids.txt.gz", "ids.csv.gz", "ids.parquet", "ids.jsonl", "values", "phones"]
)
def test_bounded(kind: str, folder: Path) -> None:
    count = COUNT // 4 if kind == "phones" else COUNT  # they are read one by one
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(folder), str(count)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    members, megabytes = map(int, done.stdout.split())
    assert members == count
    assert megabytes < MAX_MEMORY_MB
