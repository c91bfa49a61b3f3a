"""Work on several threads: NumPy releases the interpreter's lock, so that threads run at the same time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = min(4, os.cpu_count() or 1)
"""More threads would need more memory, and take processors from the worker's other tasks."""


def in_turn(executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """
    Yield a function's results in the order of its arguments, computing a few of them ahead in other threads.

    :param executor: runs the calls in other threads.
    :param function: the function to call, with one argument.
    :param items: the arguments, one for each call.
    """
    running: deque[Future[Result]] = deque()
    for item in items:
        running.append(executor.submit(function, item))
        if len(running) > 2 * THREADS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
