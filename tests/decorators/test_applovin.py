"""TaskFlow: what a decorated function returns or yields is the source."""

import datetime as dt
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator, ObjectStoragePath, task
from support.airflow_versions import Serialization
from support.fixtures import AsBody, Connect, MakeAudience, MakeContext, MakeIds

from airflow_provider_audiences.common.masked import Masked
from airflow_provider_audiences.emulator.testing import AudiencesEmulator
from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.sources import FileSource

ID = "1e1e1e1e-abcd-4000-8000-00000000feed"
TARGETS = {
    "applovin_sync_audience": "audience_id",
    "applovin_sync_suppression": "package_name",
    "applovin_update_audience": "audience_id",
    "applovin_append_users": "audience_id",
    "applovin_remove_users": "audience_id",
}
"""The decorators, and the argument of each that says where the members go."""


class Upstream(BaseOperator):
    def execute(self, context: Any) -> None:  # noqa: ARG002 - the name is Airflow's
        return None


def _dag() -> Any:
    return DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))


@pytest.fixture
def audience_id(make_audience: MakeAudience) -> str:
    return make_audience()


@pytest.fixture
def run(task_context: MakeContext, audience_id: str) -> Any:
    """Decorates a function, and runs its task as Airflow does: rendered, then executed."""

    def run(
        function: Any, *args: Any, decorator: str = "applovin_update_audience", context: Any = (), **kwargs: Any
    ) -> Any:
        with _dag():
            operator = getattr(task, decorator)(task_id="members", audience_id=audience_id)(function)(
                *args, **kwargs
            ).operator
        full = {**task_context(), "task": operator, "ds": "2024-01-02", **dict(context)}
        operator.render_template_fields(full)
        report = operator.execute(full)
        vars(run)["operator"] = operator
        return report

    return run


def test_a_function_yields_members(run: Any, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds) -> None:
    def members() -> Iterator[Any]:
        yield from make_ids(5)

    report = run(members)
    assert emulator.members(audience_id) == make_ids(5)
    assert report["accepted"] == 5
    assert repr(run.operator.source) == "<members, not shown>"


def test_a_function_yields_what_an_audience_is_to_be(
    run: Any,
    emulator: AudiencesEmulator,
    audience_id: str,
    make_ids: MakeIds,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))

    def members(count: int) -> Iterator[Any]:
        yield from make_ids(count)

    assert run(members, 5, decorator="applovin_sync_audience")["added"] == 5
    assert run(members, 4, decorator="applovin_sync_audience")["removed"] == 1
    assert emulator.members(audience_id) == make_ids(4)


def test_a_function_yields_who_is_to_be_left_alone(
    connect: Connect,
    emulator: AudiencesEmulator,
    make_ids: MakeIds,
    task_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AIRFLOW__AUDIENCES__STATE_PATH", str(tmp_path / "state"))
    with _dag():
        decorate = task.applovin_sync_suppression(task_id="users", package_name="com.{{ ds }}")
        operator = cast("Any", decorate(lambda: make_ids(5))()).operator
    context = {**task_context(), "task": operator, "ds": "2024-01-02"}
    operator.render_template_fields(context)
    assert operator.execute(context)["added"] == 5
    assert emulator.suppressed("com.2024-01-02") == make_ids(5)


@pytest.mark.parametrize(
    "of",
    [
        lambda ids, _: ids,
        lambda ids, _: tuple(ids),
        lambda ids, _: pd.DataFrame({"idfa": ids}),
        lambda _, path: str(path),
        lambda _, path: path,
        lambda _, path: ObjectStoragePath(f"file://{path}"),
        lambda _, path: [str(path)],
        lambda _, path: FileSource(str(path).replace("2024-01-02", "{{ ds }}")),
        lambda _, path: str(path).replace("2024-01-02", "{{ ds }}"),
    ],
    ids=["list", "tuple", "frame", "text", "path", "object-path", "paths", "file-source", "template"],
)
def test_a_function_returns_any_source(
    run: Any,
    emulator: AudiencesEmulator,
    audience_id: str,
    make_ids: MakeIds,
    as_body: AsBody,
    tmp_path: Path,
    of: Callable[..., Any],
) -> None:
    path = tmp_path / "2024-01-02.txt"
    path.write_bytes(as_body(make_ids(5)))
    run(lambda: of(make_ids(5), path))
    assert emulator.members(audience_id) == make_ids(5)


def test_each_decorator_does_what_its_operator_does(
    run: Any, emulator: AudiencesEmulator, audience_id: str, make_ids: MakeIds
) -> None:
    run(lambda: make_ids(5), decorator="applovin_append_users")
    run(lambda: make_ids(2), decorator="applovin_remove_users")
    assert emulator.members(audience_id) == make_ids(3, start=3)
    run(lambda: make_ids(1), decorator="applovin_update_audience")
    assert emulator.members(audience_id) == make_ids(1)


def test_a_function_takes_arguments_templates_and_the_context(
    run: Any, emulator: AudiencesEmulator, audience_id: str, tmp_path: Path, as_body: AsBody, make_ids: MakeIds
) -> None:
    (tmp_path / "2024-01-02.txt").write_bytes(as_body(make_ids(3)))

    def members(folder: Any, name: str, *, ending: Any, ds: Any = None, **context: Any) -> Any:
        assert ds == "2024-01-02" == name
        assert context["ti"].dag_id == "dag"
        return Path(folder) / f"{ds}{ending}"

    run(members, str(tmp_path), "{{ ds }}", ending=".txt")
    assert emulator.members(audience_id) == make_ids(3)


def test_members_as_arguments_are_not_shown(run: Any, emulator: AudiencesEmulator, audience_id: str) -> None:
    def members(ids: Any, *, more: Any) -> list[Any]:
        assert isinstance(ids, list)
        return [*ids, *more]

    run(members, [ID], more=[ID.upper()])
    assert emulator.members(audience_id) == [ID]
    operator = run.operator
    assert isinstance(operator.op_args[0], Masked)
    assert ID not in repr([getattr(operator, field) for field in operator.template_fields]).lower()


@pytest.mark.parametrize("returned", [None, 7, {"a": 1}, "/no/such/file", ID])
def test_what_is_no_source_is_refused(run: Any, emulator: AudiencesEmulator, returned: Any) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        run(lambda: returned)
    assert isinstance(refusal.value, AirflowFailException)
    assert ID not in str(refusal.value)
    assert emulator.requests() == []


def test_an_error_of_the_function_stays_what_it_is(run: Any, emulator: AudiencesEmulator) -> None:
    def members() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(members)
    assert emulator.requests() == []


def _stored(dag: Any) -> str:
    stored = json.dumps(Serialization.to_dict(dag))
    Serialization.from_dict(json.loads(stored))
    return stored


@pytest.mark.parametrize(("decorator", "target"), TARGETS.items())
def test_in_a_dag(decorator: Any, target: Any) -> None:
    with _dag() as dag:
        output = Upstream(task_id="upstream").output
        decorate = getattr(task, decorator)

        @decorate(**{target: "{{ params.a }}"}, retries=7)  # type: ignore[untyped-decorator]
        def members(ids: Any, day: str = "{{ ds }}") -> Any:
            """Say who."""
            return ids

        members(output)
        members([ID], day="x")
        members.override(task_id="other", **{target: "b"})([ID])
        members.partial(day=ID).expand(ids=[[ID], [ID]])
        members.expand(ids=output)
        members.expand_kwargs([{"ids": [ID]}])

    first = dag.get_task("members")
    assert first.upstream_task_ids == {"upstream"}
    assert (getattr(first, target), first.retries, first.doc_md) == ("{{ params.a }}", 7, "Say who.")
    assert first.custom_operator_name == f"@task.{decorator}"
    assert getattr(dag.get_task("other"), target) == "b"
    assert dag.get_task("members__3").upstream_task_ids == {"upstream"}
    stored = _stored(dag)
    assert ID not in stored
    assert " at 0x" not in stored
    mapped = dag.get_task("members__2").unmap({"op_kwargs": {"ids": Masked([ID])}})
    assert isinstance(mapped.op_kwargs["day"], Masked)


def test_the_bare_decorator_says_what_is_missing() -> None:
    with _dag():

        @task.applovin_update_audience
        def members() -> list[Any]:
            return []

        with pytest.raises(Exception, match="audience_id"):  # which one differs between versions of Airflow
            members()


def test_a_return_type_is_not_taken_for_the_reports() -> None:
    with _dag():

        @task.applovin_update_audience(audience_id="a")
        def members() -> Any:
            return {}

        @task.applovin_update_audience(audience_id="a", multiple_outputs=True)
        def unrolled() -> list[Any]:
            return []

    assert cast("Any", members()).operator.multiple_outputs is False
    assert cast("Any", unrolled()).operator.multiple_outputs is True


@pytest.mark.parametrize(("decorator", "target"), TARGETS.items())
def test_template_fields_are_the_operators_and_the_functions(decorator: Any, target: Any) -> None:
    with _dag():
        operator = getattr(task, decorator)(task_id="members", **{target: "a"})(list)().operator
    assert {"op_args", "op_kwargs", target, "source", "applovin_conn_id"} <= set(operator.template_fields)
    assert operator.template_ext == (".sql",)
    assert all(hasattr(operator, field) for field in operator.template_fields)
    assert inspect.signature(type(operator).__init__)
