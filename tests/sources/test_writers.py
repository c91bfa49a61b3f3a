"""What warehouses, engines and office programs write by default, and what docs/sources.md says to say."""

import gzip
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.kinds import ID_KIND

from airflow_provider_audiences.members.identifiers.kinds import PhoneNumbers
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.sources import FileSource
from airflow_provider_audiences.sources.opening import open_source

A, B, C = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in "abc")
PHONES = [f"138{number:08d}" for number in range(3)]

WRITERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "snowflake": (
        "data_0_0_0.csv.gz",
        f"{A},US\n{B},\\N\n\\N,DE\n",
        {"header": False, "column": 1, "null_values": ["\\N"]},
    ),
    "snowflake-header": ("data_0_0_0.csv.gz", f'"IDFA","C"\n"{A}","US"\n"{B}",""\n', {"column": "idfa"}),
    "bigquery": ("ids-000000000000.csv", f"idfa,spend\n{A},1.5\n{B},\n", {"column": "idfa"}),
    "redshift": (
        "ids_0000_part_00",
        f'{A}|a,b "c\n{B}|\n',
        {"file_format": "csv", "header": False, "delimiter": "|", "quote": "", "column": 1},
    ),
    "athena": ("7d1f.csv", f'"idfa","c"\n"{A}","a ""b"""\n"{B}",\n', {"column": "idfa"}),
    "spark": (
        "part-00000-3c1f-c000.csv",
        f'{A},"say \\"hi\\", now"\n{B},\\N\n',
        {"header": False, "column": 1, "escape": "\\"},
    ),
    "hive": (
        "000000_0",
        f"{A}\x01US\x01a\x02b\n{B}\x01\\N\x01\n\\N\x01\x01\n",
        {"file_format": "csv", "header": False, "delimiter": "\x01", "quote": "", "column": 1, "null_values": "\\N"},
    ),
    "maxcompute": ("ids.csv", f"{A},1\n{B},2\n", {"header": False, "column": 1}),
    "mysql": ("ids.tsv", f'{A}\t5" x\n{B}\t\\N\n', {"header": False, "column": 1, "quote": ""}),
    "postgresql": ("ids.csv", f'idfa,note\n{A},"a\nb"\n{B},\n', {"column": "idfa"}),
    "appsflyer": (
        "installs.csv.gz",
        f"Attributed Touch Type,Install Time,IDFA,Advertising ID\nclick,2026-01-01 00:00:00,{A},\n,,,{B}\n",
        {"column": ["IDFA", "Advertising ID"]},
    ),
    "adjust": (
        "adjust.csv",
        f"{{idfa}},{{gps_adid}},{{created_at}}\n{A},,1767225600\n,{B},1767225601\n",
        {"column": ["{idfa}", "{gps_adid}"]},
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_advertising_ids(writer: str, tmp_path: Path) -> None:
    name, content, said = WRITERS[writer]
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    for path in (f"{tmp_path}/", tmp_path / name):
        with (
            open_source(FileSource(path, **said)) as files,
            stage(files, rules=StagingRules(), identifier_kind=ID_KIND) as staged,
        ):
            assert sorted(staged.lines(0, 9).decode().split()) == sorted([A, B])
            assert staged.malformed == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "Name;Phone;Mobile Phone\r\n{}", {"column": "Phone"}),
        ("a.csv", "sep=;\r\nName;Phone;Mobile Phone\r\n{}", {"column": "Phone"}),
        ("a.csv", "姓名;手机号;备注\r\n{}", {"column": "手机号", "encoding": "gbk"}),
        ("a.csv", "\ufeff姓名;手机号;备注\r\n{}", {"column": "手机号"}),
        (
            "a.txt",
            "姓名;手机号;备注\r\n{}",
            {"column": "手机号", "encoding": "utf-16", "file_format": "csv", "delimiter": ";"},
        ),
    ],
)
def test_phone_numbers_of_excel(name: str, content: str, said: dict[str, Any], tmp_path: Path) -> None:
    rows = "".join(f'x;{phone};"a\nb"\r\n' for phone in PHONES)
    (tmp_path / name).write_bytes(content.format(rows).encode(said.get("encoding", "utf-8")))
    source = FileSource(tmp_path / name, **said)
    with open_source(source) as files, stage(files, rules=StagingRules(), identifier_kind=PhoneNumbers()) as staged:
        assert sorted(staged.lines(0, 9).decode().split()) == PHONES
