"""Takes apart what several tasks hand over for one argument."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_audiences.common.masked import revealed
from airflow_provider_audiences.common.templated_lists import TemplatedList
from airflow_provider_audiences.exceptions import InvalidInputError


def is_parts(value: Any) -> bool:
    """
    Return whether a value is a list of parts; so is the output of a mapped task, which Airflow fetches lazily.

    :param value: any value.
    """
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str | bytes | list | tuple)
    return isinstance(value, TemplatedList) or (is_sequence and type(value).__module__.partition(".")[0] == "airflow")


def parts_of(value: Any) -> Iterator[Any]:
    """
    Yield the parts of a value, and the parts of parts in place of those.

    :param value: a list of parts.
    :raises InvalidInputError: a task returned nothing.
    """
    items = list(value.items if isinstance(value, TemplatedList) else value)
    if not isinstance(value, TemplatedList):
        _check_complete(value, len(items))
    for number, item in enumerate(map(revealed, items), start=1):
        if item is None:
            raise InvalidInputError(
                f"part {number} of {len(items)} of the source is None: did its task return nothing? Nothing was sent"
            )
        if is_parts(item):
            yield from parts_of(item)
        else:
            yield item


def flat(value: Any) -> list[Any]:
    """
    Return a value, or nested lists of values that tasks handed over, as one flat list.

    :param value: path or phone number, or a list of such.
    :raises InvalidInputError: a task returned nothing.
    """
    value = revealed(value)
    if isinstance(value, list | tuple):
        return [item for part in value for item in flat(part)]
    return [item for part in parts_of(value) for item in flat(part)] if is_parts(value) else [value]


def _check_complete(sequence: Any, count: int) -> None:
    """Refuse the output of a mapped task if an instance returned nothing: Airflow leaves those out silently."""
    ti: Any = getattr(sequence, "_ti", None)
    xcom_arg: Any = getattr(sequence, "_xcom_arg", None)
    instances = count
    if xcom_arg is not None and hasattr(ti, "get_ti_count"):  # Airflow 2 has no such question
        task = xcom_arg.operator
        instances = ti.get_ti_count(
            dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[ti.run_id], states=["success"]
        )
    if not count or instances > count:
        missing = f"in {instances - count} of {instances} instances " if count else ""
        raise InvalidInputError(
            f"the source is the output of a mapped task that {missing}returned nothing: let it return an empty list "
            "where there is nobody; nothing was sent"
        )
