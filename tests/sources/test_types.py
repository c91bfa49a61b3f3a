"""FileSource and SqlSource as Airflow sees them: rendered, copied, waited for, stored and shown."""

import copy
import datetime as dt
import json
import types
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, ObjectStoragePath
from support.airflow_versions import Serialization, rendered_fields
from support.kinds import ID_KIND

from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.operators.applovin import AppLovinAppendUsersOperator
from airflow_provider_audiences.sources import FileSource, SqlSource
from airflow_provider_audiences.sources.opening import open_source

ID = "1e1e1e1e-ABCD-4000-8000-00000000feed"
NO_TEXT: Any = None
IN_CSV: Any = "{{ 'csv' }}"
DS: Any = {"ds": "2024-01-02", "params": {"x": "y"}}


class Upstream(BaseOperator):
    def execute(self, context: Any) -> None:  # noqa: ARG002 - the name is Airflow's
        return None


def _dag(**arguments: Any) -> Any:
    return DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), **arguments)


def append(source: Any, **arguments: Any) -> AppLovinAppendUsersOperator:
    return AppLovinAppendUsersOperator(task_id="task", audience_id="a", source=source, **arguments)


SHOWN = [
    (FileSource("s3://b/day={{ ds }}/"), "FileSource('s3://b/day={{ ds }}/')"),
    (
        FileSource(["/a", Path("/b")], column="idfa", conn_id="s3", file_format="csv"),
        "FileSource(['/a', '/b'], column='idfa', conn_id='s3', file_format='csv')",
    ),
    (FileSource("https://me:sesame@host/ids.csv?sig=sesame"), "FileSource('https://me:***@host/ids.csv?…')"),
    (
        FileSource(
            "/a.csv",
            column=["idfa", 2],
            header=False,
            delimiter="\x01",
            quote="",
            escape="\\",
            encoding="gbk",
            null_values=("NULL", "\\N"),
            on_missing="retry",
        ),
        (
            "FileSource('/a.csv', column=['idfa', 2], header=False, delimiter='\\x01', quote='', escape='\\\\', "
            "encoding='gbk', null_values=['NULL', '\\\\N'], on_missing='retry')"
        ),
    ),
    (FileSource("/a", column=["x", ID]), "FileSource('/a', column=['x', <has personal data, not shown>])"),
    (
        FileSource("https://h/ids.csv?X-Sig=sesame", header="{{ x }}"),
        "FileSource('https://h/ids.csv?…', header='{{ x }}')",
    ),
    (FileSource(f"{ID},{ID}"), "FileSource(<members, not shown>)"),
    (FileSource([ID]), "FileSource([<members, not shown>])"),
    (FileSource(None), "FileSource(None)"),
    (FileSource(object()), "FileSource(<object>)"),
    (FileSource("/a", column=ID), "FileSource('/a', column=<has personal data, not shown>)"),
    (SqlSource("pg", "SELECT idfa FROM t"), "SqlSource(conn_id='pg', sql='SELECT idfa FROM t')"),
    (
        SqlSource("pg", "SELECT 1", column="x", parameters=["sesame"], chunk_size=5),
        "SqlSource(conn_id='pg', sql='SELECT 1', column='x', parameters=<not shown>, chunk_size=5)",
    ),
    (SqlSource("pg", f"SELECT '{ID}'"), "SqlSource(conn_id='pg', sql=<has personal data, not shown>)"),
    (SqlSource("pg", "SELECT '+86 139 1234 5678'"), "SqlSource(conn_id='pg', sql=<has personal data, not shown>)"),
    (SqlSource("pg", "WHERE d = '2024-01-02'"), "SqlSource(conn_id='pg', sql=\"WHERE d = '2024-01-02'\")"),
    (SqlSource("pg", NO_TEXT), "SqlSource(conn_id='pg', sql=None)"),
]


@pytest.mark.parametrize(("source", "shown"), SHOWN, ids=[shown for _, shown in SHOWN])
def test_how_they_are_shown_and_stored(source: FileSource | SqlSource, shown: str) -> None:
    assert repr(source) == str(source) == f"{source}" == source.serialize() == shown
    with _dag() as dag:
        operator = append(source)
        AppLovinAppendUsersOperator.partial(task_id="mapped", audience_id="a").expand(source=[source])
        AppLovinAppendUsersOperator.partial(task_id="shared", source=source).expand(audience_id=["a"])
    assert operator.source is source
    stored = json.dumps(Serialization.to_dict(dag), ensure_ascii=False)
    assert stored.count(json.dumps(shown, ensure_ascii=False)) == 3
    assert "sesame" not in stored
    assert ID not in stored
    assert rendered_fields(operator)["source"] == shown
    Serialization.from_dict(json.loads(stored))


def test_equality_and_copies() -> None:
    assert FileSource("/a", column="x") == FileSource("/a", column="x") != FileSource("/a")
    assert SqlSource("pg", "SELECT 1", parameters=[1]) == copy.deepcopy(SqlSource("pg", "SELECT 1", parameters=[1]))
    with pytest.raises(AttributeError):
        FileSource("/a").path = "/b"  # type: ignore[misc]


def test_templates_are_rendered_on_a_copy() -> None:
    files = FileSource(
        ["/{{ ds }}/a", ObjectStoragePath("file:///{{ ds }}/b"), Path("/{{ ds }}/c")],
        column="{{ params.x }}",
        conn_id="{{ params.x }}",
    )
    query = SqlSource("{{ params.x }}", "SELECT '{{ ds }}'", column="c{{ ds }}", parameters={"d": ["{{ ds }}", 1]})
    before = (repr(files), repr(query), query.parameters)
    operator = append(files)
    operator.render_template_fields(DS)
    assert [str(path).removeprefix("file://") for path in operator.source.path] == [
        "/2024-01-02/a",
        "/2024-01-02/b",
        "/{{ ds }}/c",  # Airflow renders no pathlib path
    ]
    assert (operator.source.column, operator.source.conn_id) == ("y", "y")
    operator = append(query)
    operator.render_template_fields(DS)
    assert operator.source == SqlSource(
        "y", "SELECT '2024-01-02'", column="c2024-01-02", parameters={"d": ["2024-01-02", 1]}
    )
    assert (repr(files), repr(query), query.parameters) == before


@pytest.mark.parametrize("given", [Path("not/there.txt"), PurePosixPath("/not/{{ ds }}.txt")])
def test_paths_of_this_machine_are_no_templates(given: Path | PurePosixPath) -> None:
    """Whether something is there or not: Airflow 3.0 to 3.2 would make a relative one absolute, or fail."""
    operator = AppLovinAppendUsersOperator(task_id="task", audience_id="a", source=[given], rejects_path=given)
    operator.render_template_fields(DS)
    assert (operator.source, operator.rejects_path) == ([given], given)


@pytest.mark.parametrize("native", [False, True])
def test_all_of_a_file_source_is_rendered(native: bool) -> None:
    given: dict[str, Any] = {
        "column": ["{{ conf.column }}", "b"],
        "file_format": "{{ conf.file_format }}",
        "header": "{{ conf.header }}",
        "delimiter": "{{ conf.delimiter }}",
        "quote": "{{ conf.quote }}",
        "escape": "{{ conf.escape }}",
        "encoding": "{{ conf.encoding }}",
        "null_values": ["{{ conf.null }}"],
        "on_missing": "{{ conf.on_missing }}",
    }
    conf = {
        "column": "2", "file_format": "csv", "header": False, "delimiter": "|", "quote": "'", "escape": "\\",
        "encoding": "gbk", "null": "NULL", "on_missing": "retry",
    }  # fmt: skip
    with _dag(render_template_as_native_obj=native):
        operator = append(FileSource("/a", **given))
    operator.render_template_fields({"conf": conf, "task": operator})  # type: ignore[typeddict-unknown-key]  # as a test has it
    source = operator.source
    assert source.header == (False if native else "False")
    assert [str(column) for column in source.column] == ["2", "b"]
    shown = [source.file_format, source.delimiter, source.quote, source.escape, source.encoding, source.on_missing]
    assert shown == ["csv", "|", "'", "\\", "gbk", "retry"]
    assert list(source.null_values) == ["NULL"]
    assert set(FileSource.template_fields) == {"path", "conn_id", *given}


def test_what_was_rendered_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f"US|{ID}\nDE|NULL\n")
    operator = append(
        FileSource(
            f"{tmp_path}/{{{{ n }}}}", column="{{ 1 + 1 }}", header="{{ n == 'y' }}", delimiter="{{ '|' }}",
            file_format=IN_CSV, null_values="{{ 'NULL' }}",
        )
    )  # fmt: skip
    operator.render_template_fields({"n": "x"})  # type: ignore[typeddict-unknown-key]  # as a test has it
    with open_source(operator.source) as files, stage(files, rules=StagingRules(), identifier_kind=ID_KIND) as staged:
        assert (staged.members, staged.blank, staged.malformed) == (1, 1, 0)


def test_lists_of_paths_are_rendered() -> None:
    operator = append(["s3://b/{{ ds }}/", "/x/{{ ds }}"])
    operator.render_template_fields(DS)
    assert operator.source == ["s3://b/2024-01-02/", "/x/2024-01-02"]
    assert rendered_fields(operator)["source"] == ["s3://b/2024-01-02/", "/x/2024-01-02"]


def test_native_rendering_and_macros_are_the_dags() -> None:
    with _dag(render_template_as_native_obj=True, user_defined_macros={"minus": lambda value: -value}):
        operator = append(SqlSource("pg", "SELECT 1", parameters="{{ [minus(1), 2] }}"))
    operator.render_template_fields(DS | {"task": operator})
    assert operator.source.parameters == [-1, 2]


def test_a_sql_file_is_found_beside_the_dag(tmp_path: Path) -> None:
    (tmp_path / "members.sql").write_text("SELECT idfa FROM {{ params.x }} WHERE d = '{{ ds }}'")
    with _dag(template_searchpath=[str(tmp_path)]) as dag:
        operator = append(SqlSource("pg", "members.sql"))
        mapped = AppLovinAppendUsersOperator.partial(task_id="m", audience_id="a", source=SqlSource("p", "members.sql"))
        mapped = mapped.expand(applovin_conn_id=["x"])
    dag.resolve_template_files()
    operator.render_template_fields(DS | {"task": operator})
    assert operator.source.sql == "SELECT idfa FROM y WHERE d = '2024-01-02'"
    unmapped = mapped.unmap({"applovin_conn_id": "x"})
    unmapped.render_template_fields({**DS, "task": unmapped})
    assert unmapped.source.sql == operator.source.sql
    assert mapped.partial_kwargs["source"].sql == "members.sql"


def test_what_other_tasks_bring_is_waited_for() -> None:
    with _dag() as dag:
        output = Upstream(task_id="upstream").output
        operator = append(FileSource([output, "/b"], column=cast("Any", output)))
        query = AppLovinAppendUsersOperator(
            task_id="query", audience_id="a", source=SqlSource("pg", cast("Any", output))
        )
        mapped = AppLovinAppendUsersOperator.partial(task_id="mapped", audience_id="a").expand(
            source=[FileSource("/a")], applovin_conn_id=output
        )
        shared = AppLovinAppendUsersOperator.partial(task_id="shared", source=FileSource(output)).expand(
            audience_id=["a", "b"]
        )
        param = AppLovinAppendUsersOperator(task_id="param", audience_id="a", source=FileSource(dag.param("p", "/x")))
    assert {task.task_id: task.upstream_task_ids for task in (operator, query, mapped, shared, param)} == {
        **{name: {"upstream"} for name in ("task", "query", "mapped", "shared")},
        "param": set(),
    }
    assert repr(operator.source) == "FileSource([<output of upstream>, '/b'], column=<output of upstream>)"
    assert repr(param.source) == "FileSource(<DagParam>)"
    stored = Serialization.to_dict(dag)
    assert stored == Serialization.to_dict(dag)
    assert " at 0x" not in json.dumps(stored)
    subset = dag.partial_subset(["task"], include_upstream=True)
    assert subset.get_task("task").upstream_task_ids == {"upstream"}


def test_params_are_resolved() -> None:
    with _dag(params={"p": "/x"}) as dag:
        operator = append(FileSource(dag.param("p")))
    context: Any = {"params": {"p": "/y"}, "task": operator, "dag_run": types.SimpleNamespace(conf={}), "dag": dag}
    operator.render_template_fields(context)
    assert operator.source == FileSource("/y")
