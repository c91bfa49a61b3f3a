"""Guards: limits that a plan must keep before anything is sent."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_audiences.exceptions import GuardError
from airflow_provider_audiences.validation import Checked, Rules, count_limit, ratio, true_or_false, whole_number
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.staging import StagedMembers
    from airflow_provider_audiences.sync.plan import PlanCounts
    from airflow_provider_audiences.sync.run_date import RunDate

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """
    What a guard says about a plan.

    :param guard: name of the operator's argument that sets the guard.
    :param passed: whether the plan keeps the guard's limit.
    :param message: what the plan would do, and what the limit is.
    """

    guard: str
    passed: bool
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {"guard": self.guard, "passed": self.passed, "message": self.message}


@dataclass(frozen=True, kw_only=True)
class Guards(Checked):
    """
    Limits, as numbers or as texts of them. None, or the word ``off``, is no limit.

    :param allow_empty: whether an audience may be left without members.
    :param max_removed_ratio: removed members, as a part of those known to be in the audience; from 0 to 1.
    :param max_added_ratio: new members, as a part of those that may be in it; 0 or more. An audience without members
        has no such limit.
    :param max_removed: removed members; 0 or more.
    :param max_added: new members; 0 or more.
    :param min_members: wanted members; at least 0.
    :param min_suppressed: members that must not be in the audience; at least 0.
    :raises InvalidInputError: an argument is wrong.
    """

    RULES: ClassVar[Rules] = {
        "allow_empty": true_or_false,
        "max_removed_ratio": partial(ratio, at_most=1),
        "max_added_ratio": ratio,
        "max_removed": count_limit,
        "max_added": count_limit,
        "min_members": partial(whole_number, at_least=0),
        "min_suppressed": partial(whole_number, at_least=0),
    }

    allow_empty: bool
    max_removed_ratio: float | None
    max_added_ratio: float | None
    min_members: int
    min_suppressed: int = 0
    max_removed: int | None = None
    max_added: int | None = None

    @property
    def limits(self) -> dict[str, float | None]:
        """The limits that bound an audience's size, by name; None for no limit."""
        return {
            "max_removed_ratio": self.max_removed_ratio,
            "max_added_ratio": self.max_added_ratio,
            "min_members": self.min_members,
        }

    def verdicts(
        self, counts: PlanCounts, *, suppress_members: int = 0, replaced_members: int | None = None
    ) -> list[Verdict]:
        """
        Return the verdict of each guard.

        :param counts: counts of the plan.
        :param suppress_members: number of distinct members of the opt-out list.
        :param replaced_members: the platform's count of the members whom the plan replaces, where the ledger may lack
            some of them; None (default) if it knows all of them, or the platform does not count.
        """
        wanted = counts.wanted
        # Additions that an interrupted run may have made are not counted: that run's guards have checked them. Removals
        # that it may have made are: nobody knows whether they are done.
        removals, live = counts.surely_live_removed, counts.surely_live
        if replaced_members is not None:
            # At least so many.
            removals, live = max(removals, replaced_members - wanted), max(live, replaced_members)
        removed = _ratio_verdict("max_removed_ratio", self.max_removed_ratio, "remove", removals, live)
        added = _ratio_verdict("max_added_ratio", self.max_added_ratio, "add", counts.surely_new, counts.maybe_live)
        return [
            Verdict(
                guard="allow_empty",
                passed=bool(wanted) or self.allow_empty,
                message=counted(wanted, "member is wanted", "members are wanted")
                if wanted
                else "no member of the source is wanted in the audience",
            ),
            Verdict(
                guard="min_members",
                passed=wanted >= self.min_members,
                message=f"{counted(wanted, 'member is wanted', 'members are wanted')}, and at least "
                f"{counted(self.min_members, 'is', 'are')} expected",
            ),
            removed,
            added,
            _count_verdict("max_removed", self.max_removed, "remove", removals),
            _count_verdict("max_added", self.max_added, "add", counts.surely_new),
            Verdict(
                guard="min_suppressed",
                passed=suppress_members >= self.min_suppressed,
                message=f"suppress has {counted(suppress_members, 'member')}, and at least "
                f"{counted(self.min_suppressed, 'is', 'are')} expected",
            ),
        ]

    def verdicts_by_count(self, counts: PlanCounts, count: int | None) -> list[Verdict]:
        """
        Return the verdict of each guard by the platform's count of members, where no ledger says who is there.

        A guard that needs the count stops the changes if the platform does not say it. Guards of what a source has as a
        whole are left out.

        :param counts: how many members are added, refreshed and removed.
        :param count: the platform's count; None if it does not say.
        """
        members = count or 0
        by_count = replace(
            counts,
            unchanged=max(0, members - counts.refreshed - counts.removed),
            maybe_live=members,
            surely_live=members,
            surely_new=counts.added,
            surely_live_removed=counts.removed,
        )
        need_count = {name for name, limit in self.limits.items() if limit is not None} - {"min_members"}
        if self.min_members:
            need_count.add("min_members")
        return [
            replace(verdict, passed=False, message="the platform does not say how many members there are")
            if count is None and verdict.guard in need_count
            else verdict
            for verdict in self.verdicts(by_count)
            if verdict.guard not in {"allow_empty", "min_suppressed"}
        ]


def suppress_verdict(opt_outs: StagedMembers | None) -> Verdict:
    """
    Return how many opt-outs were read, as a verdict that always passes.

    Unreadable texts have raised an error earlier, unless the user allowed them.

    :param opt_outs: the opt-out list, staged; None if there is none.
    """
    if opt_outs is None:
        message = "there is no suppress"
    else:
        read = counted(opt_outs.members, "member of suppress was", "members of suppress were")
        message = f"{read} read, and {counted(opt_outs.malformed, 'text')} could not be"
    return Verdict(guard="suppress_on_malformed", passed=True, message=message)


def older_run_verdict(run: RunDate | None, last: RunDate | None, *, is_allowed: bool, changes_nothing: bool) -> Verdict:
    """
    Return the verdict on whether a run may undo changes of a newer run.

    :param run: dates of this run; None if it has no logical date: then it passes.
    :param last: dates of the newest run that has synced the audience; None if they are not known: then it passes.
    :param is_allowed: whether the user allows it (``allow_older_run``).
    :param changes_nothing: whether the plan is empty: then it passes.
    """
    if run is None or last is None:
        message = "this run, or the one that last synced the audience, has no logical date"
    elif not run.is_older_than(last):
        message = f"no newer run than that of {run.text} has synced the audience"
    else:
        message = f"this run is that of {run.text}, and the newer one of {last.text} has synced the audience since"
        return Verdict(guard="allow_older_run", passed=is_allowed or changes_nothing, message=message)
    return Verdict(guard="allow_older_run", passed=True, message=message)


def log_verdicts(verdicts: Iterable[Verdict]) -> None:
    """
    Log what each guard says, one line each.

    :param verdicts: verdicts of the guards.
    """
    for verdict in verdicts:
        if verdict.passed:
            log.info("  passed: %s: %s", verdict.guard, verdict.message)
        else:
            log.warning("  STOPPED: %s: %s", verdict.guard, verdict.message)


def refuse_unless_passed(
    verdicts: Iterable[Verdict], *, not_done: str = "nothing was sent", report: Mapping[str, Any] | None = None
) -> None:
    """
    Raise an error if a guard has failed.

    :param verdicts: verdicts of all guards.
    :param not_done: end of the message: what was not done.
    :param report: counts of the plan that the guards have checked, as JSON, for the error; None for none.
    :raises GuardError: at least one guard has failed; the message names all of these.
    """
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        messages = "; ".join(f"{verdict.message} ({verdict.guard})" for verdict in failed)
        error = stopped_by(failed[0].guard, f"{messages}; {not_done}")
        error.report = report
        raise error


def stopped_by(guard: str, message: str) -> GuardError:
    """
    Return the error of a guard that stops a sync.

    :param guard: name of the operator's argument that sets the guard.
    :param message: what the guard says, and what was not done.
    """
    error = GuardError(f"stopped by {guard}: {message}")
    error.guard = guard
    return error


def _count_verdict(guard: str, limit: int | None, verb: str, count: int) -> Verdict:
    allowed = "no limit is set" if limit is None else f"at most {counted(limit, 'is', 'are')} allowed"
    message = f"the plan would {verb} {counted(count, 'member')}, and {allowed}"
    return Verdict(guard=guard, passed=limit is None or count <= limit, message=message)


def _ratio_verdict(guard: str, limit: float | None, verb: str, count: int, of_members: int) -> Verdict:
    share = count / of_members if of_members else 0.0
    if not of_members:
        message = f"the plan would {verb} {counted(count, 'member')}, and nobody is known to be there: no limit applies"
    else:
        preposition = "of" if verb == "remove" else "to"
        allowed = "no limit is set" if limit is None else f"at most {limit:.1%} is allowed"
        change = f"{verb} {count:,} {preposition} {counted(of_members, 'member')} ({share:.1%})"
        message = f"the plan would {change}, and {allowed}"
    return Verdict(guard=guard, passed=limit is None or share <= limit, message=message)
