"""The types of fixtures that many tests take."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias


class MakeIds(Protocol):
    """Makes distinct advertising IDs."""

    def __call__(self, count: int, *, start: int = 1) -> list[str]: ...


AsBody: TypeAlias = Callable[[list[str]], bytes]
"""Joins IDs to a request body."""

Connect: TypeAlias = Callable[..., None]
"""Changes an Airflow connection: ``connect("pai", password=None)``."""

MakeAudience: TypeAlias = Callable[..., str]
"""Creates an audience of iOS at the emulator; returns its id: ``make_audience("A")``."""

MakeContext: TypeAlias = Callable[..., Any]
"""Makes the part of a task's context that our operators use: ``task_context(try_number=2)``."""
