"""
Tries of the tasks that refresh PAI groups, run as two tries at once would, and checks of what must be true of the
groups.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_audiences.exceptions import AudienceError
from airflow_provider_audiences.operators.pai_refresh import PaiReplaceGroupOperator
from airflow_provider_audiences.operators.pai_sync import PaiSyncGroupOperator
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup

if TYPE_CHECKING:
    from airflow_provider_audiences.emulator.testing import AudiencesEmulatorControl

LAST_NUMBERS = ("13900009998", "13900009999")
"""Of the run after the tries at once."""

NAME = "Readers & writers"
PASSED = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    How a try ended: with a report, or with an error.

    :param report: report of a try that succeeded.
    :param error: type and text of the error.
    :param is_final: Airflow would not retry it.
    """

    report: Mapping[str, Any] | None = None
    error: str = ""
    is_final: bool = False


@dataclass(kw_only=True)
class PaiTry:
    """
    One try of a task.

    :param kind: ``sync`` or ``replace``, which says the operator.
    :param run_id: of its DAG run.
    :param numbers: phone numbers of the group.
    :param conn_id: id of the Airflow connection.
    :param deferred: whether it waits in the triggerer.
    :param arguments: further ones of the operator.
    """

    kind: str
    run_id: str
    numbers: Sequence[str]
    conn_id: str = "pai_default"
    deferred: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    pushed: dict[str, Any] = field(default_factory=dict)
    waiting: TaskDeferred | None = None

    def operator(self) -> Any:
        given: dict[str, Any] = {
            "task_id": "refresh",
            "name": NAME,
            "pai_conn_id": self.conn_id,
            "deferrable": self.deferred,
        }
        given |= {"poke_interval": 0.05, "max_poke_interval": 0.05, "timeout": 30} | self.arguments
        if self.kind == "sync":
            return PaiSyncGroupOperator(source=list(self.numbers), max_removed_ratio=None, **given)
        return PaiReplaceGroupOperator(source=0, text=list(self.numbers), phone_number=True, **given)

    def context(self) -> Any:
        ti = types.SimpleNamespace(
            try_number=1, max_tries=0, dag_id="dag", task_id="refresh", run_id=self.run_id, map_index=-1
        )
        ti.xcom_push = lambda *, key, value: self.pushed.update({key: value})
        return {"ti": ti}

    def begin(self) -> Outcome | None:
        """Run it until it waits in the triggerer; return how it ended if it does not get that far."""
        operator = self.operator()
        # Without Airflow's wrapper, which in Airflow 2 works in the main thread only.
        execute = inspect.unwrap(type(operator).execute)
        try:
            return Outcome(report=execute(operator, self.context()))
        except TaskDeferred as deferred:
            self.waiting = deferred
            return None
        except AudienceError as error:
            return _failed(error)

    def resume(self) -> Outcome:
        """Wait as the triggerer does, and go on in another worker, so to speak."""
        assert self.waiting is not None
        _, values = json.loads(json.dumps(self.waiting.trigger.serialize()))
        trigger = type(self.waiting.trigger)(**values)

        async def events() -> list[Any]:
            return [event.payload async for event in trigger.run()]

        [payload] = asyncio.run(events())
        stored = json.loads(json.dumps({"event": payload, **(self.waiting.kwargs or {})}))
        try:
            report = getattr(self.operator(), self.waiting.method_name)(self.context(), **stored)
        except AudienceError as error:
            return _failed(error)
        return Outcome(report=report)

    def run(self) -> Outcome:
        """Run all of it."""
        return self.begin() or self.resume()


def _failed(error: AudienceError) -> Outcome:
    return Outcome(error=f"{type(error).__name__}: {error}", is_final=isinstance(error, AirflowFailException))


class Groups:
    """What the platform has, and what has to be true of it."""

    def __init__(self, emulator: AudiencesEmulatorControl) -> None:
        self._emulator = emulator
        self._was_ready = False

    def all(self) -> list[AudienceGroup]:
        """Return all groups, the oldest first, as the platform made them; the deleted ones included."""
        return [AudienceGroup.from_api(group) for group in self._emulator.groups(deleted=True)]

    def there(self) -> list[AudienceGroup]:
        return [AudienceGroup.from_api(group) for group in self._emulator.groups()]

    def check_that_one_is_ready(self) -> None:
        """Check that there is a group that can be used, once there was one."""
        ready = [group for group in self.there() if group.status == PASSED]
        assert ready or not self._was_ready, "no group is left"
        self._was_ready = bool(ready)

    def check_end(self, tries: Sequence[PaiTry], outcomes: Sequence[Outcome | None], pass_time: Any) -> None:
        """
        Check what is true when tries at once have ended, that Airflow's next tries succeed, and that the next run
        leaves one group.

        :param tries: tries that ran at once.
        :param outcomes: how they ended; None for one whose process was killed.
        :param pass_time: called before each further try.
        """
        self.check_that_one_is_ready()
        assert not [outcome for outcome in outcomes if outcome and outcome.is_final], outcomes
        successes = [outcome for outcome in outcomes if outcome and outcome.report]
        assert successes or None in outcomes, outcomes
        for outcome in successes:
            self.check_success(outcome)
        assert len(self.there()) <= len(tries), "more than one extra"
        for ended, came_to in zip(tries, outcomes, strict=True):
            if came_to not in successes:
                pass_time()
                again = replace(ended, conn_id="pai_default").run()
                assert again.report, again
                self.check_success(again)
        pass_time()
        last = replace(tries[0], run_id="next", numbers=LAST_NUMBERS, conn_id="pai_default").run()
        assert last.report, last
        assert [group.id for group in self.there()] == [last.report["group_id"]]

    def check_success(self, outcome: Outcome) -> None:
        """Check that what a success returned is there, or was replaced by a later one that is."""
        assert outcome.report is not None
        [returned] = [group for group in self.all() if group.id == outcome.report["group_id"]]
        there = self.there()
        is_there = any(group.id == returned.id for group in there)
        assert is_there or any(group.rank > returned.rank and group.status == PASSED for group in there), returned
