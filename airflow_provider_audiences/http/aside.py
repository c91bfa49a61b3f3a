"""What can't be given a time limit, such as the look-up of a name, in a thread that nobody has to wait for."""

from __future__ import annotations

import contextvars
import copy
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MAX_THREADS = 32
"""That may be under way at once in a process, those that nobody waits for any more among them."""

_YOUNG_SECONDS = 5.0
"""A call of the same name that is younger is waited for; one that is older is taken for lost."""


class TooManyAsideError(OSError):
    """All threads are taken by calls that don't come back."""


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
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
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
            # Each who waits has one of its own: an error keeps the frames that it has passed.
            raise _copied(self._error)
        return self._result[0]


def _copied(error: Exception) -> Exception:
    try:
        return copy.copy(error)
    except TypeError:  # it can't be made of its own arguments
        return error


_free = threading.BoundedSemaphore(MAX_THREADS)
_lock = threading.Lock()
_under_way: dict[Hashable, _Call[Any]] = {}


def aside(step: Callable[[], T], *, name: Hashable, seconds: float) -> T:
    """
    Call something that may never come back, and wait for it no longer than allowed; its thread ends with the process.

    :param step: what to call.
    :param name: of what comes to the same: whoever asks for it while such a call is under way waits for that.
    :param seconds: how long to wait.
    :return: its result.
    :raises TimeoutError: it did not come back in time.
    :raises TooManyAsideError: too many calls did not come back yet.
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
        raise TooManyAsideError
    call = _Call(step, free)
    try:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(call.run,), name="audiences-aside", daemon=True).start()
    except BaseException:
        free.release()
        raise
    return call
