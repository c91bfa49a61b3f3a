"""What can't be given a time limit, such as the look-up of a name, in a thread that nobody has to wait for."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_THREADS = 32
"""That may be under way at once in a process, those that nobody waits for any more among them."""


class TooManyAsideError(OSError):
    """All threads are taken by calls that don't come back."""


class _Call(Generic[T]):
    def __init__(self, step: Callable[[], T], free: threading.Semaphore) -> None:
        self._step = step
        self._free = free
        self._ended = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._step())
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._error = error
        finally:
            self._free.release()
            self._ended.set()

    def result(self, seconds: float) -> T:
        if not self._ended.wait(seconds):
            raise TimeoutError
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        return self._result[0]


_free = threading.BoundedSemaphore(MAX_THREADS)


def aside(step: Callable[[], T], *, seconds: float) -> T:
    """
    Call something that may never come back, and wait for it no longer than allowed; its thread ends with the process.

    :param step: what to call.
    :param seconds: how long to wait.
    :return: its result.
    :raises TimeoutError: it did not come back in time.
    :raises TooManyAsideError: too many such calls did not come back yet.
    """
    free = _free
    if not free.acquire(blocking=False):
        raise TooManyAsideError
    call = _Call(step, free)
    try:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(call.run,), name="audiences-aside", daemon=True).start()
    except BaseException:
        free.release()
        raise
    return call.result(seconds)
