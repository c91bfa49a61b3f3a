"""
The task that asks a person about a plan, if a guard objects to it.

For Airflow 3.1 and newer, which has operators with a human in the loop; older versions can't import this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_COUNTS = ("added", "removed", "refreshed", "unchanged", "suppressed", "held_back", "live", "planned_requests")


class PlanApprovalOperator(ApprovalOperator):
    """
    Ask a person whether a plan is to be carried out, if a guard objects to it; else go on at once.

    If nobody answers within ``response_timeout``, the task fails, and is not tried again.

    :param report: report of the task that has made the plan (templated).
    :param about: what the plan is for, as the question calls it (templated).
    """

    template_fields: Sequence[str] = ("report", "about")

    def __init__(self, *, report: Any, about: Any, **kwargs: Any) -> None:
        super().__init__(subject="", **kwargs)
        self.report = report
        self.about = about

    def execute(self, context: Context) -> Any:
        """Ask, if there is an objection."""
        objections = [verdict for verdict in self.report["verdicts"] if not verdict["passed"]]
        if not objections:
            self.log.info("No guard objects to plan %s: nobody is asked.", self.report["plan_id"])
            return None
        self.subject = f"{self.about}: {', '.join(verdict['guard'] for verdict in objections)} would stop this sync"
        self.body = _question(self.report)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """
        Go on with the answer.

        :param context: context of the task.
        :param event: the answer, from Airflow.
        :raises AirflowFailException: nobody has answered in time, or the answer was no and ``fail_on_reject`` is set.
        """
        try:
            return super().execute_complete(context, event)
        except HITLTimeoutError:
            raise AirflowFailException(
                "nobody has answered in time; nothing was sent. The next run makes a new plan, and asks again"
            ) from None
        except HITLRejectException:
            raise AirflowFailException("the plan was rejected; nothing was sent") from None


def _question(report: Mapping[str, Any]) -> str:
    """Return the plan's counts and all verdicts, in Markdown."""
    verdicts = sorted(report["verdicts"], key=lambda verdict: bool(verdict["passed"]))
    lines = [
        "| members | |",
        "|---|---:|",
        *(f"| {name.replace('_', ' ')} | {report[name]:,} |" for name in _COUNTS),
        "",
        *(f"- {'yes' if one['passed'] else '**no**'}: {one['message']} (`{one['guard']}`)" for one in verdicts),
        "",
        f"*Approve* sends exactly this plan (`{report['plan_id']}`), whatever has become of the source.",
        "*Reject* sends nothing; the next run makes a new plan.",
    ]
    return "\n".join(lines)
