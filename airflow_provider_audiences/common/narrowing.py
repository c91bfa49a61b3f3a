"""
Arguments that narrow what a task acts on, and vanish at run time.

Who writes ``name=`` in a DAG asks for a filter. A template or an upstream task that has nothing to say makes None of
it, which would mean everything: a task that deletes what a list returns would delete all there is.
"""

from __future__ import annotations

from airflow_provider_audiences.exceptions import InvalidInputError


def narrowing_of(task: object, *names: str) -> tuple[str, ...]:
    """
    Return which of the arguments are given; call it in the constructor, before anything is rendered.

    :param task: an operator or a sensor.
    :param names: its arguments that narrow.
    """
    return tuple(name for name in names if getattr(task, name) is not None)


def refuse_vanished(task: object, narrowing: tuple[str, ...]) -> None:
    """
    Refuse a task in which an argument that was given became None.

    :param task: an operator or a sensor.
    :param narrowing: what :func:`narrowing_of` returned.
    :raises InvalidInputError: it names the argument.
    """
    for name in narrowing:
        if getattr(task, name) is None:
            raise InvalidInputError(
                f"{name} was given, and a template or an upstream task made None of it, which would mean any: see why "
                f"there is nothing, or leave {name} out"
            )
