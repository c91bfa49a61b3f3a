"""
Whatever happens, in whatever order: the next run that succeeds leaves the audience as its source says.

The machine changes the source, moves the clock, lets runs fail or die at any request and at any call to the folder
of state, holds requests back and lets them take effect later, and lets somebody else add members. The model knows
who was sent and what was written down, and with that which requests may be made, and which may not.

``AUDIENCES_MACHINE_EXAMPLES=2000`` runs it long.
"""

import contextlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.fixtures import MakeIds

from airflow_provider_audiences.exceptions import (
    AudienceError,
    GuardError,
    LedgerLostError,
    PlanOutdatedError,
    StateUnavailableError,
)
from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS

EXAMPLES = int(os.environ.get("AUDIENCES_MACHINE_EXAMPLES", "25"))
STEPS = int(os.environ.get("AUDIENCES_MACHINE_STEPS", "25"))

PEOPLE = range(12)
STRANGERS = range(12, 15)
EFFECT_SECONDS = 100
"""For so long after it was sent a request may take effect: the platform's time limit."""

TTL_SECONDS = 100_000
REFRESH_SECONDS = TTL_SECONDS // 10
MOVES = (10, 60, REFRESH_SECONDS // 3, REFRESH_SECONDS, TTL_SECONDS - REFRESH_SECONDS + 100, TTL_SECONDS + 200)

people = st.sets(st.sampled_from(PEOPLE))
few_people = st.sets(st.sampled_from(PEOPLE), max_size=3)
modes = st.sampled_from(("mirror", "mirror", "mirror", "append", "replace"))


class Killed(BaseException):
    """The process is dead: nothing of it runs on."""


@dataclass(frozen=True)
class Trouble:
    """
    What goes wrong in a run.

    ``where`` is ``wire``, ``folder`` or ``emulator``; ``number`` counts requests or calls from 1.
    """

    where: str
    kind: str
    number: int
    options: tuple[tuple[str, Any], ...] = ()


WIRE_TROUBLES = (
    "killed before", "killed after", "killed, late", "lost before", "lost after", "lost, late",
)  # fmt: skip
FOLDER_TROUBLES = (
    "killed before", "killed after", "fails before", "fails after", "fails from here",
)  # fmt: skip
EMULATOR_TROUBLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 503, "applied": True}),
    ("status", {"status": 500, "applied": True, "times": 9}),
    ("status", {"status": 413}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("wrong_counts", {}),
    ("truncated_json", {}),
)

troubles = st.one_of(
    st.none(),
    st.builds(Trouble, st.just("wire"), st.sampled_from(WIRE_TROUBLES), st.integers(1, 4)),
    st.builds(
        Trouble, st.just("wire"), st.sampled_from([kind for kind in WIRE_TROUBLES if "late" in kind]), st.just(1)
    ),
    st.builds(Trouble, st.just("folder"), st.sampled_from(FOLDER_TROUBLES), st.integers(1, 30)),
    st.builds(
        lambda fault, number: Trouble("emulator", fault[0], number, tuple(fault[1].items())),
        st.sampled_from(EMULATOR_TROUBLES),
        st.integers(1, 6),
    ),
)


@dataclass
class Late:
    """A request that was sent, and takes effect later."""

    post: Any
    until: float


@contextlib.contextmanager
def failing_the_test() -> Iterator[None]:
    """Without trouble, no run may fail."""
    try:
        yield
    except (AudienceError, Killed) as error:
        raise AssertionError(f"failed without trouble: {error}") from error


class World(RuleBasedStateMachine):
    """The platform, the runs, and what is known to be true."""

    make_synced: Callable[..., Any]
    ids: list[str]
    counts: Counter[str]
    patch: pytest.MonkeyPatch

    @initialize(
        initial=st.sampled_from(("append", "replace")),
        retries=st.sampled_from((0, 1)),
        strangers=st.sets(st.sampled_from((*STRANGERS, 0, 1))),
        source=people,
    )
    def begin(self, initial: str, retries: int, strangers: set[int], source: set[int]) -> None:
        self.lock = threading.RLock()
        self.thread = threading.local()
        self.counts["examples"] += 1
        self.audience = self.make_synced(max_retries=retries)
        self.audience.emulator.freeze()
        self.retries, self.initial = retries, initial
        self.may_replace = initial == "replace"
        self.source, self.suppress = self.named(source), set[str]()
        self.tries = 0
        # What the model knows.
        self.added: dict[str, float] = {}  # written down as sent, and when that plan began
        self.removed: set[str] = set()  # written down as removed
        self.ever_planned: set[str] = set()
        self.ever_opted_out: set[str] = set()  # when a plan was begun: their removal may have no known outcome
        self.strangers: dict[str, float] = {}  # who lives without the sync, until when
        self.late: list[Late] = []
        self.stable: set[str] = set()
        self.succeeded_at: float | None = None
        self.replacement: set[str] | None = None  # begun, its update written down, and not finished
        # Of the run.
        self.mode, self.plan_began, self.wanted_now = "mirror", 0.0, set[str]()
        self.is_dead = self.is_updated = False
        self.trouble: Trouble | None = None
        self.posts = self.calls = 0
        self.late_at = 0
        self.sends: Counter[tuple[str, str]] = Counter()
        if strangers:
            self.add_strangers(strangers)

    def named(self, numbers: Any) -> set[str]:
        return {self.ids[number] for number in numbers}

    @property
    def wanted(self) -> set[str]:
        return self.source - self.suppress

    @property
    def now(self) -> float:
        return float(self.audience.emulator.now())

    @property
    def living_strangers(self) -> set[str]:
        now = self.now
        return {item for item, until in self.strangers.items() if until > now}

    # What happens

    @rule(added=few_people, removed=few_people)
    def change_source(self, added: set[int], removed: set[int]) -> None:
        self.source = (self.source | self.named(added)) - self.named(removed - added)
        self.stable &= self.wanted

    @rule(suppress=few_people)
    def change_suppress(self, suppress: set[int]) -> None:
        self.suppress = self.named(suppress)
        self.stable &= self.wanted

    @rule(seconds=st.sampled_from(MOVES))
    def wait(self, seconds: int) -> None:
        self.advance(seconds)

    @rule(numbers=st.sets(st.sampled_from((*STRANGERS, *PEOPLE[:4])), min_size=1))
    def add_strangers(self, numbers: set[int]) -> None:
        """Somebody else adds members, perhaps some that the sync knows."""
        ids = self.named(numbers)
        self.audience.post_by_others("append", sorted(ids), ttl_seconds=TTL_SECONDS)
        until = self.now + TTL_SECONDS
        self.strangers |= dict.fromkeys(ids, until)

    @rule()
    def let_late_requests_take_effect(self) -> None:
        self.deliver_late()

    @rule(
        mode=modes,
        trouble=troubles,
        late_at=st.integers(0, 3),
        batch=st.sampled_from((2, 3)),
        parallel=st.sampled_from((1, 3)),
        limit=st.sampled_from((None, None, 1)),
        again=st.booleans(),
    )
    def run(
        self,
        mode: str,
        trouble: Trouble | None,
        late_at: int,
        batch: int,
        parallel: int,
        limit: int | None,
        again: bool,
    ) -> None:
        opened = {"batch": batch, "parallel": parallel}
        self.start(mode, trouble, late_at, limit)

        def work() -> None:
            self.audience.run(
                self.source,
                suppress=self.suppress,
                mode=mode,
                initial=self.initial,
                opened=opened | self.next_try(),
            )

        if self.succeeds(work) and again:
            self.run_again("mirror" if mode == "replace" else mode, opened)

    @rule(
        mode=modes,
        troubles=st.lists(troubles, min_size=1, max_size=3),
        late_at=st.integers(0, 3),
        parallel=st.sampled_from((1, 3)),
        seconds=st.sampled_from((0, 10, 1000)),
        is_run_between=st.booleans(),
    )
    def plan_and_apply(
        self,
        mode: str,
        troubles: list[Trouble | None],
        late_at: int,
        parallel: int,
        seconds: int,
        is_run_between: bool,
    ) -> None:
        opened = {"batch": 2, "parallel": parallel}
        self.start(mode, None, 0, None)
        report = self.audience.run(
            self.source,
            suppress=self.suppress,
            mode=mode,
            initial=self.initial,
            plan_only=True,
            opened=opened | self.next_try(),
        )
        assert self.posts == 0
        if seconds:
            self.advance(seconds)
        if is_run_between:
            between: list[int] = []
            self.start("mirror", None, 0, None)
            self.succeeds(
                lambda: between.append(
                    self.audience.run(
                        self.source, suppress=self.suppress, initial=self.initial, opened=self.next_try()
                    ).generation
                )
            )
            if between != [report.generation]:
                with pytest.raises(PlanOutdatedError):
                    self.audience.apply(report.plan_id, **self.next_try())
                return
            self.start(mode, None, late_at, None)
            self.is_plan_stored, self.replaces = True, report.replaces
        for trouble in troubles:
            self.start(mode, trouble, late_at, None, keeps_plan=True)
            if self.succeeds(lambda: self.audience.apply(report.plan_id, **opened, **self.next_try())):
                self.counts["applied"] += 1
                self.start(mode, None, 0, None, keeps_plan=True)
                self.audience.apply(report.plan_id, **opened, **self.next_try())
                assert self.posts == 0
                return

    # How a run goes

    def next_try(self) -> dict[str, Any]:
        self.tries += 1
        return {"try_number": self.tries}

    def start(
        self, mode: str, trouble: Trouble | None, late_at: int, limit: int | None, *, keeps_plan: bool = False
    ) -> None:
        self.audience.clear()
        self.counts["runs"] += 1
        self.end()
        if self.late:
            # What comes late goes to the emulator as well, and is not to be hit.
            limit, trouble = None, None if trouble and trouble.where == "emulator" else trouble
        self.mode, self.trouble, self.late_at = mode, trouble, late_at
        self.may_replace |= mode == "replace"
        if not keeps_plan:
            self.plan_began = self.now
        self.wanted_now = self.wanted
        self.posts = self.calls = 0
        self.is_dead = self.is_updated = False
        if not keeps_plan:
            self.is_plan_stored = self.is_begun = self.replaces = False
        self.thread = threading.local()
        self.sends.clear()
        self.limit = limit
        self.patch.setattr(
            AudienceDestination, "limits", replace(AUDIENCE_LIMITS, min_split_size=1 if limit else 1_000)
        )
        self.before = set(self.audience.members)
        audience = self.audience
        audience.wire.before, audience.wire.after = self.before_post, self.after_post
        audience.folder.before, audience.folder.after = self.before_call, self.after_call
        if limit:
            audience.emulator.settings(max_body_ids=limit)
        if trouble and trouble.where == "emulator":
            options = {"number": trouble.number, **dict(trouble.options)}
            audience.emulator.fault("applovin.append", trouble.kind, **options)
            audience.emulator.fault("applovin.update", trouble.kind, **options)

    def end(self) -> None:
        """Let the emulator be well again."""
        self.audience.emulator.clear_faults()
        self.audience.emulator.settings(max_body_ids=None)

    def succeeds(self, work: Callable[[], Any]) -> bool:
        """Run it; if it comes to its end, everything is as it should be."""
        is_continued = self.replacement == self.wanted
        self.audience.sleep = self.sleep
        try:
            with contextlib.nullcontext() if self.trouble else failing_the_test():
                work()
        except (GuardError, LedgerLostError, PlanOutdatedError):
            raise
        except (AudienceError, Killed) as error:
            self.counts[f"ended by {type(error).__name__}"] += 1
            return False
        finally:
            self.end()
            self.forget_what_is_gone()
        self.counts[f"succeeded: {self.mode}{', in spite of trouble' if self.trouble else ''}"] += 1
        if self.mode == "replace":
            assert self.is_updated != is_continued
        self.replacement = None
        self.stable, self.succeeded_at = self.wanted, self.now
        self.check_equality()
        if self.late:
            self.counts["succeeded with a request still to come"] += 1
            self.deliver_late()
            self.check_equality()
        return True

    def run_again(self, mode: str, opened: dict[str, Any]) -> None:
        """An unchanged source makes no request."""
        self.start(mode, None, 0, None)
        report = self.audience.run(
            self.source, suppress=self.suppress, mode=mode, initial=self.initial, opened=opened | self.next_try()
        )
        assert self.posts == 0
        assert (report.added, report.refreshed, report.removed) == (0, 0, 0)

    def check_equality(self) -> None:
        live = set(self.audience.members)
        if self.mode == "append":
            assert self.wanted <= live
            assert live & self.suppress <= self.living_strangers
            # What expired while the run waited is not its work.
            kept = self.before - self.suppress - self.added.keys()
            expiries = self.audience.emulator.member_expiries(self.audience.audience_id)
            assert {item for item in kept if item in self.living_strangers} <= expiries.keys()
        else:
            assert live == self.wanted | self.living_strangers

    @invariant()
    def stable_members_live(self) -> None:
        if self.succeeded_at is not None and self.now - self.succeeded_at <= REFRESH_SECONDS:
            assert self.stable <= set(self.audience.members)

    # The clock, and what comes late

    def sleep(self, seconds: float) -> None:
        self.audience.sleeps.append(seconds)
        self.counts["waited"] += 1
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        self.deliver_late(until=end)
        self.audience.emulator.set_clock(end)

    def deliver_late(self, *, until: float | None = None) -> None:
        with self.lock:
            due = [late for late in self.late if until is None or late.until <= until]
            self.late = [late for late in self.late if late not in due]
            for late in due:
                self.counts["took effect late"] += 1
                self.audience.post_by_others(late.post.operation, late.post.ids, ttl_seconds=late.post.ttl_seconds)
                if late.post.operation == "update":
                    self.forget_what_is_gone(is_updated=True)

    def forget_what_is_gone(self, *, is_updated: bool = False) -> None:
        """An update takes strangers out, and may do so: who it was that sent it is checked before."""
        if self.is_updated or is_updated:
            live = set(self.audience.members)
            self.strangers = {item: until for item, until in self.strangers.items() if item in live}

    # The model: which requests may be made

    def before_post(self, post: Any) -> None:
        with self.lock:
            if self.is_dead:
                raise Killed
            self.posts += 1
            self.thread.post = None
            if self.posts == self.late_at:
                self.deliver_late()
            trouble = self.trouble_at("wire", self.posts)
            if trouble == "killed before":
                self.is_dead = True
                raise Killed
            self.check_post(post)
            if trouble == "lost before":
                raise requests.ConnectionError("lost")
            if trouble in {"killed, late", "lost, late"}:
                self.late.append(Late(post, self.now + EFFECT_SECONDS))
                if trouble == "lost, late":
                    raise requests.ConnectionError("lost")
                self.is_dead = True
                raise Killed

    def after_post(self, post: Any) -> None:
        with self.lock:
            trouble = self.trouble_at("wire", self.posts)
            if trouble == "killed after":
                self.is_dead = True
                raise Killed
            if trouble == "lost after":
                raise requests.ConnectionError("lost")
            self.thread.post = post if post.status == 200 else None

    def before_call(self, _method: str, _name: str) -> None:
        with self.lock:
            if self.is_dead:
                raise Killed
            self.calls += 1
            trouble = self.trouble_at("folder", self.calls)
            if trouble == "killed before":
                self.is_dead = True
                raise Killed
            is_down = self.trouble and self.trouble.kind == "fails from here" and self.calls >= self.trouble.number
            if trouble == "fails before" or is_down:
                raise StateUnavailableError("the folder fails")

    def after_call(self, method: str, name: str) -> None:
        with self.lock:
            post = getattr(self.thread, "post", None)
            if method == "write" and name.startswith("plan-"):
                self.is_plan_stored = True
                self.replaces = json.loads(self.audience.folder.inner.read(name))["replaces"]
            if method == "create" and name.startswith("head-"):
                if self.is_plan_stored and not self.is_begun:
                    self.is_begun = True
                    self.begin_plan()
                if post:
                    self.thread.post = None
                    self.write_down(post)
            trouble = self.trouble_at("folder", self.calls)
            if trouble == "killed after":
                self.is_dead = True
                raise Killed
            if trouble == "fails after":
                raise StateUnavailableError("the folder fails")

    def trouble_at(self, where: str, number: int) -> str:
        trouble = self.trouble
        return trouble.kind if trouble and (trouble.where, trouble.number) == (where, number) else ""

    def check_post(self, post: Any) -> None:
        ids = set(post.ids)
        assert len(ids) == len(post.ids)
        assert post.ttl_seconds == (0 if post.operation == "remove" else TTL_SECONDS)
        for item in ids:
            self.sends[post.operation, item] += 1
        if self.limit is None:  # else smaller requests repeat it
            assert max(self.sends.values(), default=0) <= 1 + self.retries
        if post.operation == "update":
            # Only where it is asked for, or was and did not land; and never over what was written down in a
            # replacement that goes on.
            assert self.mode == "replace" or (self.may_replace and self.succeeded_at is None)
            assert self.mode != "replace" or self.replacement != self.wanted_now
            assert self.mode == "replace" or not self.added
            assert ids <= self.wanted_now
            self.is_updated = True
            self.added.clear()
            self.removed.clear()
            self.stable.clear()
        elif post.operation == "append":
            assert ids <= self.wanted_now
            due_before = self.now + REFRESH_SECONDS + 2
            again = {item for item in ids if self.added.get(item, -TTL_SECONDS) + TTL_SECONDS >= due_before}
            assert not again, f"sent again: {again}"
        else:
            assert ids <= self.ever_planned | self.ever_opted_out | self.suppress, "removed, and never added"
            assert not ids & self.wanted_now
            # Where there may be members whom no ledger knows, all who opted out are removed when their list changes.
            assert not (ids & self.removed) - self.suppress, "removed again"
            assert self.mode != "append" or ids <= self.suppress
        self.removed -= ids
        if post.operation != "remove":
            assert ids <= self.ever_planned, "sent before its plan was begun"
        for item in ids:
            self.added.pop(item, None)
            self.strangers.pop(item, None)

    def begin_plan(self) -> None:
        """From here on all of a plan counts as what may have been sent, whatever becomes of it."""
        self.ever_planned |= self.wanted_now
        self.ever_opted_out |= self.suppress
        if self.replaces:
            self.added.clear()
            self.removed.clear()
        elif self.mode != "append":
            self.added = {item: began for item, began in self.added.items() if item in self.wanted_now}
        else:
            self.added = {item: began for item, began in self.added.items() if item not in self.suppress}

    def write_down(self, post: Any) -> None:
        if post.operation == "remove":
            self.removed |= set(post.ids)
            return
        self.added |= dict.fromkeys(post.ids, self.plan_began)
        if post.operation == "update":
            self.replacement = self.wanted_now


def test_any_history(make_synced: Any, make_ids: MakeIds, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()

    class Machine(World):
        pass

    Machine.make_synced = staticmethod(make_synced)
    Machine.ids = make_ids(len(PEOPLE) + len(STRANGERS))
    Machine.counts = counts
    Machine.patch = monkeypatch
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(*(f"{name}: {count}" for name, count in sorted(counts.items())), sep="\n")  # noqa: T201 - pytest -s
    if EXAMPLES >= 25:  # the machine gets where it hurts; what comes late is rare
        assert counts["ended by Killed"] > 0
        assert counts["took effect late"] > 0 or EXAMPLES < 200
