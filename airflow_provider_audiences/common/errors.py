"""Permanent errors burn no Airflow retry: in a task they are ``AirflowFailException`` as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences.exceptions import PermanentError
from airflow_provider_audiences.redaction import forgetting_locals


@contextmanager
def task_errors() -> Iterator[None]:
    """
    Raise what is permanent as an error that Airflow does not retry, which says the same and is of the same type.

    An ``except NotFoundError`` around an operator works as it does around a client. The frames that an error has passed
    are empty: members and secrets are not shown by who shows local variables.

    :raises PermanentError: what the block raised, and an AirflowFailException.
    """
    with forgetting_locals():
        try:
            yield
        except PermanentError as error:
            if isinstance(error, AirflowFailException):
                raise
            # Without a name: the frame that has one would hold the error, which holds the frame.
            raise _made_again(type(error), error.args, vars(error)).with_traceback(
                error.__traceback__
            ) from error.__cause__


class _FailsTask(AirflowFailException):
    """Pickled by the name of the error's own type: another process makes the class anew."""

    def __reduce__(self) -> tuple[object, ...]:
        own_type = type(self).__bases__[0]
        return _made_again, (own_type, self.args, self.__dict__)


_failing_types: dict[type[PermanentError], type[PermanentError]] = {}


def _failing(error_type: type[PermanentError]) -> type[PermanentError]:
    """Return the error type with AirflowFailException as a further base; for one type always the same."""
    made = type(error_type.__name__, (error_type, _FailsTask), {"__module__": error_type.__module__})
    return _failing_types.setdefault(error_type, made)


def _made_again(error_type: type[PermanentError], args: tuple[object, ...], state: dict[str, object]) -> PermanentError:
    """
    Return an error that Airflow does not retry; also of one that was pickled in a task.

    :param error_type: of the error as clients raise it.
    :param args: its arguments.
    :param state: its attributes.
    """
    failing = _failing(error_type)
    error = failing.__new__(failing, *args)
    error.args = args
    error.__dict__.update(state)
    return error
