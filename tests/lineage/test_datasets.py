from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.common.masked import Masked
from airflow_provider_audiences.common.templated_lists import TemplatedList
from airflow_provider_audiences.lineage.datasets import DatasetName, datasets_and_queries
from airflow_provider_audiences.sources import FileSource, SqlSource

AN_ID = "0b5e7ed0-0001-4000-8000-00000000feed"


def names(source: Any) -> list[Any]:
    return [tuple(part) if isinstance(part, DatasetName) else part for part in datasets_and_queries(source)]


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
        ("https://bucket.oss-cn-hangzhou.aliyuncs.com?Signature=s", "oss://bucket", "/"),
        ("https://example.com?sig=sesame", "https://example.com", "/"),
        ("https://example.com:8443#x/y?sig=sesame", "https://example.com:8443", "/"),
        ("https://example.com?to=user@host/x", "https://example.com", "/"),
        ("HTTP://[::1]:80/ids.csv", "http://[::1]:80", "ids.csv"),
        ("s3://my_store@my.bucket/x", "s3://my.bucket", "x"),
        ("s3://my_store@my.bucket?sig=sesame", "s3://my.bucket", "/"),
        ("gs://my.store@bucket/day-?/ids.csv", "gs://bucket", "/"),
        ("abfs://my_store@box/a", "abfss://box", "a"),
        ("abfs://box:sesame@account.dfs.core.windows.net/a", "abfss://box@account.dfs.core.windows.net", "a"),
        ("wasbs://box@account.blob.core.windows.net/a", "wasbs://box@account.blob.core.windows.net", "a"),
        ("hdfs://user@node.example.com:8020/a", "hdfs://node.example.com:8020", "a"),
    ],
)
def test_a_path_is_named_by_openlineages_conventions(source: Any, namespace: str, name: str) -> None:
    assert names(source) == [(namespace, name)]
    assert names(FileSource(source)) == [(namespace, name)]
    assert names(Masked(str(source), shown="…")) == [(namespace, name)]


@given(
    scheme=st.sampled_from(["http", "https", "oss", "s3", "s3a", "gs", "abfs", "abfss", "wasbs"]),
    user=st.sampled_from(["", "conn@", "conn:SESAME@", "key:SES/SESAME@", "key:1?SESAME@", ":SESAME@"]),
    host=st.sampled_from(["bucket", "my.bucket", "account.dfs.core.windows.net", "b.oss-cn-hangzhou.aliyuncs.com"]),
    port=st.sampled_from(["", ":443"]),
    path=st.sampled_from(["", "/", "/a", "/a/day=*/b.csv", "/a@b/c"]),
    query=st.sampled_from(["", "?", "?sig=SESAME", "?a=/SESAME/x", "?u@SESAME.x/y"]),
    fragment=st.sampled_from(["", "#SESAME", "#SESAME/x?y@z"]),
)
def test_no_name_has_what_gives_access(
    scheme: str, user: str, host: str, port: str, path: str, query: str, fragment: str
) -> None:
    if path and not scheme.startswith("http"):
        fragment = ""  # in a store's key, # is part of a name
    found = names(f"{scheme}://{user}{host}{port}{path}{query}{fragment}")
    assert "SESAME" not in str(found)
    if "SESAME" not in user:
        ((namespace, name),) = found
        is_container = user and scheme in {"abfs", "abfss", "wasbs"} and "." in host
        assert ("conn" in namespace) == bool(is_container)
        assert "?" not in namespace + name


@pytest.mark.parametrize("source", ["https://key:sec/ret@example.com/x", "s3://key:sec/ret@bucket/x", "s3://a[b/x"])
def test_an_address_that_cannot_be_read_is_no_dataset(source: str) -> None:
    assert names(source) == []


def test_a_relative_path_is_that_of_the_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert names("./ids.txt") == [("file", f"{tmp_path}/ids.txt")]


def test_lists_and_parts_of_several_tasks_give_each_of_their_paths() -> None:
    both = [("s3://b", "x"), ("s3://b", "y")]
    assert names(["s3://b/x", "s3://b/y"]) == both
    assert names(FileSource(["s3://b/x", TemplatedList(("s3://b/y",))])) == both
    assert names(TemplatedList(("s3://b/x", "s3://b/y"), is_rendered=True)) == both


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
