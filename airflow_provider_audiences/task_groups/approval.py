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

from airflow_provider_audiences.exceptions import GuardError
from airflow_provider_audiences.operators.target_mixin import TargetMixin

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_provider_audiences.common.targets import TargetKind

_COUNTS = ("added", "removed", "refreshed", "unchanged", "suppressed", "held_back", "live", "planned_requests")

_REJECTED = "the plan was rejected; nothing was sent"
_NEXT_RUN = "The next run makes a new plan."


class PlanApprovalOperator(TargetMixin, ApprovalOperator):
    """
    Ask a person whether a plan is to be carried out, if a guard objects to it; else go on at once.

    If nobody answers within ``response_timeout``, the task fails, and is not tried again. An ``AudienceStateNotifier``
    in ``on_failure_callback`` is called when the question is asked, and one in any callback when the task has ended:
    the audience is then stopped by the guard that objects.

    :param report: report of the task that has made the plan (templated).
    :param about: what the plan is for, as the question calls it (templated).
    :param target_kind: what the plan is for: an audience or a suppression list.
    :param target: id or name of what the plan is for (templated).
    :param conn_id: connection of the task that carries the plan out (templated).
    :param account: what tells accounts of the platform apart in the asset's URI (templated); None (default) for the
        connection.
    :param asset: asset that the plan is for; None (default) for the one that the other arguments name.
    """

    template_fields: Sequence[str] = ("report", "about", "target", "account", "conn_id")
    operation = "apply"
    target_arguments = ("target",)

    @classmethod
    def conn_argument(cls) -> str:
        """Return the name of the argument with the connection."""
        return "conn_id"

    def __init__(
        self,
        *,
        report: Any,
        about: Any,
        target_kind: TargetKind,
        target: Any,
        conn_id: str,
        account: str | None = None,
        asset: Asset | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(subject="", **kwargs)
        self.report = report
        self.about = about
        self.target_kind = target_kind
        self.target = target
        self.conn_id = conn_id
        self.account = account
        self.asset = asset

    def execute(self, context: Context) -> Any:
        """Ask, if there is an objection."""
        from airflow_provider_audiences.notifications.notifier import AudienceStateNotifier

        objections = self._objections
        if not objections:
            self.log.info("No guard objects to plan %s: nobody is asked.", self.report["plan_id"])
            return None
        self.subject = f"{self.about}: {', '.join(verdict['guard'] for verdict in objections)} would stop this sync"
        self.body = _question(self.report)
        self._leave_stop(context, "a person is asked, under Required Actions; nothing is sent before the answer is yes")
        # Airflow calls no callback while a task waits, and calls these once the question is stored.
        callbacks = self.on_failure_callback
        listed = callbacks if isinstance(callbacks, Sequence) else [callbacks]
        self.notifiers = [
            *self.notifiers,
            *(callback for callback in listed if isinstance(callback, AudienceStateNotifier)),
        ]
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """
        Go on with the answer.

        :param context: context of the task.
        :param event: the answer, from Airflow.
        :raises AirflowFailException: nobody has answered in time, or the answer was no and ``fail_on_reject`` is set.
        """
        try:
            answer = super().execute_complete(context, event)
        except HITLTimeoutError:
            raise AirflowFailException(
                "nobody has answered in time; nothing was sent. The next run makes a new plan, and asks again"
            ) from self._stop("nobody has answered in time; nothing was sent")
        except HITLRejectException:
            raise AirflowFailException(_REJECTED) from self._stop(_REJECTED)
        if self.REJECT in answer["chosen_options"]:
            self._leave_stop(context, _REJECTED)
        return answer

    @property
    def _objections(self) -> list[Mapping[str, Any]]:
        return [verdict for verdict in self.report["verdicts"] if not verdict["passed"]]

    def _stop(self, reason: str) -> GuardError:
        """Return the error that the first guard that objects would have raised."""
        verdict = self._objections[0]
        error = GuardError(f"stopped by {verdict['guard']}: {verdict['message']}; {reason}", advice=_NEXT_RUN)
        error.guard = verdict["guard"]
        error.report = self.report
        return error

    def _leave_stop(self, context: Context, reason: str) -> None:
        """Leave to callbacks that a guard has stopped the plan."""
        from airflow_provider_audiences.assets.state import Result, TaskOutcome, put_outcome

        outcome = TaskOutcome.of_error(self._stop(reason), operation=self.operation)
        put_outcome(context, outcome, Result(report=self.report))


def _question(report: Mapping[str, Any]) -> str:
    """Return the plan's counts and all verdicts, in Markdown."""
    verdicts = sorted(report["verdicts"], key=lambda verdict: bool(verdict["passed"]))
    lines = [
        "| members | |",
        "|---|---:|",
        *(f"| {name.replace('_', ' ')} | {report[name]:,} |" for name in _COUNTS),
        "",
        *(
            f"- {'yes' if verdict['passed'] else '**no**'}: {verdict['message']} (`{verdict['guard']}`)"
            for verdict in verdicts
        ),
        "",
        f"*Approve* sends exactly this plan (`{report['plan_id']}`), whatever has become of the source.",
        "*Reject* sends nothing; the next run makes a new plan.",
    ]
    return "\n".join(lines)
