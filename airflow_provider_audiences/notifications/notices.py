"""The text of a notice: which audience, what has changed, the numbers, what to do, and where the log is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.notifications.health import AudienceHealth, Change, Observation
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.assets.events import WriteTarget

MAX_MESSAGE_CHARACTERS = 2_000
"""Most characters of a run's message in a notice."""

_COUNTS = ("added", "removed", "refreshed", "unchanged", "suppressed", "sent", "live", "amount", "drift")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """
    A notice, for the templates of notifiers: ``{{ notice.subject }}``, ``{{ notice.body }}``.

    No member and no secret is in it.

    :param subject: one line: which audience, and what has changed.
    :param body: lines of plain text.
    :param changes: what has changed, in words of :class:`~airflow_provider_audiences.notifications.health.Change`.
    :param state: ``ok``, ``stopped`` or ``failed``.
    :param guard: name of the guard that stopped the run; None if none did.
    :param platform: ``applovin`` or ``pai``.
    :param kind: ``audience``, ``suppression_list`` or ``group``.
    :param name: id or name, as the task was given it.
    :param asset: URI of the asset; empty if templates, which can't be rendered, say which it is.
    :param log_url: address of the task's log.
    """

    subject: str
    body: str
    changes: tuple[str, ...]
    state: str
    guard: str | None
    platform: str
    kind: str
    name: str
    asset: str
    log_url: str


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """
    The run that a notice is about.

    :param write: what the task writes to.
    :param asset: URI of its asset; None if templates, which can't be rendered, say which it is.
    :param observation: what the run has shown.
    :param message: how the run has ended, in words.
    :param report: counts of the run, or of the plan that a guard has stopped; None if there are none.
    :param ti: task instance.
    :param configuration: configuration by which one run passes the guards that have stopped this one, as JSON; None if
        there is none.
    """

    write: WriteTarget
    asset: str | None
    observation: Observation
    message: str
    report: Mapping[str, Any] | None
    ti: Any
    configuration: str | None = None

    def notice(self, found: Sequence[Change], before: AudienceHealth | None, now: AudienceHealth) -> Notice:
        """
        Return the notice of this run.

        :param found: what has changed, the most important first.
        :param before: the state that was told last; None if none was.
        :param now: the state now.
        """
        kind = self.write.target_kind
        headlines = "; ".join(self._headline(change, now) for change in found)
        log_url = str(getattr(self.ti, "log_url", ""))
        lines = [
            f"{kind.title} {self.write.target} at {kind.platform.title}, connection {self.write.conn_id}",
            f"Before: {_state_text(before)}" if before else "",
            f"Now: {_state_text(now)}. {_shortened(self.message)}",
            *(self._explanation(change, now) for change in found),
            self._override_hint(found),
            self._counts(),
            f"DAG {self.ti.dag_id}, task {self.ti.task_id}, run {self.ti.run_id}",
            f"Log: {log_url}" if log_url else "",
        ]
        return Notice(
            subject=f"{kind.title} {self.write.target}: {headlines}",
            body="\n".join(line for line in lines if line),
            changes=tuple(change.value for change in found),
            state=now.state,
            guard=now.guard,
            platform=kind.platform.name,
            kind=kind.name,
            name=self.write.target,
            asset=self.asset or "",
            log_url=log_url,
        )

    def _headline(self, change: Change, now: AudienceHealth) -> str:
        if change is Change.STOPPED:
            return f"stopped by {now.guard}" if now.guard else "stopped by a guard"
        if change is Change.EXPIRY_NEAR:
            return f"members expire from {_day(now.first_expiry)} on"
        return {
            Change.OK: "ok again",
            Change.FAILED: "failed",
            Change.DRIFT_BEGAN: "the platform counts otherwise",
            Change.DRIFT_ENDED: "the platform counts the same again",
        }[change]

    def _explanation(self, change: Change, now: AudienceHealth) -> str:
        if change is Change.EXPIRY_NEAR:
            return (
                f"Members begin to expire at {_moment(now.first_expiry)}, unless a run succeeds before: it sends "
                "those again who must stay."
            )
        live, drift = self.observation.live, self.observation.drift
        if change is Change.DRIFT_BEGAN and live is not None and drift is not None:
            return (
                f"{self.write.target_kind.platform.title} counts {counted(live + drift, 'member')}, "
                f"and the ledger {live:,}. The platform's count may lag; if that stays so, somebody else changes this "
                "audience, or the platform does not take some of its members."
            )
        return ""

    def _override_hint(self, found: Sequence[Change]) -> str:
        configuration = self.configuration if Change.STOPPED in found else None
        return (
            f"If the change is meant, trigger one run with the configuration {configuration}." if configuration else ""
        )

    def _counts(self) -> str:
        report = self.report or {}
        counts = [
            f"{name} {report[name]:,}"
            for name in _COUNTS
            if isinstance(report.get(name), int) and not isinstance(report[name], bool)
        ]
        if not counts:
            return ""
        return f"{'The plan' if self.observation.state == 'stopped' else 'Counts'}: {', '.join(counts)}"


def _state_text(state: AudienceHealth) -> str:
    guard = f" by {state.guard}" if state.guard else ""
    return f"{state.state}{guard}, since {_moment(state.since)}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else f"{line[: MAX_MESSAGE_CHARACTERS - 1]}…"


def _moment(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds or 0, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _day(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds or 0, UTC).date().isoformat()
