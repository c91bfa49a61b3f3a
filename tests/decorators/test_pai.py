"""TaskFlow for PAI: what a decorated function returns or yields becomes the group's phone numbers."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskDeferred, task
from support.airflow_versions import Serialization
from support.fixtures import Connect, MakeContext

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

NUMBERS = [f"1390000{number:04d}" for number in range(20)]


def _dag() -> Any:
    return DAG("dag", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))


@pytest.fixture(autouse=True)
def _ready_at_once(connect: Connect, emulator: AudiencesEmulator) -> None:
    emulator.settings(processing_seconds=0)


@pytest.fixture
def make(task_context: MakeContext) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Makes a task of a function, and the context that it runs in, with its templates rendered."""

    def make(function: Any, *args: Any, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        with _dag():
            decorator = task.pai_sync_group(task_id="readers", name="Readers", poke_interval=0.01, **arguments)
            operator = cast("Any", decorator(function)(*args)).operator
        context = {**task_context(), "task": operator, "ds": "2024-01-02"}
        operator.render_template_fields(context)
        return operator, context

    return make


def test_a_function_yields_numbers(
    make: Callable[..., tuple[Any, dict[str, Any]]], emulator: AudiencesEmulator
) -> None:
    def numbers(ds: Any = None) -> Iterator[Any]:
        assert ds == "2024-01-02"
        yield from NUMBERS

    operator, context = make(numbers)
    report = operator.execute(context)
    [group] = emulator.groups()
    assert (group["Id"], group["Amount"], report["members"]) == (report["group_id"], 20, 20)
    assert repr(operator.source) == "<members, not shown>"


def test_a_function_returns_a_path_with_templates(
    make: Callable[..., tuple[Any, dict[str, Any]]], emulator: AudiencesEmulator, tmp_path: Path
) -> None:
    (tmp_path / "2024-01-02.txt").write_text("\n".join(NUMBERS))
    operator, context = make(lambda: f"{tmp_path}/{{{{ ds }}}}.txt")
    assert operator.execute(context)["members"] == 20
    assert emulator.groups()[0]["Amount"] == 20


def test_a_deferred_task_does_not_call_the_function_again(
    make: Callable[..., tuple[Any, dict[str, Any]]], emulator: AudiencesEmulator
) -> None:
    calls = []

    def numbers() -> list[str]:
        calls.append(1)
        return NUMBERS

    operator, context = make(numbers, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)

    async def first_event() -> Any:
        return await anext(deferred.value.trigger.run())

    event = asyncio.run(first_event())
    report = getattr(operator, deferred.value.method_name)(context, event=event.payload)
    assert calls == [1]
    assert report["group_id"] == emulator.groups()[0]["Id"]


@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("given", [NUMBERS[3], int(NUMBERS[3]), NUMBERS, tuple(map(int, NUMBERS)), {"a": NUMBERS[3]}])
def test_arguments_with_numbers_are_not_stored(given: Any, is_mapped: bool) -> None:
    with _dag() as dag:
        decorated = task.pai_sync_group(task_id="readers", name="Readers")(lambda numbers: numbers)
        if is_mapped:
            decorated.partial().expand(numbers=[given, given])
        else:
            decorated(given)
    stored = json.dumps(Serialization.to_dict(dag))
    assert not [number for number in NUMBERS if number in stored]
    assert "not shown" in stored
