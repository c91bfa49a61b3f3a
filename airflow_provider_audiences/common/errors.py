"""Permanent errors in tasks: they are also an ``AirflowFailException``, so that Airflow does not retry the task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences.exceptions import PermanentError
from airflow_provider_audiences.redaction import forgetting_locals


@contextmanager
def task_errors() -> Iterator[None]:
    """
    Turn each permanent error of the block into an error of the same type that is also an ``AirflowFailException``.

    So Airflow does not retry the task, and ``except NotFoundError`` around an operator still works. All errors leave
    the block without local variables in their frames, so that no formatter of tracebacks shows members or secrets.

    :raises PermanentError: the block's error, which is also an ``AirflowFailException``.
    """
    with forgetting_locals():
        try:
            yield
        except PermanentError as error:
            if isinstance(error, AirflowFailException):
                raise
            # The new error gets no name: a frame that refers to its own error would keep it in memory.
            raise _made_again(type(error), error.args, vars(error)).with_traceback(
                error.__traceback__
            ) from error.__cause__


class _FailsTask(AirflowFailException):
    """Base of the classes that :func:`_failing` makes; they are pickled by the type that clients raise."""

    def __reduce__(self) -> tuple[object, ...]:
        own_type = type(self).__bases__[0]
        return _made_again, (own_type, self.args, self.__dict__)


_failing_types: dict[type[PermanentError], type[PermanentError]] = {}


def _failing(error_type: type[PermanentError]) -> type[PermanentError]:
    """Return a subclass of an error type that is also an AirflowFailException; the same class at each call."""
    made = type(error_type.__name__, (error_type, _FailsTask), {"__module__": error_type.__module__})
    return _failing_types.setdefault(error_type, made)


def _made_again(error_type: type[PermanentError], args: tuple[object, ...], state: dict[str, object]) -> PermanentError:
    """
    Return an error that Airflow does not retry. Also called to unpickle such an error.

    :param error_type: type of the error as clients raise it.
    :param args: arguments of the error.
    :param state: attributes of the error.
    """
    failing = _failing(error_type)
    error = failing.__new__(failing, *args)
    error.args = args
    error.__dict__.update(state)
    return error
