"""Calls that take no time limit, such as the look-up of a host name: made in a thread that may be abandoned."""

from __future__ import annotations

import contextvars
import copy
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MAX_THREADS = 32
"""Most such calls under way in a process at the same time, abandoned ones included."""

_YOUNG_SECONDS = 5.0
"""A call under way is shared with callers of the same name until this age; after that, it is taken to be hung."""


class TooManyCallsError(OSError):
    """All threads are taken by calls that have not returned."""


class _Call(Generic[T]):
    def __init__(self, step: Callable[[], T], free: threading.Semaphore) -> None:
        self._step = step
        self._free = free
        self._ended = threading.Event()
        self._result: list[T] = []
        self._error: Exception | None = None
        self.began = time.monotonic()

    def run(self) -> None:
        try:
            self._result.append(self._step())
        except Exception as error:  # noqa: BLE001 - the waiting threads raise it
            self._error = error.with_traceback(None)
        finally:
            self._free.release()
            self._ended.set()

    @property
    def may_be_joined(self) -> bool:
        return not self._ended.is_set() and time.monotonic() - self.began < _YOUNG_SECONDS

    def result(self, seconds: float) -> T:
        if not self._ended.wait(seconds):
            raise TimeoutError
        if self._error is not None:
            # Each waiting thread raises a copy of its own: an error keeps the frames that it has passed.
            raise _copied(self._error)
        return self._result[0]


def _copied(error: Exception) -> Exception:
    try:
        return copy.copy(error)
    except TypeError:  # the class can't be called with the error's own arguments
        return error


_free = threading.BoundedSemaphore(MAX_THREADS)
_lock = threading.Lock()
_under_way: dict[Hashable, _Call[Any]] = {}


def call_with_timeout(step: Callable[[], T], *, name: Hashable, seconds: float) -> T:
    """
    Call a function that may never return, and wait for its result for a limited time.

    The function runs in a thread of its own. If the function never returns, this thread ends with the process.

    :param step: function to call.
    :param name: name of the call; callers that give the same name at the same time share one call and its result.
    :param seconds: longest time to wait, in seconds.
    :return: result of the function.
    :raises TimeoutError: the function did not return in time.
    :raises TooManyCallsError: :data:`MAX_THREADS` calls have not returned yet.
    """
    with _lock:
        known: _Call[T] | None = _under_way.get(name)
        call = known if known is not None and known.may_be_joined else _begin(step)
        _under_way[name] = call
    try:
        return call.result(seconds)
    finally:
        with _lock:
            if _under_way.get(name) is call and not call.may_be_joined:
                del _under_way[name]


def _begin(step: Callable[[], T]) -> _Call[T]:
    free = _free
    if not free.acquire(blocking=False):
        raise TooManyCallsError
    call = _Call(step, free)
    try:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(call.run,), name="audiences-timed-call", daemon=True).start()
    except BaseException:
        free.release()
        raise
    return call
