from pathlib import Path
from typing import Any

import pytest

from airflow_provider_audiences.common.masked import Masked
from airflow_provider_audiences.common.parts import Parts
from airflow_provider_audiences.lineage.datasets import DatasetName, parts_of
from airflow_provider_audiences.sources import FileSource, SqlSource

AN_ID = "0b5e7ed0-0001-4000-8000-00000000feed"


def names(source: Any) -> list[Any]:
    return [tuple(part) if isinstance(part, DatasetName) else part for part in parts_of(source)]


@pytest.mark.parametrize(
    ("source", "namespace", "name"),
    [
        ("/data/ids.txt", "file", "/data/ids.txt"),
        ("file:///data/ids%201.txt", "file", "/data/ids 1.txt"),
        (Path("/data/day=1"), "file", "/data/day=1"),
        ("/data/day=1/*.gz", "file", "/data/day=1"),
        ("s3://bucket/day=1/", "s3://bucket", "day=1"),
        ("s3://my_store@bucket/day=1/part-0.parquet", "s3://bucket", "day=1/part-0.parquet"),
        ("s3a://bucket", "s3://bucket", "/"),
        ("S3://bucket/a#b.txt", "s3://bucket", "a#b.txt"),
        ("gs://bucket/day=*/ids-[0-9].csv", "gs://bucket", "/"),
        ("gcs://bucket/table", "gs://bucket", "table"),
        ("oss://bucket/a/b", "oss://bucket", "a/b"),
        ("abfs://box@account.dfs.core.windows.net/a/b", "abfss://box@account.dfs.core.windows.net", "a/b"),
        ("hdfs://node:8020/a/b", "hdfs://node:8020", "a/b"),
        ("https://user:word@example.com/a/ids.csv?X-Sig=sesame#x", "https://example.com", "a/ids.csv"),
        ("https://bucket.oss-cn-hangzhou.aliyuncs.com/a/ids.csv?Signature=s", "oss://bucket", "a/ids.csv"),
    ],
)
def test_a_path_is_named_by_openlineages_conventions(source: Any, namespace: str, name: str) -> None:
    assert names(source) == [(namespace, name)]
    assert names(FileSource(source)) == [(namespace, name)]
    assert names(Masked(str(source), shown="…")) == [(namespace, name)]


def test_a_relative_path_is_that_of_the_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert names("./ids.txt") == [("file", f"{tmp_path}/ids.txt")]


def test_lists_and_parts_of_several_tasks_give_each_of_their_paths() -> None:
    both = [("s3://b", "x"), ("s3://b", "y")]
    assert names(["s3://b/x", "s3://b/y"]) == both
    assert names(FileSource(["s3://b/x", Parts(("s3://b/y",))])) == both
    assert names(Parts(("s3://b/x", "s3://b/y"), is_rendered=True)) == both


def test_a_query_stays_one() -> None:
    query = SqlSource("warehouse", "SELECT 1")
    assert names(query) == [query]


@pytest.mark.parametrize(
    "source",
    [None, [AN_ID], Masked([AN_ID]), AN_ID, f"{AN_ID}\n{AN_ID}", iter([AN_ID]), "s3://bucket/{{ ds }}/", 13912345678],
    ids=["none", "list", "masked", "text", "lines", "iterator", "template", "number"],
)
def test_members_in_memory_and_unrendered_templates_are_no_dataset(source: Any) -> None:
    assert names(source) == []


def test_a_dataset_stays_what_it_is() -> None:
    assert names(DatasetName("maxcompute", "p.t")) == [("maxcompute", "p.t")]
