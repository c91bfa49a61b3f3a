"""Handles a call of the PAI service for both dialects: does it, counts it for billing, and returns the reply."""

from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse

from .replies import ApiError, pai_envelope
from .state import EmulatorState


def answer(state: EmulatorState, call: str, action: Callable[[], Any]) -> JSONResponse:
    """
    Handle a get, list or delete call, and return the reply.

    :param state: state of the emulator.
    :param call: ``get``, ``list`` or ``delete``.
    :param action: function that does the call, and returns the value of ``Data``; it is called under the lock.
    :raises ApiError: whatever ``action`` raises; the call counts as a failed one.
    """

    def locked() -> Any:
        with state.lock:
            return action()

    return _billed(state, call, locked)


def answer_create(state: EmulatorState, body: bytes) -> JSONResponse:
    """
    Handle a create call, and return the reply.

    :param state: state of the emulator.
    :param body: JSON of a CreateGroup call.
    :raises ApiError: whatever the service raises; the call counts as a failed one.
    """

    def create() -> Any:
        # The file is read before the lock is taken, so that a slow file does not block other requests.
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
