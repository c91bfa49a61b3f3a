"""What holds for every operator and sensor; new ones are found by themselves."""

import copy
import datetime as dt
import inspect
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, XComArg
from support.airflow_versions import Serialization
from support.operators import OPERATORS, arguments_of

from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.text_templates import is_text_field


def _required(operator_class: type[Any]) -> dict[Any, Any]:
    return {
        name: "x"
        for name, parameter in arguments_of(operator_class).items()
        if parameter.default is inspect.Parameter.empty
    }


# Airflow's operators have a method of the name, which `airflow tasks test --dry-run` calls.
ATTRIBUTES = {"dry_run": "is_dry_run"}
each_operator = pytest.mark.parametrize("operator_class", OPERATORS, ids=lambda found: found.__name__)
each_field = pytest.mark.parametrize(
    ("operator_class", "field"),
    [(found, field) for found in OPERATORS for field in found.template_fields],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)


class Upstream(BaseOperator):
    def execute(self, context: Any) -> None:  # noqa: ARG002 - the name is Airflow's
        return None


def _dag(**arguments: Any) -> Any:
    return DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), **arguments)


def test_all_were_found() -> None:
    assert len(OPERATORS) == 22


@each_operator
def test_template_fields_exist_whatever_is_given(operator_class: Any) -> None:
    operator = operator_class(task_id="task", **_required(operator_class))
    assert operator.template_fields
    for field in operator.template_fields:
        assert hasattr(operator, field), field
    assert len(set(operator.template_fields)) == len(operator.template_fields)


@each_operator
def test_connection_ids_are_templated(operator_class: Any) -> None:
    connection_ids = [name for name in arguments_of(operator_class) if name.endswith("_conn_id")]
    assert connection_ids
    assert set(connection_ids) <= set(operator_class.template_fields)


@each_field
def test_the_constructor_sets_template_fields_verbatim(operator_class: Any, field: Any) -> None:
    if field not in arguments_of(operator_class):
        pytest.fail(f"{field} is a template field and no argument")
    template = f"{{{{ params.{field} }}}}"
    arguments = _required(operator_class) | {field: template}
    assert getattr(operator_class(task_id="task", **arguments), field) is template
    with _dag():
        upstream = Upstream(task_id="upstream")
        output = upstream.output
        operator = operator_class(task_id="task", **(arguments | {field: output}))
    assert getattr(operator, field) is output
    assert operator.upstream_task_ids == {"upstream"}


@each_operator
def test_every_argument_is_keyword_only_and_documented(operator_class: Any) -> None:
    arguments = arguments_of(operator_class)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in arguments.values())
    documented = dict(
        re.findall(
            r":param (\w+):(.*?)(?=\n\s*:(?:param|return|raises)|\Z)", inspect.getdoc(operator_class) or "", re.DOTALL
        )
    )
    assert set(documented) == set(arguments)
    templated = {name for name, text in documented.items() if "(templated" in text}
    assert templated == set(operator_class.template_fields)
    assert ":return:" in str(inspect.getdoc(operator_class))


@each_operator
def test_every_argument_may_come_from_default_args(operator_class: Any) -> None:
    for name in arguments_of(operator_class):
        switches = {"deferrable", "allow_empty", "ignore_missing", "exponential_backoff"}
        value = True if name in switches else timedelta(seconds=7) if name == "max_poke_interval" else "7"
        given = {other: "x" for other in _required(operator_class) if other != name}
        with _dag(default_args={name: value}):
            operator = operator_class(task_id="task", **given)
        assert revealed(getattr(operator, ATTRIBUTES.get(name, name))) == value, name


@each_field
def test_every_template_field_may_be_mapped(operator_class: Any, field: Any) -> None:
    shared = {name: value for name, value in _required(operator_class).items() if name != field}
    with _dag() as dag:
        mapped = operator_class.partial(task_id="task", **shared).expand(**{field: ["7", "8"]})
    unmapped = mapped.unmap({field: "7"})
    assert type(unmapped) is operator_class
    assert revealed(getattr(unmapped, field)) == "7"
    stored = json.loads(json.dumps(Serialization.to_dict(dag)))
    assert Serialization.from_dict(stored).task_ids == ["task"]


@each_field
def test_every_template_field_may_be_mapped_over_xcom(operator_class: Any, field: Any) -> None:
    shared = {name: value for name, value in _required(operator_class).items() if name != field}
    with _dag() as dag:
        output = Upstream(task_id="upstream").output
        mapped = operator_class.partial(task_id="task", **shared).expand(**{field: output})
        both = operator_class.partial(task_id="both", **shared).expand_kwargs(output)
    assert mapped.upstream_task_ids == both.upstream_task_ids == {"upstream"}
    assert set(Serialization.from_dict(json.loads(json.dumps(Serialization.to_dict(dag)))).task_ids) == {
        "upstream",
        "task",
        "both",
    }


@each_operator
def test_a_copy_has_the_same_values(operator_class: Any) -> None:
    operator = operator_class(task_id="task", **_required(operator_class))
    for copied in (copy.deepcopy(operator), copy.copy(operator)):
        assert type(copied) is operator_class
        for argument in arguments_of(operator_class):
            name = ATTRIBUTES.get(argument, argument)
            assert getattr(copied, name) == getattr(operator, name), name


@each_operator
def test_a_dag_with_it_is_stored_and_read_again(operator_class: Any) -> None:
    with _dag() as dag:
        operator_class(task_id="task", **_required(operator_class))
    stored = Serialization.to_dict(dag)
    assert stored == Serialization.to_dict(dag)
    read = Serialization.from_dict(json.loads(json.dumps(stored))).get_task("task")
    assert tuple(read.template_fields) == tuple(operator_class.template_fields)
    assert read.task_type == operator_class.__name__
    for field, value in _required(operator_class).items():
        assert getattr(read, field) == value


@each_operator
def test_mapping_refuses_what_is_no_argument(operator_class: Any) -> None:
    with pytest.raises(TypeError, match="no_such_argument"):
        operator_class.partial(task_id="task", no_such_argument=1)
    partial = operator_class.partial(task_id="task", **_required(operator_class))
    with pytest.raises(TypeError, match="no_such_argument"):
        partial.expand(no_such_argument=[1])
    partial.expand(**{next(iter(set(operator_class.template_fields) - set(_required(operator_class)))): ["x"]})


def test_xcomarg_is_what_airflow_calls_it() -> None:
    with _dag():
        assert isinstance(Upstream(task_id="upstream").output, XComArg)


@each_field
def test_what_is_always_text_is_rendered_as_text(operator_class: type[Any], field: str) -> None:
    """With native rendering, a name such as ``2026_11_11`` would become a number."""
    if field == "text" or field not in arguments_of(operator_class):
        return
    annotation = str(arguments_of(operator_class)[field].annotation).replace(" | None", "")
    assert (annotation == "str") <= is_text_field(field), f"{field} belongs into TEXT_FIELDS"
