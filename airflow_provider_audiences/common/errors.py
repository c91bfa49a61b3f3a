"""Permanent errors burn no Airflow retry: in a task they are ``AirflowFailException`` as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_audiences.exceptions import PermanentError


@contextmanager
def task_errors() -> Iterator[None]:
    """
    Let permanent errors leave the block as errors of the same type that Airflow does not retry.

    An ``except NotFoundError`` around an operator works as it does around a client.
    """
    try:
        yield
    except PermanentError as error:
        if not isinstance(error, AirflowFailException):
            error.__class__ = _failing(type(error))
        raise


def _failing(error_type: type[PermanentError]) -> type[PermanentError]:
    """Return the error type with AirflowFailException as a further base."""
    return type(error_type.__name__, (error_type, AirflowFailException), {"__module__": error_type.__module__})
