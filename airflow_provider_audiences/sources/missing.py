"""What it means that files are not there: for good, or that they come late."""

from __future__ import annotations

from typing import Literal, get_args

from airflow_provider_audiences.exceptions import AudienceApiError, InvalidInputError, SourceUnavailableError
from airflow_provider_audiences.validation import one_of

OnMissing = Literal["fail", "retry"]


def checked_on_missing(value: object) -> OnMissing:
    """
    Return what to do if files are not there.

    :param value: ``fail`` or ``retry``.
    :raises InvalidInputError: it is neither.
    """
    return one_of("on_missing", value, get_args(OnMissing))  # type: ignore[return-value] # one of them


def missing_error(message: str, on_missing: OnMissing) -> AudienceApiError:
    """
    Return the error for files that are not there.

    :param message: which, without secrets.
    :param on_missing: ``fail`` for an error for good; ``retry`` for one that Airflow retries.
    """
    if on_missing == "retry":
        return SourceUnavailableError(
            f"{message}; nothing was sent", advice="on_missing='retry': a later try of the task looks again."
        )
    return InvalidInputError(message)
