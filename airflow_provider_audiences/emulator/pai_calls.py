"""One call of the PAI service, as both dialects make it: done, put on the bill, and answered."""

from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse

from .replies import ApiError, pai_envelope
from .state import EmulatorState


def answer(state: EmulatorState, call: str, action: Callable[[], Any]) -> JSONResponse:
    """
    :param state: the emulator's state
    :param call: get, list or delete
    :param action: what does it, and returns what goes into ``Data``; called under the lock
    :return: the reply
    :raises ApiError: as ``action``; the call is billed as a failed one
    """

    def locked() -> Any:
        with state.lock:
            return action()

    return _billed(state, call, locked)


def answer_create(state: EmulatorState, body: bytes) -> JSONResponse:
    """
    :param state: the emulator's state
    :param body: JSON of a CreateGroup call
    :return: the reply
    :raises ApiError: as the service; the call is billed as a failed one
    """

    def create() -> Any:
        # A file that takes its time is read before the lock, so that it keeps nobody waiting.
        draft = state.pai.draft(body)
        with state.lock:
            return state.pai.create(draft)

    return _billed(state, "create", create)


def _billed(state: EmulatorState, call: str, action: Callable[[], Any]) -> JSONResponse:
    try:
        data = action()
    except ApiError:
        state.billing.record(call, succeeded=False)
        raise
    state.billing.record(call, succeeded=True)
    return pai_envelope(data)
