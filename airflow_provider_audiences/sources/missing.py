"""What to do if the files of a source are not there: fail for good, or let Airflow retry because they may come late."""

from __future__ import annotations

from typing import Literal, get_args

from airflow_provider_audiences.exceptions import AudienceError, InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.validation import one_of

OnMissing = Literal["fail", "retry"]


def checked_on_missing(value: object) -> OnMissing:
    """
    Return the argument ``on_missing``, checked.

    :param value: what the user gave.
    :raises InvalidInputError: it is neither ``fail`` nor ``retry``.
    """
    return one_of("on_missing", value, get_args(OnMissing))  # type: ignore[return-value] # one of them


def missing_error(message: str, on_missing: OnMissing) -> AudienceError:
    """
    Return the error for files that are not there.

    :param message: which files are missing, without secrets.
    :param on_missing: ``fail`` for a permanent error, ``retry`` for one that Airflow retries.
    """
    if on_missing == "retry":
        return SourceUnavailableError(
            f"{message}; nothing was sent", advice="on_missing='retry': a later try of the task looks again."
        )
    return InvalidInputError(message)
