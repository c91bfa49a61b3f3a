"""The arguments that all operators share which refresh PAI audience groups, with the rule of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from airflow_provider_audiences.validation import Checked, Rules, seconds, true_or_false, whole_number

_LONGEST_SECONDS = 366 * 24 * 3600
_COUNT = partial(whole_number, at_least=0)
_WAIT = partial(seconds, above=0, at_most=_LONGEST_SECONDS)


@dataclass(frozen=True, kw_only=True)
class RefreshArguments(Checked):
    """
    What becomes of the groups, and how the new one is waited for.

    :param keep_previous: how many of the groups that are replaced stay.
    :param delete_failed: whether a new group is deleted that is rejected or late.
    :param allow_older_run: whether a run may replace what a newer one has made.
    :param min_amount: least number of people.
    :param timeout: how long to wait, in seconds; at most 366 days.
    :param poke_interval: pause before the first poll, in seconds.
    :param max_poke_interval: what the pause grows to, in seconds.
    :param max_poll_failures: transient failures of polls in a row that are borne.
    :param deferrable: whether the triggerer waits.
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
