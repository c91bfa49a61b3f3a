"""Permanent errors burn no Airflow retry: in a task they are ``AirflowFailException`` as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences.exceptions import AudienceApiError, PermanentError
from airflow_provider_audiences.redaction import forgetting_locals


@contextmanager
def task_errors() -> Iterator[None]:
    """
    Let permanent errors leave the block as errors of the same type that Airflow does not retry.

    An ``except NotFoundError`` around an operator works as it does around a client. The frames that an error has passed
    are empty: members and secrets are not shown by who shows local variables.
    """
    with forgetting_locals():
        try:
            yield
        except PermanentError as error:
            if not isinstance(error, AirflowFailException):
                error.__class__ = _failing(type(error))
            raise


class _FailsTask(AirflowFailException):
    """Pickled by the name of the error's own type: another process makes the class anew."""

    def __reduce__(self) -> tuple[object, ...]:
        own_type = type(self).__bases__[0]
        return _restored, (own_type, self.args, self.__dict__)


_failing_types: dict[type[PermanentError], type[PermanentError]] = {}


def _failing(error_type: type[PermanentError]) -> type[PermanentError]:
    """Return the error type with AirflowFailException as a further base; for one type always the same."""
    made = type(error_type.__name__, (error_type, _FailsTask), {"__module__": error_type.__module__})
    return _failing_types.setdefault(error_type, made)


def _restored(error_type: type[PermanentError], args: tuple[object, ...], state: dict[str, object]) -> AudienceApiError:
    """Return an error that was pickled in a task, with all that it says."""
    failing = _failing(error_type)
    error = failing.__new__(failing, *args)
    error.args = args
    error.__dict__.update(state)
    return error
