"""Work on several threads: NumPy lets others run meanwhile."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = min(4, os.cpu_count() or 1)
"""More would each take memory, and there are other tasks on a worker."""


def in_turn(executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """
    Yield a function's results in the order of its arguments; a few are worked out ahead.

    :param executor: works them out.
    :param function: takes one argument.
    :param items: the arguments.
    """
    running: deque[Future[Result]] = deque()
    for item in items:
        running.append(executor.submit(function, item))
        if len(running) > 2 * THREADS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
