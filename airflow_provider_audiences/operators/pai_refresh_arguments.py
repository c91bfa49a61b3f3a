"""The arguments that all operators that refresh PAI audience groups share, with a rule for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from airflow_provider_audiences.validation import Checked, Rules, seconds, true_or_false, whole_number

_MAX_SECONDS = 366 * 24 * 3600
_COUNT = partial(whole_number, at_least=0)
_WAIT = partial(seconds, above=0, at_most=_MAX_SECONDS)


@dataclass(frozen=True, kw_only=True)
class RefreshArguments(Checked):
    """
    Arguments that decide which groups stay, and how the task waits for the new group.

    :param keep_previous: how many of the replaced groups that are ready to keep, the newest first; at least 0.
    :param delete_failed: whether to delete the new group if it is rejected or not ready in time.
    :param allow_older_run: whether the run may make a group even if a run with a newer logical date has made one.
    :param min_amount: least number of people in a ready group; at least 0.
    :param timeout: longest wait until the new group is ready, in seconds; above 0, at most 366 days.
    :param poke_interval: pause before the first poll, in seconds; above 0, at most 366 days. It doubles from poll to
        poll.
    :param max_poke_interval: longest pause between two polls, in seconds; above 0, at most 366 days.
    :param max_poll_failures: most transient failures of polls in a row that don't end the wait; at least 0.
    :param deferrable: whether the task waits in the triggerer, without a worker slot.
    :raises InvalidInputError: an argument is wrong.
    """

    RULES: ClassVar[Rules] = {
        "timeout": _WAIT,
        "poke_interval": _WAIT,
        "max_poke_interval": _WAIT,
        "max_poll_failures": _COUNT,
        "keep_previous": _COUNT,
        "min_amount": _COUNT,
        "delete_failed": true_or_false,
        "allow_older_run": true_or_false,
        "deferrable": true_or_false,
    }

    keep_previous: int
    delete_failed: bool
    allow_older_run: bool
    min_amount: int
    timeout: float
    poke_interval: float
    max_poke_interval: float
    max_poll_failures: int
    deferrable: bool
